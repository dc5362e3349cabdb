"""Runs that are made up: with failures, retries, and what was done before, in simulated time."""

from __future__ import annotations

import heapq
import random
from dataclasses import dataclass

from pipetask.executors.stop import StopRequest
from pipetask.graph.enumeration import EnumeratedGraph
from pipetask.observe.summary import OutcomeCollector, RunSummary
from pipetask.outcome import QuantumError, QuantumOutcome, Status, Usage
from pipetask.testing import enumerated

BEGIN = 1_000_000.0

LABELS = ("isr", "calibrate", "coadd")


@dataclass(frozen=True)
class Made:
    """A run that was made up."""

    graph: EnumeratedGraph
    edges: list[tuple[int, int]]
    outcomes: list[QuantumOutcome]
    slots: int

    def summary(self) -> RunSummary:
        collector = OutcomeCollector(self.graph, header=None)
        for outcome in self.outcomes:
            collector.note(outcome)
        stop = StopRequest()
        summary = collector.summary(stop, elsewhere=True)
        stop.close()
        return summary


def make_run(seed: int, size: int, slots: int) -> Made:
    """Simulate a run with failures, retries and skipped quanta, in whole seconds, so that sums are exact."""
    rng = random.Random(seed)
    counts = {label: size // 3 + (size % 3 > number) for number, label in enumerate(LABELS)}
    edges = sorted(
        {tuple(sorted(rng.sample(range(size), 2))) for _ in range(rng.randrange(2 * size))}
        if size > 1
        else set()
    )
    graph = enumerated(counts, edges)
    needs = {q.position: {graph.position(id) for id in q.prerequisites} for q in graph}
    outcomes: list[QuantumOutcome] = []
    status: dict[int, Status] = {}
    free = [(BEGIN + rng.randrange(3), pid) for pid in range(100, 100 + slots)]
    heapq.heapify(free)
    end_of: dict[int, float] = {}
    for id in range(size):
        position = graph.position(id)
        if any(not status[p].unblocks for p in needs[position]):
            status[position] = Status.BLOCKED
            outcomes.append(QuantumOutcome(id, Status.BLOCKED, blocked_by=0))
            continue
        if rng.random() < 0.05:
            status[position] = Status.SKIPPED
            outcomes.append(QuantumOutcome(id, Status.SKIPPED))
            continue
        earlier: list[QuantumOutcome] = []
        ready = max((end_of[p] for p in needs[position] if p in end_of), default=BEGIN)
        while True:
            at, pid = heapq.heappop(free)
            start = max(at, ready) + rng.choice((0, 0, 0, 1))
            end = start + rng.randrange(5)
            each = rng.choices((Status.SUCCEEDED, Status.FAILED, Status.KILLED), (85, 10, 5))[0]
            heapq.heappush(free, (end, pid))
            error = QuantumError("ValueError", f"bad {id}", TRACEBACK) if each is Status.FAILED else None
            usage = Usage(end - start, (end - start) / 2, rng.randrange(10**9), 5, None)
            outcome = QuantumOutcome(id, each, start, end, "a" if pid % 2 else "b", pid, usage, error)
            outcome.attempt, outcome.earlier = len(earlier) + 1, tuple(earlier)
            ready = end
            if each is Status.SUCCEEDED or len(earlier) == 2 or rng.random() < 0.3:
                break
            earlier.append(outcome)
        outcomes.append(outcome)
        status[position], end_of[position] = outcome.status, outcome.end
    outcomes.sort(key=lambda o: o.end or 0)
    return Made(graph, edges, outcomes, slots)


TRACEBACK = """Traceback (most recent call last):
  File "/a/run.py", line 3, in run
    work()
  File "/a/task.py", line 12, in work
    raise ValueError("bad")
ValueError: bad
"""


def attempts_of(made: Made) -> list[QuantumOutcome]:
    return [each for o in made.outcomes for each in (*o.earlier, o) if each.start is not None]
