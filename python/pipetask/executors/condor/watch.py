"""Where a run stands, from what HTCondor leaves in files: so it works without daemons, and when all is over."""

from __future__ import annotations

from collections import Counter
from datetime import datetime

from ..delayed.run_directory import RunDirectory
from ..delayed.status import NodeState, RunPhase, RunStatus, tabulate
from .events import DagEvents, DagmanEvents
from .layout import Layout
from .node_status import NodeStatusFile

__all__ = ["RunWatch"]


class RunWatch:
    """Looks at a run as often as it is asked to, and reads only what is new.

    Parameters
    ----------
    directory
        The run.

    Notes
    -----
    Events of jobs are current, and say how each job has ended.  DAGMan's node status file comes later, and says what no
    job does: which nodes will never have one.
    """

    def __init__(self, directory: RunDirectory):
        self._directory = directory
        self._layout = Layout(directory.path)
        self._dagman = DagmanEvents(self._layout)
        self._events = DagEvents(self._layout)
        self._node_status = NodeStatusFile(self._layout.node_status)
        with directory.index() as index:
            self._sizes = index.counts()

    def look(self) -> RunStatus:
        """Return where the run stands now.

        Raises
        ------
        PipetaskError
            If a log cannot be read.
        """
        phase = self._dagman.phase()
        self._events.update()
        states = self._states(phase)
        nodes = Counter(states.values())
        if (
            phase is RunPhase.RUNNING
            and nodes[NodeState.HELD]
            and not nodes[NodeState.RUNNING] + nodes[NodeState.IDLE]
        ):
            phase = RunPhase.HELD
        counts = tabulate(self._directory, self._sizes, states)
        total = sum(counts.values(), Counter[NodeState]())
        rate = self._rate(total[NodeState.DONE])
        left = total[NodeState.WAITING] + total[NodeState.IDLE] + total[NodeState.RUNNING]
        return RunStatus(
            phase,
            counts,
            nodes,
            sorted(self._events.holds.values(), key=lambda hold: hold.node),
            [name for name, state in states.items() if state is NodeState.FAILED],
            rate,
            left / rate if rate and phase is RunPhase.RUNNING else None,
        )

    def _states(self, phase: RunPhase) -> dict[str, NodeState]:
        """Return the states of all nodes, by name."""
        # Where the run is over and has failed, nothing that waits will run.
        rest = NodeState.BLOCKED if phase is RunPhase.FAILED else NodeState.WAITING
        known = self._node_status.states() | self._events.states
        return {name: known.get(name, rest) for name in self._sizes}

    def _rate(self, done: int) -> float | None:
        """Return quanta a second since the first job of this submission was handed over."""
        events = self._events
        fresh = done - sum(sum(self._sizes.get(name, {}).values()) for name in self._layout.done_before())
        if events.first is None or events.last is None or fresh <= 0:
            return None
        seconds = (datetime.fromisoformat(events.last) - datetime.fromisoformat(events.first)).total_seconds()
        return fresh / seconds if seconds > 0 else None
