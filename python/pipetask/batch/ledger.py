"""Which quanta of a batch run are done, failed, blocked or lost: the one answer, from the outcome files.

A quantum belongs to one node, and a node may have had several attempts.  So all that is known of a quantum is in the
files of its node, and a run is read node by node: what is in memory does not grow with the run.

::

    outcomes/*  ──►  NodeRecord: one node, its attempts  ──►  Ledger: all nodes
                     the outcome that counts of each          what of the index has no outcome: blocked, or lost
                     quantum, and those before it
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Collection, Iterable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from ..executors.retries import all_attempts, raised_memory_error
from ..outcome import QuantumOutcome, Status
from .index import IndexedNode, IndexedQuantum
from .outcomes import Attempt, attempts_by_node, attempts_of
from .run_directory import RunDirectory

__all__ = ["Ledger", "NodeRecord", "NodeVerdict", "Remainder", "UnfinishedNode", "blocked"]


@dataclass(frozen=True)
class NodeRecord:
    """What the attempts at one node have left."""

    number: int
    """The node's."""

    attempts: Sequence[Attempt]
    """Oldest first."""

    @cached_property
    def counting(self) -> Mapping[int, QuantumOutcome]:
        """The outcome that counts of each quantum that has one, by id.

        The last success counts, or the last attempt if none is a success.  A success whose files a later attempt found
        lost counts no more, whatever became of that attempt.
        """
        found: dict[int, QuantumOutcome] = {}
        for attempt in self.attempts:
            for id in attempt.lost:
                found.pop(id, None)
            for outcome in attempt.outcomes:
                before = found.get(outcome.id)
                if before is None or outcome.status.unblocks or not before.status.unblocks:
                    found[outcome.id] = outcome
        return found

    @cached_property
    def done(self) -> frozenset[int]:
        """Ids of the quanta that have ended well."""
        return frozenset(id for id, outcome in self.counting.items() if outcome.status.unblocks)

    def failures_since(self, time: int) -> dict[int, QuantumOutcome]:
        """Return the failures that another attempt would only repeat, by id.

        Parameters
        ----------
        time
            Only those count of attempts that began after this, in nanoseconds since 1970-01-01 UTC.
        """
        recent = [attempt for attempt in self.attempts if attempt.began > time]
        found = {outcome.id: outcome for attempt in recent for outcome in attempt.outcomes}
        return {
            id: outcome
            for id, outcome in found.items()
            if outcome.status.is_failure
            and outcome.status.is_final
            and not raised_memory_error(outcome)
            and id not in self.done
        }

    @property
    def exit_code(self) -> int | None:
        """What the last attempt has exited with; `None` if it runs, was killed, or there is none."""
        return self.attempts[-1].exit_code if self.attempts else None

    @property
    def memory(self) -> int:
        """Most memory in megabytes that any attempt has asked for; 0 if that is not known."""
        return max((attempt.memory or 0 for attempt in self.attempts), default=0)

    def roots(self, wanted: Collection[int]) -> dict[int, int]:
        """Return those of some quanta that have not ended well, each with the id of the one that failed first."""
        return {id: self._root(id) for id in wanted if id not in self.done}

    def _root(self, id: int) -> int:
        outcome = self.counting.get(id)
        return id if outcome is None or outcome.blocked_by is None else outcome.blocked_by

    def outcomes(self) -> Iterator[QuantumOutcome]:
        """Yield the outcome that counts of each quantum, with those of the attempts before it; to be called once."""
        before: dict[int, tuple[QuantumOutcome, ...]] = {}
        told: set[int] = set()
        for outcome in (outcome for attempt in self.attempts for outcome in attempt.outcomes):
            if outcome.id in told:
                continue
            if outcome is not self.counting.get(outcome.id):
                before[outcome.id] = all_attempts(before.get(outcome.id, ()), outcome.without_outputs())
                continue
            told.add(outcome.id)
            *earlier, last = all_attempts(before.pop(outcome.id, ()), outcome)
            last.earlier = tuple(earlier)
            yield last


@dataclass(frozen=True)
class NodeVerdict:
    """Those quanta of a node that have no outcome which counts."""

    node: IndexedNode

    blocked: Mapping[int, int]
    """Ids of those that need a failed quantum, each with the id of the one that failed first."""

    lost: Sequence[int]
    """Ids of those without any trace: no job has started them, or it was killed."""


