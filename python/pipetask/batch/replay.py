"""An execution model that executes nothing: it replays the outcomes that the jobs of a batch run have recorded."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass, field, replace

from ..errors import RegistrationError
from ..executors.base import ExecutionContext, QuantumExecutor, Traits
from ..graph.enumeration import QuantumData
from ..outcome import QuantumOutcome, Status
from .ledger import Ledger
from .names import FINAL
from .node_commands import rerun_command
from .run_directory import RunDirectory

__all__ = ["ReplayExecutor", "Standing"]


@dataclass(frozen=True)
class Standing:
    """What the batch system knows about a run beyond the outcomes."""

    pending: Mapping[str, Status] = field(default_factory=dict)
    """Nodes that may still run, by name, with the status to report for their unfinished quanta."""

    refused: Mapping[str, str] = field(default_factory=dict)
    """Nodes that never got into the queue, by name, with the reason."""

    how_ended: Callable[[str], str | None] = lambda node: None
    """Tells how the last job of a node ended, if it was ended from outside."""

    goes_on: bool = False
    unregistered: str | None = None
    """Why outputs have not been registered, if they should have been."""


class ReplayExecutor(QuantumExecutor):
    """Yields the outcomes of a batch run, so that they are registered and summarised like those of any run.

    Parameters
    ----------
    directory
        The run.
    register
        Whether outputs are to be registered; otherwise the repository is only read.
    standing
        What the batch system knows; by default the run is over.
    """

    traits = Traits(replays=True)

    def __init__(self, directory: RunDirectory, *, register: bool, standing: Standing | None = None):
        self._directory = directory
        self._standing = standing or Standing()
        self.batch_run = directory.facts.id
        self.traits = replace(
            self.traits,
            executes=register,
            goes_on=self._standing.goes_on,
            register_again=rerun_command(directory, FINAL),
        )

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
        ledger = Ledger(self._directory)
        pending = self._pending()
        statuses: dict[int, Status] = {}
        for record in ledger.nodes():
            for outcome in record.outcomes():
                if record.number in pending and not outcome.status.is_final:
                    continue  # another attempt will replace it
                statuses[outcome.id] = outcome.status
                if outcome.id in wanted:
                    yield outcome
        for verdict in ledger.missing(statuses):
            wanted.difference_update(quantum.id for quantum in verdict.node.quanta)
            for id, root in verdict.blocked.items():
                yield QuantumOutcome(id, Status.BLOCKED, blocked_by=root)
            for id in verdict.lost:
                yield self._not_run(id, verdict.node.name)
        # What is in the graph and in no node was done before the run was written.
        for id in sorted(wanted):
            yield QuantumOutcome(id, Status.SKIPPED, reason="done already when the run was written")
        if self._standing.unregistered is not None:
            raise RegistrationError(f"What is done has not been registered: {self._standing.unregistered}")

    def _pending(self) -> set[int]:
        """Return the numbers of the nodes that may still run."""
        if not (pending := self._standing.pending):
            return set()
        with self._directory.index() as index:
            return {number for number, name in enumerate(index.counts()) if name in pending}

    def _not_run(self, id: int, node: str) -> QuantumOutcome:
        if (status := self._standing.pending.get(node)) is not None:
            return QuantumOutcome(id, status)
        if (reason := self._standing.refused.get(node)) is not None:
            return QuantumOutcome(
                id, Status.CANCELLED, reason=f"not started: {node} never got into the queue: {reason}"
            )
        if (how := self._standing.how_ended(node)) is not None:
            return QuantumOutcome(
                id, Status.CANCELLED, reason=f"its node {node} did not get to its end: {how}"
            )
        return QuantumOutcome(id, Status.CANCELLED, reason=f"not started: its node {node} has not run")
