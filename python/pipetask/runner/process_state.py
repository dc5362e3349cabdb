"""What tasks share because they run in one process, put back between quanta."""

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
    """What a quantum has left changed in its process."""

    put_back: tuple[str, ...] = ()
    stays: tuple[str, ...] = ()
    """What could not be put back."""

    def __bool__(self) -> bool:
        return bool(self.put_back or self.stays)

    def __str__(self) -> str:
        texts = [f"{', '.join(self.put_back)} (put back)"] if self.put_back else []
        texts += [f"{', '.join(self.stays)} (cannot be put back)"] if self.stays else []
        return "; ".join(texts)


_NOTHING = LeftBehind()


class ProcessState:
    """The state of this process that tasks share: a snapshot, to be taken when the tasks are imported.

    Parameters
    ----------
    own
        Whether the process runs nothing but quanta.  Another's may have asked for the death of a hung process, or may
        have seeded its random numbers.

    Notes
    -----
    To compare takes some 30 µs, as it comes after each quantum.  What cannot be put back is reported once, and is taken
    for the rule from then on.

    Modules set environment variables and ``sys.path`` when they are imported, which happens once.  So where a quantum
    has both imported modules and changed those, they are put back, and the change still counts as one that stays: the
    modules may need it, and only a new process imports them again.

    Random numbers are as in a process that is forked for each quantum, which is how LSST's command works at ``-j 2``:
    numpy's global generator is as it was after the imports, and that of `random` is seeded anew.
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
        """Give another's process its random numbers back."""
        if not self._own:
            random.setstate(self._random)

    def begin(self) -> None:
        """Note that a quantum begins: threads that the process has started since the last are none of its doing."""
        self._threads.accept()

    def put_back(self) -> LeftBehind:
        """Put back what has changed; return what that was, and what could not be put back."""
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
