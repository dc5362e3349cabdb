"""Process-wide state that tasks may change, restored between quanta (see D27)."""

from __future__ import annotations

import contextlib
import faulthandler
import locale
import random
import sys
from dataclasses import dataclass

from .process_parts import SINGLE_VALUES, Generators, Logging, Part, Threads, Timers, Umask, Value

__all__ = ["LeftBehind", "ProcessState"]

_SET_BY_IMPORTS = frozenset({"environment variables", "sys.path"})
_SET_HARMLESSLY_BY_IMPORTS = frozenset({"warnings filters"})


@dataclass(frozen=True, slots=True)
class LeftBehind:
    """Changes that a quantum has left in its process."""

    put_back: tuple[str, ...] = ()
    stays: tuple[str, ...] = ()
    """Changes that could not be undone."""

    def __bool__(self) -> bool:
        return bool(self.put_back or self.stays)

    def __str__(self) -> str:
        texts = [f"{', '.join(self.put_back)} (put back)"] if self.put_back else []
        texts += [f"{', '.join(self.stays)} (cannot be put back)"] if self.stays else []
        return "; ".join(texts)


_NOTHING = LeftBehind()


class ProcessState:
    """A snapshot of the process-wide state, taken when the tasks have been imported.

    Parameters
    ----------
    own
        Whether the process runs only quanta.  A program that runs quanta in its own process may have set a timer to end
        a hung process, or may have seeded its random numbers.

    Notes
    -----
    The comparison takes about 30 µs, because it is made after each quantum.  A change that cannot be undone is reported
    once, and becomes part of the snapshot.

    Modules may set environment variables and ``sys.path`` when they are imported, which happens only once.  So if a
    quantum has both imported modules and changed these, they are restored, but the change still counts as one that
    cannot be undone: the modules may need it, and only a new process imports them again.

    Random numbers are as in a process that is forked for each quantum, as LSST's command does at ``-j 2``: numpy's
    global generator has the state after the imports, and that of `random` is seeded again.
    """

    def __init__(self, *, own: bool = True):
        self._own = own
        self._random = random.getstate()
        self._generators = Generators()
        values = (Value(*each) for each in SINGLE_VALUES)
        self._threads = Threads()
        self._parts: tuple[Part, ...] = (Timers(), Umask(), *values, Logging(), self._threads)
        self._n_modules = len(sys.modules)

    def __enter__(self) -> ProcessState:
        return self

    def __exit__(self, *exc: object) -> None:
        """Restore the random numbers of a process that does not run only quanta."""
        if not self._own:
            random.setstate(self._random)

    def begin(self) -> None:
        """Prepare for a quantum: threads that the process has started since the last one do not count."""
        self._threads.accept()

    def put_back(self) -> LeftBehind:
        """Undo changes; return what has changed, and what could not be undone."""
        self._generators.put_back()
        if self._own:
            faulthandler.cancel_dump_traceback_later()  # which may end the process
        changed = [part for part in self._parts if part.changed()]
        return self._mend(changed) if changed else _NOTHING

    def _mend(self, changed: list[Part]) -> LeftBehind:
        imported, self._n_modules = len(sys.modules) > self._n_modules, len(sys.modules)
        put_back: list[str] = []
        stays: list[str] = []
        for part in changed:
            with contextlib.suppress(OSError, ValueError, TypeError, locale.Error):
                part.put_back()
            if part.changed():
                stays.append(part.describe())
                part.accept()
            elif imported and part.name in _SET_BY_IMPORTS:
                stays.append(f"{part.name}, while modules were imported")
            elif not (imported and part.name in _SET_HARMLESSLY_BY_IMPORTS):
                put_back.append(part.describe())
        return LeftBehind(tuple(put_back), tuple(stays))
