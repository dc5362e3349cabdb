"""Which quanta are running."""

from __future__ import annotations

from collections.abc import Callable, Iterable

__all__ = ["Activity"]


class Activity:
    """Tells a progress display which quanta are running."""

    def __init__(self) -> None:
        self._source: Callable[[], Iterable[int]] = tuple

    def running(self) -> list[int]:
        """Return the ids of the running quanta; may be called from any thread."""
        return list(self._source())

    def report_with(self, source: Callable[[], Iterable[int]]) -> None:
        """Set the function that finds out; an execution model calls this."""
        self._source = source