@dataclass(frozen=True)
class UnfinishedNode:
    """A node that has something left to do."""

    name: str
    labels: tuple[str, ...]
    """Of its quanta, in pipeline order."""

    needs: tuple[int, ...]
    """Numbers of the nodes that it waits for."""

    number: int
    attempts: int
    memory: int
    """Most memory in megabytes that any attempt has asked for; 0 if that is not known."""

    exit_code: int | None
    """What the last attempt has exited with; `None` if it runs, was killed, or there is none."""


@dataclass(frozen=True)
class Remainder:
    """What a restart finds."""

    done: Sequence[str]
    """Names of the nodes all of whose quanta have ended well."""

    left: Sequence[UnfinishedNode]


class Ledger:
    """What became of the quanta of a run, as far as its jobs have written it down.

    Parameters
    ----------
    directory
        The run.
    """

    def __init__(self, directory: RunDirectory):
        self._directory = directory

    def node(self, number: int) -> NodeRecord:
        """Read what is known of one node."""
        return NodeRecord(number, attempts_of(self._directory.outcomes, number))

    def nodes(self, numbers: Collection[int] | None = None) -> Iterator[NodeRecord]:
        """Read what is known of all nodes, or of some, by number; those without any attempt are left out."""
        for attempts in attempts_by_node(self._directory.outcomes, numbers):
            yield NodeRecord(attempts[0].number, attempts)

    def statuses(self) -> dict[int, Status]:
        """Return the status that counts of each quantum that has one, by id."""
        return {id: outcome.status for record in self.nodes() for id, outcome in record.counting.items()}

    def all_done(self) -> bool:
        """Return whether all quanta have ended well."""
        done = sum(len(record.done) for record in self.nodes())
        return done == sum(self._directory.facts.labels.values())

    def remainder(self) -> Remainder:
        """Return which nodes are done, and what is known of the others."""
        done, left = [], []
        records = self.nodes()
        record = next(records, None)
        with self._directory.index() as index:
            for node in index.nodes():
                found = NodeRecord(node.number, ())
                if record is not None and record.number == node.number:
                    found, record = record, next(records, None)
                if found.done.issuperset(quantum.id for quantum in node.quanta):
                    done.append(node.name)
                    continue
                tasks = sorted({quantum.task for quantum in node.quanta})
                labels = tuple(index.labels[task] for task in tasks)
                left.append(
                    UnfinishedNode(
                        node.name,
                        labels,
                        node.needs,
                        node.number,
                        len(found.attempts),
                        found.memory,
                        found.exit_code,
                    )
                )
        return Remainder(done, left)

    def missing(self, statuses: Mapping[int, Status]) -> Iterator[NodeVerdict]:
        """Yield, for each node, which of its quanta have no outcome, and why.

        Parameters
        ----------
        statuses
            Those that count, by id.
        """
        shared = self._directory.recipe().shared
        roots = {id: id for id, status in statuses.items() if status.is_failure}
        failed: dict[int, int] = {}
        with self._directory.index() as index:
            for node in index.nodes():
                left = [q for q in node.quanta if q.id not in statuses or not statuses[q.id].unblocks]
                roots |= blocked(left, roots)
                above = [failed[number] for number in node.needs if number in failed]
                if above and not shared:  # there a node starts only if all that it waits for has succeeded
                    roots |= {quantum.id: min(above) for quantum in left if quantum.id not in roots}
                if own := [roots[quantum.id] for quantum in left if quantum.id in roots]:
                    failed[node.number] = min(own)
                yield _verdict(node, statuses, roots)


def _verdict(node: IndexedNode, statuses: Mapping[int, Status], roots: Mapping[int, int]) -> NodeVerdict:
    missing = [quantum.id for quantum in node.quanta if quantum.id not in statuses]
    stopped = {id: roots[id] for id in missing if id in roots}
    return NodeVerdict(node, stopped, [id for id in missing if id not in stopped])


def blocked(quanta: Iterable[IndexedQuantum], roots: MutableMapping[int, int]) -> dict[int, int]:
    """Return the quanta that cannot run.

    Parameters
    ----------
    quanta
        Quanta of one node, in topological order.
    roots
        Ids of quanta that have not succeeded, each with the id of the one that failed first.

    Returns
    -------
    roots
        The same for those of ``quanta`` that cannot run.
    """
    found: dict[int, int] = {}
    known = ChainMap(found, roots)
    for quantum in quanta:
        above = [known[before] for before in quantum.needs if before in known]
        if above:
            found[quantum.id] = min(above)
    return found
