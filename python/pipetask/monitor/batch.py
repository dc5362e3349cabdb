"""Watch a batch run: by what the batch system says, and by the outcomes that its jobs write."""

from __future__ import annotations

import time
from collections import defaultdict, deque
from collections.abc import Iterator
from functools import lru_cache

from ..batch.outcomes import Attempt, AttemptTails
from ..batch.run_directory import RunDirectory
from ..batch.status import RunPhase
from ..batch.watch import RunWatch
from ..journal.reader import JournaledQuantum, usual
from ..outcome import QuantumOutcome, Status
from .view import MOST_FAILURES, FailedQuantum, RunningNow, RunView, named

__all__ = ["BatchWatch"]

_SAMPLE = 1001


class BatchWatch:
    """Looks at a run as often as it is asked to, and reads only what is new.

    Parameters
    ----------
    directory
        The run.

    Raises
    ------
    PipetaskError
        If the run's batch system is not installed here.
    """

    def __init__(self, directory: RunDirectory):
        self._directory = directory
        self._watch = RunWatch(directory)
        self._tails = AttemptTails(directory.outcomes)
        self._durations: defaultdict[str, deque[float]] = defaultdict(lambda: deque(maxlen=_SAMPLE))
        self._failed: dict[int, FailedQuantum] = {}
        self._written = (directory.path / "run.json").stat().st_mtime
        self._start: float | None = None
        self._end: float | None = None
        self._node = lru_cache(maxsize=256)(self._read_node)

    def look(self) -> RunView:
        """Return where the run stands now.

        Raises
        ------
        PipetaskError
            If the batch system cannot say.
        """
        status = self._watch.look()
        for attempt, outcomes in self._tails.news():
            self._start = min(self._start or attempt.start, attempt.start)
            for outcome in outcomes:
                self._take(attempt, outcome)
        directory, over = self._directory, status.phase.over
        running = (
            [] if over else [each for attempt in self._tails.running() for each in self._running(attempt)]
        )
        ended_early = status.phase in (RunPhase.FAILED, RunPhase.CANCELLED, RunPhase.WRITTEN)
        return RunView(
            name=directory.facts.output_run,
            place=str(directory.path),
            status=status,
            start=self._start or self._written,
            end=self._end if over else None,
            running=running,
            failures=list(self._failed.values())[-MOST_FAILURES:],
            n_failures=len(self._failed),
            resume=f"pipetask restart {directory.path}" if ended_early else None,
            now=time.time(),
        )

    def _take(self, attempt: Attempt, outcome: QuantumOutcome) -> None:
        quantum = self._node(attempt.number)[outcome.id]
        if outcome.end is not None:
            self._end = max(self._end or 0.0, outcome.end)
            if outcome.status is Status.SUCCEEDED and outcome.start is not None:
                self._durations[quantum.label].append(outcome.end - outcome.start)
        self._failed.pop(outcome.id, None)  # another attempt
        if outcome.status.is_failure:
            self._failed[outcome.id] = FailedQuantum.of(quantum, outcome)

    def _running(self, attempt: Attempt) -> Iterator[RunningNow]:
        for started in attempt.running.values():
            quantum = self._node(attempt.number)[started.id]
            yield RunningNow.of(quantum, started, usual(self._durations[quantum.label]))

    def _read_node(self, number: int) -> dict[int, JournaledQuantum]:
        """Return the quanta of a node, by id."""
        with self._directory.index() as index:
            return {each.id: named(index, each) for each in index.node(str(number)).quanta}
