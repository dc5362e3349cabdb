"""What a run does at this moment."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from ..outcome import Transaction
from .resources import Share

__all__ = ["Activity", "RunningQuantum"]


@dataclass(frozen=True, slots=True)
class RunningQuantum:
    """A quantum that runs at this moment, with what is known of it."""

    id: int
    """Position in the enumeration of the graph."""

    start: float | None = None
    """When it started, in seconds since 1970-01-01 UTC."""

    pid: int | None = None
    """The process that runs it."""

    attempt: int = 1
    """Which attempt in this run this is, counted from 1."""


class Activity:
    """Tells which quanta are running, and whatever else helps to understand a run that seems to hang."""

    def __init__(self) -> None:
        self._source: Callable[[], Iterable[int | RunningQuantum]] = tuple
        self._details: Callable[[], Iterable[str]] = self._running_line
        self._shares: Callable[[], Iterable[Share]] = tuple
        self.transactions: Sequence[Transaction] = ()
        """The transactions that have registered outputs so far; another thread may add to them."""

    def running(self) -> list[int]:
        """Return the ids of the running quanta; may be called from any thread."""
        return [each.id if isinstance(each, RunningQuantum) else each for each in self._source()]

    def quanta(self) -> list[RunningQuantum]:
        """Return the running quanta, with what is known of each; may be called from any thread."""
        return [each if isinstance(each, RunningQuantum) else RunningQuantum(each) for each in self._source()]

    def details(self) -> list[str]:
        """Return lines about the state of the run; may be called from any thread, and from a signal handler."""
        return list(self._details())

    def shares(self) -> list[Share]:
        """Return how much of each resource is in use, where that is counted; may be called from any thread."""
        return list(self._shares())

    def report_with(
        self,
        source: Callable[[], Iterable[int | RunningQuantum]],
        details: Callable[[], Iterable[str]] | None = None,
        shares: Callable[[], Iterable[Share]] = tuple,
    ) -> None:
        """Set the functions that find out; an execution model calls this.

        Parameters
        ----------
        source
            Returns the running quanta, or only their ids.
        details
            Returns the lines of `details`; by default there is one, with these ids.
        shares
            Returns how much of each resource is in use.
        """
        self._source = source
        self._details = details or self._running_line
        self._shares = shares

    def _running_line(self) -> list[str]:
        return [f"running: {', '.join(map(str, self.running())) or 'no quantum'}"]
