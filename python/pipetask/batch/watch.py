"""Where a batch run stands: what the batch system says of its nodes, and outcomes of its quanta."""

from __future__ import annotations

import time
from collections import Counter

from .attempt_ends import AttemptEnds
from .exit_codes import FINAL_CODES
from .names import FINAL
from .run_directory import RunDirectory
from .status import ENDED, NodeState, RunPhase, RunStatus, tabulate
from .system import Snapshot
from .systems import system_of

__all__ = ["RunWatch"]

_REST = {RunPhase.FAILED: NodeState.BLOCKED, RunPhase.CANCELLED: NodeState.CANCELLED}
"""States of nodes that were still waiting when the run ended, by its phase."""

_TIME_TO_SUBMIT = 30.0
"""Seconds that the batch system may take to submit what can begin."""


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

    Raises
    ------
    PipetaskError
        If the run's batch system is not installed here.
    """

    def __init__(self, directory: RunDirectory):
        self._directory = directory
        self._watch = system_of(directory).watch(directory)
        self._ends = AttemptEnds(directory.outcomes)
        self.states: dict[str, NodeState] = {}
        with directory.index() as index:
            self._sizes = index.counts()

    def look(self) -> RunStatus:
        """Return where the run stands now.

        Raises
        ------
        PipetaskError
            If the batch system cannot say.
        """
        seen = self._watch.look()
        rest = _REST.get(seen.phase, NodeState.WAITING)
        self.states = {name: seen.states.get(name, rest) for name in self._sizes}
        if seen.phase is RunPhase.CANCELLED:
            self._take_as_cancelled(seen)
        phase = self._verdict(seen)
        counts = tabulate(self._directory, self._sizes, self.states)
        total = sum(counts.values(), Counter[NodeState]())
        rate = self._rate(seen, total[NodeState.DONE])
        failed = [name for name, state in self.states.items() if state is NodeState.FAILED]
        left = total[NodeState.WAITING] + total[NodeState.IDLE] + total[NodeState.RUNNING]
        return RunStatus(
            phase,
            counts,
            Counter(self.states.values()),
            sorted(seen.holds, key=lambda hold: hold.node),
            failed,
            seen.refused,
            sorted(seen.disconnected),
            self._unregistered(phase, seen),
            rate,
            left / rate if rate and phase is RunPhase.RUNNING else None,
            {name: said for name in failed if (said := self.how_ended(name)) is not None},
            seen.notes,
        )

    def _take_as_cancelled(self, seen: Snapshot) -> None:
        """Show as cancelled what a run that was cancelled has not brought to its end, as the report does."""
        attempts = self._ends.look()
        for number, (name, state) in enumerate(self.states.items()):
            if number in attempts and attempts[number].exit_code in FINAL_CODES:
                # Also if its job was killed just after it had noted its end.
                self.states[name] = NodeState.after(attempts[number].exit_code)
            elif state not in ENDED or (state is NodeState.FAILED and name not in seen.refused):
                self.states[name] = NodeState.CANCELLED

    def how_ended(self, node: str) -> str | None:
        """Return how the last job of a node ended, if it was ended from outside and nothing else tells that."""
        return self._watch.how_ended(node)

    def _verdict(self, seen: Snapshot) -> RunPhase:
        """Return the phase of the run, from what the system reports of the whole run and of all its nodes."""
        done = all(state is NodeState.DONE for state in self.states.values())
        if seen.phase is RunPhase.RUNNING and self._is_stuck(seen):
            return RunPhase.HELD
        if seen.phase in (RunPhase.FAILED, RunPhase.CANCELLED) and done and self._directory.summary.exists():
            return RunPhase.SUCCEEDED  # it was registered by hand
        return seen.phase

    def _is_stuck(self, seen: Snapshot) -> bool:
        """Return whether nothing runs, nor will, until a person has released a job."""
        states = seen.states.values()
        if not seen.holds or any(state in (NodeState.RUNNING, NodeState.IDLE) for state in states):
            return False
        return not any(hold.passes for hold in seen.holds) and not self._submits(seen)

    def _submits(self, seen: Snapshot) -> bool:
        """Return whether there is reason to submit another job, and has been no time for it yet."""
        if time.time() - seen.changed > _TIME_TO_SUBMIT:
            return False
        with self._directory.index() as index:
            needs = index.needs()
        states = list(self.states.values())
        return any(
            state is NodeState.WAITING and all(states[number] in ENDED for number in before)
            for state, before in zip(states, needs, strict=True)
        )

    def _unregistered(self, phase: RunPhase, seen: Snapshot) -> str | None:
        """Return why a run that is over has not been registered."""
        directory = self._directory
        if not directory.facts.repository or not phase.over or directory.summary.exists():
            return None
        if phase is RunPhase.SUCCEEDED:
            return None
        if said := directory.why_unregistered():
            return said
        if FINAL in seen.states:
            return f"the final job was removed, or ended without a word (see {directory.path}/logs/{FINAL}.*.err)"
        reason = self._watch.why_refused(FINAL)
        return f"the final job never got into the queue: {reason}" if reason else "the final job has not run"

    def _rate(self, seen: Snapshot, done: int) -> float | None:
        """Return quanta a second in this submission."""
        fresh = done - sum(sum(self._sizes.get(name, {}).values()) for name in seen.done_before)
        return fresh / seen.elapsed if seen.elapsed and fresh > 0 else None
