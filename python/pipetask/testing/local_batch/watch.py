"""What the local batch system says of a run."""

from __future__ import annotations

from typing import Any

from ...batch.pilots.watch import PilotWatch
from ...batch.run_directory import RunDirectory
from ...batch.status import NodeState, RunPhase
from ...batch.system import Snapshot, SystemWatch
from .journal import Journal

__all__ = ["LocalWatch"]


class LocalWatch(SystemWatch):
    """Reads the journal of a run.

    Parameters
    ----------
    directory
        The run.
    """

    def __init__(self, directory: RunDirectory):
        self._directory = directory
        self._journal = Journal(directory.path)
        self._pilots = PilotWatch(directory) if self._journal.settings().pilots else None
        self._phase = RunPhase.WRITTEN
        self._forget()

    def _forget(self) -> None:
        self._states: dict[str, NodeState] = {}
        self._refused: dict[str, str] = {}
        self._done_before: list[str] = []
        self._first = self._last = 0.0

    def phase(self) -> RunPhase:
        """Return the phase of the run; it is lost if its driver ended without a record of that."""
        # In this order, so that the last word of a driver that ends now is not missed.
        driven = self._journal.is_driven()
        self._update()
        if driven:
            return RunPhase.RUNNING
        return RunPhase.CANCELLED if self._phase is RunPhase.RUNNING else self._phase

    def look(self) -> Snapshot:
        """Read what has come since the last time."""
        phase, notes = self.phase(), list[str]()
        states = dict(self._states)
        if self._pilots is not None:
            found, notes = self._pilots.look(over=phase.over)
            states |= found
        return Snapshot(
            phase=phase,
            states=states,
            notes=notes,
            refused=dict(self._refused),
            elapsed=self._last - self._first,
            changed=self._last,
            done_before=self._done_before,
        )

    def why_refused(self, node: str) -> str | None:
        """Return the reason that the driver has noted."""
        return self._refused.get(node)

    def _update(self) -> None:
        for event in self._journal.news():
            self._take(event)

    def _take(self, event: dict[str, Any]) -> None:
        match event:
            case {"run": "running", "done": done, "time": when}:
                self._forget()
                self._phase, self._first, self._done_before = RunPhase.RUNNING, when, done
                self._states = dict.fromkeys(done, NodeState.DONE)
            case {"run": phase}:
                self._phase = RunPhase(phase)
            case {"node": name, "state": state}:
                self._states[name] = NodeState(state)
                if why := event.get("why"):
                    self._refused[name] = why
            case other:
                raise ValueError(f"unknown event {other}")
        self._last = event["time"]
