"""The summary of a run: all outcomes, counts, and the exit code."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

from ..errors import PipetaskError, one_line
from ..executors.stop import StopRequest
from ..graph.enumeration import EnumeratedGraph
from ..outcome import INVALID_QUANTUM, REPEATABLE_ERROR, QuantumOutcome, Status, Transaction
from ..text import visible
from .count_table import as_text, count_rows
from .outcome_list import Outcomes, html_table
from .running import Running

if TYPE_CHECKING:
    from astropy.table import Table

__all__ = ["OutcomeCollector", "RunSummary"]


MOST_TEXT = 100_000_000
"""Number of characters of errors that are kept unchanged in a run."""

SHORT_TEXT = 1000
"""Number of characters that are kept of each text after that; the first failures are enough to tell what is wrong."""


@dataclass(frozen=True, repr=False)
class RunSummary:
    """How each quantum of a run ended, and the run as a whole.

    Printed, and in a notebook, it is a short table of the numbers of quanta by label and status.
    """

    graph: EnumeratedGraph
    header: Any
    """The graph's header."""

    outcomes: Outcomes
    """One for each quantum, in the order in which they ended."""

    counts: Mapping[str, Counter[Status]]
    """Number of quanta by label and status."""

    start: float
    """When the run started, in seconds since 1970-01-01 UTC."""

    end: float
    """When it ended, in seconds since 1970-01-01 UTC."""

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
    """Whether this is the state of a run that has not ended."""

    running: Sequence[Running] = ()
    """Of such a run: attempts that have not ended, as far as they are known."""

    transactions: Sequence[Transaction] = ()
    """Those that have registered outputs."""

    @property
    def failed(self) -> Outcomes:
        """Outcomes of the quanta that failed, as opposed to those that were not run."""
        return Outcomes(self.graph, (each for each in self.outcomes if each.status.is_failure))

    def by_label(self) -> dict[str, Outcomes]:
        """Return the outcomes by task label, in pipeline order."""
        found = {label: Outcomes(self.graph) for label in self.counts}
        for outcome in self.outcomes:
            found[self.graph.label(outcome.id)].append(outcome)
        return found

    def to_dict(self) -> dict[str, Any]:
        """Return the summary as plain values, which can be written as JSON.

        The keys are ``status``, ``exit_code``, ``start`` and ``end`` (seconds since 1970-01-01 UTC), ``stopped``,
        ``error``, ``unregistered``, ``counts`` (by label and status), and ``quanta``, which is
        `Outcomes.to_dicts() <pipetask.observe.outcome_list.Outcomes.to_dicts>`.
        """
        return {
            "status": self.status,
            "exit_code": self.exit_code,
            "start": self.start,
            "end": self.end,
            "stopped": self.stopped,
            "error": str(self.error) if self.error is not None else None,
            "unregistered": self.unregistered,
            "counts": {label: {s.value: n for s, n in each.items()} for label, each in self.counts.items()},
            "quanta": self.outcomes.to_dicts(),
        }

    def to_table(self) -> Table:
        """Return an Astropy table with a row for each quantum: see `~pipetask.observe.outcome_list.Outcomes`."""
        return self.outcomes.to_table()

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
        codes = {outcome.error.exit_code for outcome in self.failed if outcome.error is not None}
        if INVALID_QUANTUM in codes:
            return INVALID_QUANTUM
        if self.fail_fast and REPEATABLE_ERROR in codes:
            return REPEATABLE_ERROR
        if self.error is not None or self.unregistered:
            return 1
        return 0 if all(status.unblocks for status in self.total) else 1

    def _verdict(self) -> str:
        quanta = "1 quantum" if len(self.outcomes) == 1 else f"{len(self.outcomes)} quanta"
        why = f" ({visible(self.stopped)[:200]})" if self.stopped else ""
        return f"{self.status}: {quanta} in {self.end - self.start:.1f} s{why}"

    def _remarks(self) -> list[str]:
        """Return what else there is to say, in short lines."""
        lines = [visible(one_line(self.error))[:500]] if self.error is not None else []
        if self.unregistered:
            lines.append(f"outputs of {self.unregistered} quanta not registered")
        return [*lines, *([repr(failed)] if (failed := self.failed) else [])]

    def __repr__(self) -> str:
        table = [as_text(count_rows(self.counts))] if self.counts else []
        return "\n".join([f"RunSummary: {self._verdict()}", *table, *self._remarks()])

    def _repr_html_(self) -> str:
        headings, *rows = count_rows(self.counts)
        table = html_table(headings, rows) if rows else ""
        lines = "".join(f"<p>{escape(line)}</p>" for line in self._remarks())
        return f"<p><b>{escape(self._verdict())}</b></p>{table}{lines}"


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
        transactions: Sequence[Transaction] = (),
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
        transactions
            Those that have registered outputs.
        """
        start, end = self._start, self._start + time.monotonic() - self._clock
        if elsewhere:
            times = [t for outcome in self._outcomes for t in (outcome.start, outcome.end) if t is not None]
            start, end = min(times, default=start), max(times, default=end)
        labels = [label for label in self._graph.structure.labels if label in self._counts]
        return RunSummary(
            self._graph,
            self._header,
            Outcomes(self._graph, self._outcomes),
            {label: self._counts[label] for label in labels},
            start,
            end,
            fail_fast=fail_fast,
            stopped=stop.reason,
            signal=stop.signal,
            error=error,
            unregistered=unregistered,
            goes_on=goes_on,
            transactions=tuple(transactions),
        )
