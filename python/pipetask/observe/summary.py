"""What became of a run."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import PipetaskError
from ..executors.stop import StopRequest
from ..graph.enumeration import EnumeratedGraph
from ..outcome import INVALID_QUANTUM, REPEATABLE_ERROR, QuantumOutcome, Status

__all__ = ["OutcomeCollector", "RunSummary"]


MOST_TEXT = 100_000_000
"""Characters of errors that are kept as they came …"""

SHORT_TEXT = 1000
"""… and how much is kept of each text after that: where so much fails, the first failures tell why."""


@dataclass(frozen=True, repr=False)
class RunSummary:
    """What became of each quantum of a run, and of the run as a whole."""

    graph: EnumeratedGraph
    header: Any
    """The graph's header."""

    outcomes: list[QuantumOutcome]
    """One for each quantum, in the order they ended."""

    counts: Mapping[str, Counter[Status]]
    """Number of quanta by label and status."""

    start: float
    end: float
    fail_fast: bool = False
    stopped: str | None = None
    """Why the run was stopped early, if it was."""

    signal: int | None = None
    """The signal that stopped it, if one did."""

    error: PipetaskError | None = None
    """What went wrong with the run itself, rather than with a quantum."""

    unregistered: int = 0
    """Number of quanta whose outputs are in the datastore and could not be registered."""

    goes_on: bool = False
    """Whether this is the state of a run elsewhere that has not come to its end."""

    @property
    def failures(self) -> list[QuantumOutcome]:
        """Outcomes of quanta that themselves went wrong."""
        return [outcome for outcome in self.outcomes if outcome.status.is_failure]

    @property
    def total(self) -> Counter[Status]:
        """Number of quanta by status."""
        return sum(self.counts.values(), Counter[Status]())

    @property
    def status(self) -> str:
        """One word: ``succeeded``, ``cancelled``, ``failed`` or ``running``."""
        if self.goes_on:
            return "running"
        if self.signal is not None:
            return "cancelled"
        return "succeeded" if self.exit_code == 0 else "failed"

    @property
    def exit_code(self) -> int:
        """What a command should exit with.

        As LSST's users know it: 21 after an invalid quantum, 20 after a repeatable error that ended the run
        (``--fail-fast``), 1 after any other failure; 128 plus the signal after a signal.
        """
        if self.signal is not None:
            return 128 + self.signal
        codes = {outcome.error.exit_code for outcome in self.failures if outcome.error is not None}
        if INVALID_QUANTUM in codes:
            return INVALID_QUANTUM
        if self.fail_fast and REPEATABLE_ERROR in codes:
            return REPEATABLE_ERROR
        if self.error is not None or self.unregistered:
            return 1
        return 0 if all(status.unblocks for status in self.total) else 1

    def __repr__(self) -> str:
        counts = [f"{number} {status.value}" for status, number in self.total.items()]
        return f"<RunSummary: {', '.join([self.status, *counts])}>"


class OutcomeCollector:
    """Collects outcomes for a `RunSummary`: one of each quantum, whatever an execution model does.

    Parameters
    ----------
    graph
        The stream of quanta.
    header
        The graph's header.
    """

    def __init__(self, graph: EnumeratedGraph, header: Any):
        self._graph = graph
        self._header = header
        self._outcomes: list[QuantumOutcome] = []
        self._counts: defaultdict[str, Counter[Status]] = defaultdict(Counter)
        self._text = 0
        self._ended = bytearray(len(graph.structure))
        self._start = time.time()
        self._clock = time.monotonic()

    def note(self, outcome: QuantumOutcome) -> bool:
        """Take note of an outcome; return whether it is the first of its quantum, and counts."""
        if self._ended[outcome.id]:
            return False
        self._ended[outcome.id] = True
        self._outcomes.append(self._lean(outcome))
        self._counts[self._graph.label(outcome.id)][outcome.status] += 1
        return True

    def _lean(self, outcome: QuantumOutcome) -> QuantumOutcome:
        """Return what is kept of an outcome: of 82,000 failures, 200 kB of text each would be 16 GB."""
        if not (size := outcome.text_size):
            return outcome
        self._text += size
        return outcome if self._text <= MOST_TEXT else outcome.with_short_texts(SHORT_TEXT)

    def __len__(self) -> int:
        return len(self._outcomes)

    def missing(self, reason: str) -> Iterator[QuantumOutcome]:
        """Yield an outcome for each quantum of the stream that has none.

        Parameters
        ----------
        reason
            Why it has none.
        """
        for quantum in self._graph:
            if not self._ended[quantum.id]:
                yield QuantumOutcome(quantum.id, Status.CANCELLED, reason=reason)

    def summary(
        self,
        stop: StopRequest,
        *,
        fail_fast: bool = False,
        error: PipetaskError | None = None,
        unregistered: int = 0,
        elsewhere: bool = False,
        goes_on: bool = False,
    ) -> RunSummary:
        """Return the summary of the run.

        Parameters
        ----------
        stop
            Whether it was asked to stop.
        fail_fast
            Whether the first failure was to end it.
        error
            What went wrong with the run itself.
        unregistered
            Number of quanta whose outputs could not be registered.
        elsewhere
            Whether quanta have run in other processes before, so that the run took the time that they took.
        goes_on
            Whether quanta still run elsewhere.
        """
        start, end = self._start, self._start + time.monotonic() - self._clock
        if elsewhere:
            times = [t for outcome in self._outcomes for t in (outcome.start, outcome.end) if t is not None]
            start, end = min(times, default=start), max(times, default=end)
        labels = [label for label in self._graph.structure.labels if label in self._counts]
        return RunSummary(
            self._graph,
            self._header,
            self._outcomes,
            {label: self._counts[label] for label in labels},
            start,
            end,
            fail_fast=fail_fast,
            stopped=stop.reason,
            signal=stop.signal,
            error=error,
            unregistered=unregistered,
            goes_on=goes_on,
        )
