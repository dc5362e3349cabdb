"""Where a run stands, from what HTCondor leaves in files: so it works without daemons, and when all is over."""

from __future__ import annotations

import time
from collections import Counter
from datetime import datetime

from ..run_directory import RunDirectory
from ..status import ENDED, NodeState, RunPhase, RunStatus, tabulate
from .dag_text import FINAL
from .events import DagEvents, DagmanEvents
from .layout import Layout
from .node_status import NodeStatusFile
from .submit_errors import submit_errors

__all__ = ["RunWatch"]

_TIME_TO_SUBMIT = 30.0
"""Seconds that DAGMan may take to submit what can begin."""


class RunWatch:
    """Looks at a run as often as it is asked to, and reads only what is new.

    Parameters
    ----------
    directory
        The run.

    Attributes
    ----------
    states
        Of all nodes by name, when it was last looked.

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
        self.states: dict[str, NodeState] = {}
        with directory.index() as index:
            self._sizes = index.counts()

    def look(self) -> RunStatus:
        """Return where the run stands now.

        Raises
        ------
        PipetaskError
            If a log cannot be read.
        """
        self._events.update()
        phase = self._dagman.phase()
        self.states = self._states(phase)
        phase = self._verdict(phase)
        counts = tabulate(self._directory, self._sizes, self.states)
        total = sum(counts.values(), Counter[NodeState]())
        rate = self._rate(total[NodeState.DONE])
        left = total[NodeState.WAITING] + total[NodeState.IDLE] + total[NodeState.RUNNING]
        why = submit_errors(self._layout.dagman_out, self._events.refused)
        return RunStatus(
            phase,
            counts,
            Counter(self.states.values()),
            sorted(self._events.holds.values(), key=lambda hold: hold.node),
            [name for name, state in self.states.items() if state is NodeState.FAILED],
            why,
            sorted(self._events.disconnected),
            self._unregistered(phase),
            rate,
            left / rate if rate and phase is RunPhase.RUNNING else None,
        )

    def _verdict(self, phase: RunPhase) -> RunPhase:
        """Return what the run is up to, from what DAGMan's own job and all others are."""
        done = all(state is NodeState.DONE for state in self.states.values())
        if phase is RunPhase.RUNNING and self._is_stuck():
            return RunPhase.HELD
        if phase in (RunPhase.FAILED, RunPhase.CANCELLED) and done and self._directory.summary.exists():
            return RunPhase.SUCCEEDED  # somebody has registered by hand
        return phase

    def _is_stuck(self) -> bool:
        """Return whether nothing runs, nor will, until somebody has released a job."""
        holds, known = self._events.holds.values(), self._events.states.values()
        if not holds or any(state in (NodeState.RUNNING, NodeState.IDLE) for state in known):
            return False
        return not any(hold.passes for hold in holds) and not self._submits()

    def _submits(self) -> bool:
        """Return whether DAGMan has reason to submit another job, and has had no time for it yet."""
        changed = self._layout.node_log.stat().st_mtime if self._layout.node_log.exists() else 0.0
        if time.time() - changed > _TIME_TO_SUBMIT:
            return False
        with self._directory.index() as index:
            needs = index.needs()
        states = list(self.states.values())
        return any(
            state is NodeState.WAITING and all(states[number] in ENDED for number in before)
            for state, before in zip(states, needs, strict=True)
        )

    def _unregistered(self, phase: RunPhase) -> str | None:
        """Return why a run that is over has not been registered."""
        directory = self._directory
        if not directory.facts.repository or not phase.over or directory.summary.exists():
            return None
        if phase is RunPhase.SUCCEEDED:
            return None
        if said := directory.why_unregistered():
            return said
        if FINAL in self._events.states:
            return f"the final job was removed, or ended without a word (see {directory.path}/logs/{FINAL}.*.err)"
        reason = submit_errors(self._layout.dagman_out, {FINAL}).get(FINAL)
        return f"the final job never got into the queue: {reason}" if reason else "the final job has not run"

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
