"""The last events and decisions of the pool, to find out why it did what it did."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable
from enum import Enum
from typing import TypeAlias

__all__ = ["Trace"]

Entry: TypeAlias = tuple[float, int, str | Enum, object]

SIZE = 400
"""Entries that are kept.  At the end of a run these are its last seconds, or its last minutes if quanta are long."""


class Trace:
    """A bounded list of what happened and what was decided.

    Parameters
    ----------
    clock
        Tells the time in seconds.
    size
        How many entries to keep; older ones are dropped.

    Notes
    -----
    An entry is made for each quantum, so it has to cost next to nothing.  Text is made of it only when it is shown.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, size: int = SIZE):
        self._clock = clock
        self._begin = clock()
        self._entries: deque[Entry] = deque(maxlen=size)
        self.add = self._entries.append
        """Adds an entry: the time, and what `note` is given.  It is quicker, and made for what happens most often."""

    def note(self, worker: int, what: str, detail: object = "") -> None:
        """Add an entry.

        Parameters
        ----------
        worker
            Number of the worker that this is about; 0 if it is about none.
        what
            What happened, in one word or two.
        detail
            Something small and immutable: it is kept, and shown by its text.
        """
        self._entries.append((self._clock(), worker, what, detail))

    def lines(self) -> list[str]:
        """Return the entries as text, oldest first; may be called from any thread, and from a signal handler."""
        return [self._line(*entry) for entry in list(self._entries)]

    def _line(self, when: float, worker: int, what: str | Enum, detail: object) -> str:
        who = f"worker {worker}" if worker else "pool"
        return f"{when - self._begin:10.3f} s  {who:<10}  {_text(what)} {_text(detail)}".rstrip()


def _text(detail: object) -> str:
    if isinstance(detail, Enum):
        return str(detail.value)
    if isinstance(detail, Iterable) and not isinstance(detail, str):
        return ", ".join(map(str, detail))
    return str(detail)
