"""All facts about a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from ...graph.enumeration import EnumeratedGraph
from ...graph.structure import GraphStructure
from ...outcome import QuantumOutcome, Transaction
from ..summary import RunSummary
from .attempts import Attempts, Floats, Integers
from .efficiency import IdleReason, idle_reasons, peak_concurrency
from .errors import ErrorGroup, error_groups
from .gains import Gains, gains
from .labels import LabelFacts, label_facts
from .paths import Chain, Step, chain_of_waits, longest_chain, seconds_by_position
from .waits import ready_times

__all__ = ["RunFacts"]


@dataclass(frozen=True, repr=False)
class RunFacts:
    """What a run did, with everything that follows from it; what is not asked for is not computed."""

    graph: EnumeratedGraph
    outcomes: list[QuantumOutcome]
    attempts: Attempts
    begin: float
    end: float

    asked_slots: int | None = None
    """How many quanta could run at the same time, if that is known."""

    transactions: Sequence[Transaction] = ()
    """Those that have registered outputs, as far as they lie in the time of the run.

    That of a batch run ends with its last quantum, and its last job registers everything after that.
    """

    @classmethod
    def of(cls, summary: RunSummary, slots: int | None = None) -> RunFacts:
        """Collect the facts about a run from its summary.

        Parameters
        ----------
        summary
            The summary; it may be that of a run that has not ended.
        slots
            How many quanta could run at the same time, if that is known.
        """
        attempts = Attempts.of(summary.graph, summary.outcomes, summary.running, summary.end)
        # Clocks of other hosts may be ahead or behind, and a run is continued after others have begun it.
        begin = min(summary.start, attempts.start.min(initial=summary.start))
        end = max(summary.end, attempts.end.max(initial=summary.end))
        registered = [each for each in summary.transactions if begin <= each.start and each.end <= end]
        return cls(summary.graph, summary.outcomes, attempts, float(begin), float(end), slots, registered)

    @property
    def structure(self) -> GraphStructure:
        """The quanta and their dependencies."""
        return self.graph.structure

    @cached_property
    def slots(self) -> int:
        """How many quanta could run at the same time: what was asked for, or else the number of lanes."""
        known = len(self.attempts.lanes) if self.asked_slots is None else self.asked_slots
        return max(known, peak_concurrency(self.attempts))

    @cached_property
    def _order(self) -> list[int]:
        """Positions of the quanta that were run, prerequisites first: what was not run made none of them wait."""
        return [position for position in self.structure.depth_first() if self.last[position] >= 0]

    @cached_property
    def last(self) -> Integers:
        """The row of the last attempt at each quantum by position, or -1."""
        return self.attempts.last_rows(len(self.structure))

    @cached_property
    def labels(self) -> list[LabelFacts]:
        """What the quanta of each label took."""
        return label_facts(self.attempts, self.structure.labels, self.last)

    @cached_property
    def ready(self) -> Floats:
        """When each attempt could have started."""
        return ready_times(self.attempts, self.structure, self.begin)

    @cached_property
    def seconds(self) -> Floats:
        """How long all attempts at each quantum took together, by position."""
        return seconds_by_position(self.attempts, len(self.structure))

    @cached_property
    def longest_chain(self) -> Chain:
        """The chain of dependencies that took longest."""
        return longest_chain(self.structure, self.seconds, self._order)

    @cached_property
    def chain_of_waits(self) -> list[Step]:
        """What the attempt that ended last waited for, back to the beginning, in the order of time."""
        return chain_of_waits(self.attempts, self.structure, self.begin)

    @cached_property
    def gains(self) -> Gains:
        """What could be gained at best."""
        return gains(self.structure, self.seconds, self._order, self.longest_chain, self.slots)

    @property
    def available(self) -> float:
        """Slot-seconds that there were."""
        return self.slots * (self.end - self.begin)

    @cached_property
    def busy(self) -> float:
        """Slot-seconds in which an attempt ran."""
        return float(self.attempts.seconds.sum())

    @cached_property
    def idle(self) -> list[IdleReason]:
        """Why slots were idle, the largest sum first."""
        labels = len(self.structure.labels)
        return idle_reasons(self.attempts, self.ready, self.begin, self.end, self.slots, labels)

    @cached_property
    def errors(self) -> list[ErrorGroup]:
        """The attempts that failed, grouped by error."""
        return error_groups(self.outcomes)
