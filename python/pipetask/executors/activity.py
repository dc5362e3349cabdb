"""Which quanta run at this moment."""

from __future__ import annotations

from collections.abc import Callable, Iterable

__all__ = ["Activity"]


class Activity:
    """Which quanta run right now, for whoever displays it."""

    def __init__(self) -> None:
        self._source: Callable[[], Iterable[int]] = tuple

    def running(self) -> list[int]:
        """Return the ids of the quanta that run at this moment; may be called from any thread."""
        return list(self._source())

    def report_with(self, source: Callable[[], Iterable[int]]) -> None:
        """Let an executor say how to find that out."""
        self._source = source
