"""Counts and rates for progress displays."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass

from ..executors.activity import Activity
from ..executors.resources import Share
from ..graph.enumeration import EnumeratedGraph
from ..outcome import Kind, QuantumOutcome, Status
from .running_now import LongRunning, longest_running

__all__ = ["Tally", "TallyRow"]

WINDOW = 30.0
"""Number of seconds over which rates are computed."""


@dataclass(frozen=True)
class TallyRow:
    """The numbers of one task, or of all tasks together."""

    label: str
    total: int
    done: int
    """Those whose dependents may run."""

    running: int
    failed: int
    blocked: int
    cancelled: int
    """Those that were not run to their end because the run was stopped."""

    rate: float
    """Quanta per second that have ended recently."""

    memory: float | None = None
    """The largest peak of memory of any of them, in bytes."""

    longest_part: float | None = None
    """Of a sum: the estimate of the row that takes longest, which the whole cannot undercut."""

    is_sum: bool = False

    @property
    def left(self) -> int:
        """Quanta that have not ended."""
        return self.total - self.done - self.failed - self.blocked - self.cancelled

    @property
    def seconds_left(self) -> float | None:
        """Estimated seconds until the end; `None` if that cannot be estimated."""
        if not self.left:
            return 0.0
        if not self.rate:
            return self.longest_part
        return max(self.left / self.rate, self.longest_part or 0.0)


class Tally:
    """Counts outcomes by label.  Another thread may read it meanwhile."""

    def __init__(self, graph: EnumeratedGraph, totals: dict[str, int], activity: Activity):
        self._graph = graph
        self._totals = totals
        self._activity = activity
        self._counts = {label: Counter[Status]() for label in totals}
        self._recent: dict[str, deque[float]] = {label: deque(maxlen=5000) for label in totals}
        self._memory = dict.fromkeys(totals, 0)
        self._lock = threading.Lock()
        self._start = time.monotonic()

    def count(self, outcome: QuantumOutcome) -> None:
        """Count an outcome."""
        label = self._graph.label(outcome.id)
        with self._lock:
            self._counts[label][outcome.status] += 1
            if outcome.start is not None:
                self._recent[label].append(time.monotonic())
            usage = outcome.usage
            if usage is not None and (usage.peak_memory or 0) > self._memory[label]:
                self._memory[label] = usage.peak_memory or 0

    def longest(self) -> list[LongRunning]:
        """Return what has been running longest at this moment."""
        return list(longest_running(self._activity, self._graph))

    def shares(self) -> list[Share]:
        """Return how much of each resource is in use at this moment, where that is counted."""
        return self._activity.shares()

    def rows(self) -> Iterator[TallyRow]:
        """Yield the numbers of each label, in pipeline order."""
        running = Counter(self._graph.label(id) for id in self._activity.running())
        now = time.monotonic()
        with self._lock:
            for label, total in self._totals.items():
                yield self._row(label, total, running[label], now)

    def sum(self, rows: list[TallyRow]) -> TallyRow:
        """Return the sum of some rows."""
        estimates = [seconds for row in rows if row.left and (seconds := row.seconds_left)]
        return TallyRow(
            "all",
            total=sum(row.total for row in rows),
            done=sum(row.done for row in rows),
            running=sum(row.running for row in rows),
            failed=sum(row.failed for row in rows),
            blocked=sum(row.blocked for row in rows),
            cancelled=sum(row.cancelled for row in rows),
            rate=sum(row.rate for row in rows),
            memory=max((row.memory for row in rows if row.memory), default=None),
            longest_part=max(estimates, default=None),
            is_sum=True,
        )

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._start

    def _row(self, label: str, total: int, running: int, now: float) -> TallyRow:
        counts, recent = self._counts[label], self._recent[label]
        while recent and recent[0] < now - WINDOW:
            recent.popleft()
        span = now - recent[0] if len(recent) == recent.maxlen else min(WINDOW, now - self._start)
        not_run = sum(n for status, n in counts.items() if status.kind is Kind.NOT_RUN)
        return TallyRow(
            label,
            total,
            done=sum(n for status, n in counts.items() if status.unblocks),
            running=running,
            failed=sum(n for status, n in counts.items() if status.is_failure),
            blocked=not_run - counts[Status.CANCELLED],
            cancelled=counts[Status.CANCELLED],
            rate=len(recent) / span if span else 0.0,
            memory=self._memory[label] or None,
        )
