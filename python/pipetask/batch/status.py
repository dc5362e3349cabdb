"""Where a batch run stands: how many quanta of each label are in which state."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from ..outcome import Status
from .exit_codes import ExitCode
from .ledger import Ledger, NodeRecord
from .run_directory import RunDirectory

__all__ = ["ENDED", "Hold", "NodeState", "RunPhase", "RunStatus", "tabulate"]


class NodeState(Enum):
    """The state of a node, or of a quantum in it."""

    WAITING = "waiting"
    """For other nodes, or until it is submitted."""

    IDLE = "idle"
    """Submitted, but no machine has been assigned yet."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    BLOCKED = "blocked"
    """Needs something that failed: it will not run unless the run is restarted."""

    CANCELLED = "cancelled"
    """Interrupted, or not begun, when the run was cancelled: it will not run unless the run is restarted."""

    HELD = "held"

    @classmethod
    def after(cls, exit_code: int | None) -> NodeState:
        """Return the state of a node after its last attempt, from the exit code; `None` if that was killed."""
        match exit_code:
            case ExitCode.DONE:
                return cls.DONE
            case ExitCode.BLOCKED:
                return cls.BLOCKED
            case _:
                return cls.FAILED


ENDED = frozenset({NodeState.DONE, NodeState.FAILED, NodeState.BLOCKED, NodeState.CANCELLED})
"""States of nodes that will not run unless the run is restarted."""


class RunPhase(Enum):
    """The state of the run as a whole."""

    WRITTEN = "written"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    HELD = "held"
    """Nothing runs and something is held: a person has to act."""

    CANCELLED = "cancelled"
    DIED = "died"
    """Of a run on one machine: its process has ended without a word, because it was killed, say."""

    @property
    def over(self) -> bool:
        """Whether nothing more will run unless the run is restarted."""
        return self in (RunPhase.SUCCEEDED, RunPhase.FAILED, RunPhase.CANCELLED, RunPhase.DIED)

    @property
    def exit_code(self) -> int:
        """What ``pipetask status`` exits with."""
        return _EXIT_CODES[self]


_EXIT_CODES = {
    RunPhase.SUCCEEDED: 0,
    RunPhase.FAILED: 1,
    RunPhase.RUNNING: 3,
    RunPhase.HELD: 4,
    RunPhase.CANCELLED: 5,
    RunPhase.WRITTEN: 6,
    RunPhase.DIED: 7,
}


@dataclass(frozen=True)
class Hold:
    """A node that is held."""

    node: str
    reason: str
    code: int
    subcode: int
    passes: bool = False
    """Whether it ends by itself: the job is started again, or the node is given up."""


@dataclass(frozen=True)
class RunStatus:
    """Where a run stands."""

    phase: RunPhase
    counts: Mapping[str, Counter[NodeState]]
    """Number of quanta by label and state, in pipeline order."""

    nodes: Counter[NodeState]
    holds: list[Hold] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    """Names of nodes that failed."""

    reasons: Mapping[str, str] = field(default_factory=dict)
    """For failed nodes whose job never got into the queue: the reason."""

    disconnected: list[str] = field(default_factory=list)
    """Names of nodes whose jobs wait for a machine that does not answer."""

    unregistered: str | None = None
    """Why outputs have not been registered although the run is over."""

    rate: float | None = None
    """Quanta per second since the run was submitted."""

    seconds_left: float | None = None
    ended: Mapping[str, str] = field(default_factory=dict)
    """For failed nodes whose job was ended from outside: how."""

    notes: Sequence[str] = ()
    """What else is to be said, one line each."""

    @property
    def total(self) -> Counter[NodeState]:
        """Number of quanta by state."""
        return sum(self.counts.values(), Counter[NodeState]())

    def json(self) -> dict[str, Any]:
        """Return plain values for `json.dumps`."""
        return {
            "phase": self.phase.value,
            "quanta": {label: {s.value: n for s, n in c.items() if n} for label, c in self.counts.items()},
            "nodes": {state.value: number for state, number in self.nodes.items()},
            "held": [hold.__dict__ for hold in self.holds],
            "failed": self.failed,
            "reasons": {**self.reasons, **self.ended},
            "disconnected": self.disconnected,
            "unregistered": self.unregistered,
            "rate": self.rate,
            "secondsLeft": self.seconds_left,
            "notes": list(self.notes),
        }


def tabulate(
    directory: RunDirectory, sizes: Mapping[str, Mapping[str, int]], states: Mapping[str, NodeState]
) -> dict[str, Counter[NodeState]]:
    """Count quanta by label and state.

    Parameters
    ----------
    directory
        The run.
    sizes
        Number of quanta by node and label, as the index has it.
    states
        States of all nodes, in the same order.

    Notes
    -----
    Quanta of a node that is done are done, and those of a node that has not begun are what it is.  Only for others
    the outcomes are looked at, one by one.
    """
    table = {label: Counter[NodeState]() for label in directory.facts.labels}
    parted = {number for number, state in enumerate(states.values()) if state in _PARTED}
    records = {record.number: record for record in Ledger(directory).nodes(parted)}
    with directory.index() as index:
        for number, (state, counts) in enumerate(zip(states.values(), sizes.values(), strict=True)):
            if number not in records:
                for label, count in counts.items():
                    table[label][_of_rest(state)] += count
                continue
            ended = _ended(records[number], over=state is NodeState.CANCELLED)
            for quantum in index.node(str(number)).quanta:
                table[index.labels[quantum.task]][ended.get(quantum.id, _of_rest(state))] += 1
    return table


_PARTED = frozenset(
    {NodeState.RUNNING, NodeState.FAILED, NodeState.BLOCKED, NodeState.CANCELLED, NodeState.HELD}
)
"""States of nodes whose quanta may be in different states."""


def _of_rest(state: NodeState) -> NodeState:
    """Return the state of the quanta without an outcome in a node of some state."""
    return NodeState.BLOCKED if state is NodeState.FAILED else state


def _ended(record: NodeRecord, *, over: bool) -> dict[int, NodeState]:
    """Return which quanta of a node are done or failed; blocked ones may still run, unless all is over."""
    found = {}
    for id, outcome in record.counting.items():
        if outcome.status.unblocks:
            found[id] = NodeState.DONE
        elif outcome.status.is_failure:
            found[id] = NodeState.FAILED
        elif over and outcome.status is Status.BLOCKED:
            found[id] = NodeState.BLOCKED
    return found
