"""The state of a run from the files that HTCondor writes; works without daemons, and after the end."""

from __future__ import annotations

from datetime import datetime

from ..names import FINAL
from ..run_directory import RunDirectory
from ..status import RunPhase
from ..system import Snapshot, SystemWatch
from .events import DagEvents, DagmanEvents
from .layout import Layout
from .node_status import NodeStatusFile
from .submit_errors import submit_errors

__all__ = ["CondorWatch"]


class CondorWatch(SystemWatch):
    """Reads the logs of a run.

    Parameters
    ----------
    directory
        The run.

    Notes
    -----
    Job events are current and show how each job has ended.  Only DAGMan's node status file, which comes later, shows
    which nodes will never have a job.
    """

    def __init__(self, directory: RunDirectory):
        self._layout = Layout(directory.path)
        self._dagman = DagmanEvents(self._layout)
        self._events = DagEvents(self._layout)
        self._node_status = NodeStatusFile(self._layout.node_status)

    def phase(self) -> RunPhase:
        """Return the phase of the run, from the state of DAGMan's own job."""
        return self._dagman.phase()

    def look(self) -> Snapshot:
        """Read what has come since the last time."""
        self._events.update()
        phase, events, log = self._dagman.phase(), self._events, self._layout.node_log
        account = self._node_status.states()
        return Snapshot(
            phase=phase,
            # DAGMan also counts a final job as failed if it never got into the queue.
            states={name: account[name] for name in account if name != FINAL} | events.states,
            holds=list(events.holds.values()),
            refused=submit_errors(self._layout.dagman_out, events.refused),
            disconnected=list(events.disconnected),
            elapsed=self._elapsed(),
            changed=log.stat().st_mtime if log.exists() else 0.0,
            done_before=list(self._layout.done_before()),
        )

    def why_refused(self, node: str) -> str | None:
        """Return what DAGMan says of a node whose job it could not submit."""
        return submit_errors(self._layout.dagman_out, {node}).get(node)

    def _elapsed(self) -> float | None:
        """Return the seconds since the first job of this submission was handed over."""
        first, last = self._events.first, self._events.last
        if first is None or last is None:
            return None
        return (datetime.fromisoformat(last) - datetime.fromisoformat(first)).total_seconds()
