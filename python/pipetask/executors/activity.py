"""What a run does at this moment."""

from __future__ import annotations

from collections.abc import Callable, Iterable

__all__ = ["Activity"]


class Activity:
    """Tells which quanta are running, and whatever else helps to understand a run that seems to hang."""

    def __init__(self) -> None:
        self._source: Callable[[], Iterable[int]] = tuple
        self._details: Callable[[], Iterable[str]] = self._running_line

    def running(self) -> list[int]:
        """Return the ids of the running quanta; may be called from any thread."""
        return list(self._source())

    def details(self) -> list[str]:
        """Return lines about the state of the run; may be called from any thread, and from a signal handler."""
        return list(self._details())

    def report_with(
        self, source: Callable[[], Iterable[int]], details: Callable[[], Iterable[str]] | None = None
    ) -> None:
        """Set the functions that find out; an execution model calls this.

        Parameters
        ----------
        source
            Returns the ids of the running quanta.
        details
            Returns the lines of `details`; by default there is one, with these ids.
        """
        self._source = source
        self._details = details or self._running_line

    def _running_line(self) -> list[str]:
        return [f"running: {', '.join(map(str, self.running())) or 'no quantum'}"]
