"""An execution model that executes nothing: it replays what the jobs of a batch run have written down."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from ..errors import RegistrationError
from ..executors.base import ExecutionContext, QuantumExecutor
from ..executors.retries import all_attempts
from ..graph.enumeration import QuantumData
from ..outcome import QuantumOutcome, Status
from .index import IndexedNode
from .node import rerun_command
from .outcomes import read_attempts
from .run_directory import RunDirectory
from .upstream import blocked

__all__ = ["ReplayExecutor", "Standing", "all_done", "best_attempts"]

_FOR_GOOD = frozenset({*(status for status in Status if status.unblocks), Status.FAILED, Status.TIMED_OUT})
"""What stays so when a job begins anew; all else means that it was interrupted, killed, or waits for what was."""


@dataclass(frozen=True)
class Standing:
    """Where a run stands, as far as outcomes do not tell."""

    pending: Mapping[str, Status] = field(default_factory=dict)
    """Nodes that may still run, by name, with what is said of their quanta that are not done."""

    refused: Mapping[str, str] = field(default_factory=dict)
    """Nodes that never got into the queue, by name, with the reason."""

    goes_on: bool = False
    unregistered: str | None = None
    """Why what is done has not been registered, where that should have happened."""


class ReplayExecutor(QuantumExecutor):
    """Yields the outcomes of a batch run, so that they are registered and summarised like those of any run.

    Parameters
    ----------
    directory
        The run.
    register
        Whether outputs are to be registered; otherwise the repository is only read.
    standing
        Where the run stands; by default it is over.
    """

    replays = True

    def __init__(self, directory: RunDirectory, *, register: bool, standing: Standing | None = None):
        self._directory = directory
        self._standing = standing or Standing()
        self.batch_run = directory.facts.id
        self.executes = register
        self.goes_on = self._standing.goes_on
        self.register_again = rerun_command(directory, "final")

    def execute(
        self, quanta: Iterable[QuantumData], context: ExecutionContext
    ) -> Generator[QuantumOutcome, None, None]:
        """Replay the outcomes of a stream of quanta.

        Raises
        ------
        RegistrationError
            In the end, if what is done should have been registered, and is not.
        """
        wanted = {quantum.id for quantum in quanta}
        chosen = self._chosen()
        before: dict[int, tuple[QuantumOutcome, ...]] = {}
        for attempt in read_attempts(self._directory.outcomes):
            for index, outcome in enumerate(attempt.outcomes):
                if outcome.id not in chosen or chosen[outcome.id][:2] != (attempt.path.name, index):
                    before[outcome.id] = all_attempts(before.get(outcome.id, ()), outcome.without_outputs())
                elif outcome.id in wanted:
                    *earlier, last = all_attempts(before.pop(outcome.id, ()), outcome)
                    last.earlier = tuple(earlier)
                    yield last
        for node, roots in self._nodes({id: status for id, (_, _, status) in chosen.items()}):
            for quantum in node.quanta:
                wanted.discard(quantum.id)
                if quantum.id not in chosen:
                    yield self._not_run(quantum.id, node.name, roots.get(quantum.id))
        # What is in the graph and in no node was done before the run was written.
        for id in sorted(wanted):
            yield QuantumOutcome(id, Status.SKIPPED, reason="done already when the run was written")
        if self._standing.unregistered is not None:
            raise RegistrationError(f"What is done has not been registered: {self._standing.unregistered}")

    def _chosen(self) -> dict[int, tuple[str, int, Status]]:
        """Return where the outcomes are that count, without those that another attempt will replace."""
        chosen = best_attempts(self._directory)
        if pending := self._standing.pending:
            with self._directory.index() as index:
                ids = {
                    quantum.id for node in index.nodes() if node.name in pending for quantum in node.quanta
                }
            chosen = {id: at for id, at in chosen.items() if id not in ids or at[2] in _FOR_GOOD}
        return chosen

    def _not_run(self, id: int, node: str, root: int | None) -> QuantumOutcome:
        if root is not None:
            return QuantumOutcome(id, Status.BLOCKED, blocked_by=root)
        if (status := self._standing.pending.get(node)) is not None:
            return QuantumOutcome(id, status)
        if (reason := self._standing.refused.get(node)) is not None:
            return QuantumOutcome(
                id, Status.CANCELLED, reason=f"not started: {node} never got into the queue: {reason}"
            )
        return QuantumOutcome(id, Status.CANCELLED, reason=f"not started: its node {node} has not run")

    def _nodes(self, statuses: Mapping[int, Status]) -> Iterator[tuple[IndexedNode, Mapping[int, int]]]:
        """Yield each node, with the quantum that went wrong first for each quantum that cannot run."""
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
                yield node, roots


def best_attempts(directory: RunDirectory) -> dict[int, tuple[str, int, Status]]:
    """Return where the outcome that counts is of each quantum that has one.

    Returns
    -------
    chosen
        By id: name of the file, place in it, and status.  The last success counts, or the last attempt if none is one:
        a quantum that had succeeded runs again if its files were lost.
    """
    chosen: dict[int, tuple[str, int, Status]] = {}
    for attempt in read_attempts(directory.outcomes):
        for index, outcome in enumerate(attempt.outcomes):
            before = chosen.get(outcome.id)
            if before is None or outcome.status.unblocks or not before[2].unblocks:
                chosen[outcome.id] = attempt.path.name, index, outcome.status
    return chosen


def all_done(directory: RunDirectory) -> bool:
    """Return whether all quanta of a run have ended well."""
    chosen = best_attempts(directory)
    return len(chosen) == sum(directory.facts.labels.values()) and all(
        status.unblocks for _, _, status in chosen.values()
    )
