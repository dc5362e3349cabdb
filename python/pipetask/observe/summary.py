"""The summary of a run: all outcomes, counts, and the exit code."""

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
"""Number of characters of errors that are kept unchanged in a run."""

SHORT_TEXT = 1000
"""Number of characters that are kept of each text after that; the first failures are enough to tell what is wrong."""


@dataclass(frozen=True, repr=False)
class RunSummary:
    """How each quantum of a run ended, and the run as a whole."""

    graph: EnumeratedGraph
    header: Any
    """The graph's header."""

    outcomes: list[QuantumOutcome]
    """One for each quantum, in the order in which they ended."""

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
    """An error of the run itself, rather than of a quantum."""

    unregistered: int = 0
    """Number of quanta whose outputs are in the datastore but could not be registered."""

    goes_on: bool = False
    """Whether this is the state of a batch run that has not ended."""

    @property
    def failures(self) -> list[QuantumOutcome]:
        """Outcomes of the quanta that failed, as opposed to those that were not run."""
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
        """The exit code for a command.

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
    """Collects outcomes for a `RunSummary`; it takes one for each quantum, even if an execution model yields more.

    Parameters
    ----------
    graph
        The quanta.
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
        """Add an outcome; return whether it is the first of its quantum, because no other counts."""
        if self._ended[outcome.id]:
            return False
        self._ended[outcome.id] = True
        self._outcomes.append(self._lean(outcome))
        self._counts[self._graph.label(outcome.id)][outcome.status] += 1
        return True

    def _lean(self, outcome: QuantumOutcome) -> QuantumOutcome:
        """Return the outcome with texts that are not too long: 82,000 failures with 200 kB each would need 16 GB."""
        if not (size := outcome.text_size):
            return outcome
        self._text += size
        return outcome if self._text <= MOST_TEXT else outcome.with_short_texts(SHORT_TEXT)

    def __len__(self) -> int:
        return len(self._outcomes)

    def missing(self, reason: str) -> Iterator[QuantumOutcome]:
        """Yield an outcome for each quantum that has none.

        Parameters
        ----------
        reason
            Why there is none.
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
            The request to stop, if there was one.
        fail_fast
            Whether the first failure was to end the run.
        error
            An error of the run itself.
        unregistered
            Number of quanta whose outputs could not be registered.
        elsewhere
            Whether the quanta were run by other processes before; then the time of the run is theirs.
        goes_on
            Whether quanta are still running elsewhere.
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
