"""Quanta that an engine has lost."""

from __future__ import annotations

from collections import Counter, deque

from ...graph.enumeration import QuantumData

__all__ = ["MOST_LOSSES", "Losses"]

MOST_LOSSES = 3
"""Times that an engine may lose a quantum until it is given up."""


class Losses:
    """Quanta that were lost and are to be run once more, each alone, and how often each was lost."""

    def __init__(self) -> None:
        self._queue: deque[QuantumData] = deque()
        self._counts: Counter[int] = Counter()
        self._unbegun: set[int] = set()

    @property
    def first(self) -> QuantumData | None:
        """The next one to be run again."""
        return self._queue[0] if self._queue else None

    def take(self) -> QuantumData:
        """Return the next one, and remove it from the queue."""
        return self._queue.popleft()

    def put(self, quantum: QuantumData) -> None:
        """Let one be run again."""
        self._queue.append(quantum)

    def count(self, quantum: QuantumData) -> int:
        """Count the loss of one that may have been running; return how often it was lost."""
        self._counts[quantum.id] += 1
        return self._counts[quantum.id]

    def note_unbegun(self, quantum: QuantumData) -> None:
        """Note one that was lost before it had begun, as far as is recorded: it may have left files."""
        self._unbegun.add(quantum.id)

    def attempts(self, id: int) -> int:
        """Return how many attempts at a quantum have been lost."""
        return self._counts[id] or int(id in self._unbegun)
