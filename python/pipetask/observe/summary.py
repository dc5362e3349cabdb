"""What became of a run."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..errors import PipetaskError
from ..executors.base import StopRequest
from ..outcome import QuantumOutcome, Status
from ..quantum_data import EnumeratedGraph
from .sink import Sink

__all__ = ["RunSummary", "SummarySink"]


@dataclass(frozen=True)
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
        """One word: ``succeeded``, ``cancelled`` or ``failed``."""
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
        if 21 in codes:
            return 21
        if self.fail_fast and 20 in codes:
            return 20
        return 0 if self.error is None and all(status.unblocks for status in self.total) else 1


@dataclass
class SummarySink(Sink):
    """Collects outcomes for a `RunSummary`."""

    graph: EnumeratedGraph
    header: Any
    outcomes: list[QuantumOutcome] = field(default_factory=list)
    counts: defaultdict[str, Counter[Status]] = field(default_factory=lambda: defaultdict(Counter))
    start: float = field(default_factory=time.time)

    def note(self, outcome: QuantumOutcome) -> None:
        """Take note of an outcome."""
        self.outcomes.append(outcome)
        self.counts[self.graph.label(outcome.id)][outcome.status] += 1

    def finish(self, stop: StopRequest, *, fail_fast: bool, error: PipetaskError | None) -> RunSummary:
        """Return the summary of the run."""
        order = [label for label in self.graph.structure.labels if label in self.counts]
        return RunSummary(
            self.graph,
            self.header,
            self.outcomes,
            {label: self.counts[label] for label in order},
            self.start,
            time.time(),
            fail_fast=fail_fast,
            stopped=stop.reason,
            signal=stop.signal,
            error=error,
        )
