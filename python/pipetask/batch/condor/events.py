"""What jobs of a DAG are up to, and DAGMan itself, from the logs that HTCondor writes of their events."""

from __future__ import annotations

from typing import Any, assert_never

from ..status import Hold, NodeState, RunPhase
from .event_log import EventKind, EventLog, JobEvent
from .layout import Layout
from .memory import ends_by_itself, is_for_memory

__all__ = ["DagEvents", "DagmanEvents"]


class DagEvents:
    """What the nodes of a DAG are up to, by their name.

    Parameters
    ----------
    layout
        Where the log is.

    Attributes
    ----------
    states
        Of nodes that have been submitted, or that were done before.
    holds
        Nodes that are held, with the reason.
    out_of_memory
        Nodes that were ever held for memory.
    refused
        Nodes whose job never got into the queue.
    disconnected
        Nodes whose machine has not answered since the access point came back.
    first, last
        Times of the first and of the last event (ISO 8601, local time).
    """

    def __init__(self, layout: Layout):
        self._layout = layout
        self._log = EventLog(layout.node_log)
        self._begin()

    def _begin(self) -> None:
        self.states: dict[str, NodeState] = dict.fromkeys(self._layout.done_before(), NodeState.DONE)
        self.holds: dict[str, Hold] = {}
        self.out_of_memory: set[str] = set()
        self.refused: set[str] = set()
        self.disconnected: set[str] = set()
        self.first: str | None = None
        self.last: str | None = None
        self._names: dict[int, str] = {}

    @classmethod
    def read(cls, layout: Layout) -> DagEvents:
        """Read all events of a run so far."""
        events = cls(layout)
        events.update()
        return events

    def update(self) -> None:
        """Read the events that have come since the last time."""
        if self._log.begins_anew():
            self._begin()
        for event in self._log.news():
            self._take(event)

    def _take(self, event: JobEvent) -> None:
        if event.ad is not None:
            when = event.ad["EventTime"]
            self.first = self.first or when
            self.last = max(self.last or when, when)
        if event.kind is EventKind.SUBMIT and event.node is not None:
            self._names[event.cluster] = event.node
            self._set(event.node, NodeState.IDLE)
        elif event.kind is EventKind.POST_SCRIPT_TERMINATED and event.cluster < 0 and event.node is not None:
            # The script ran without a job: the schedd has not taken that.
            self._set(event.node, NodeState.FAILED)
            self.refused.add(event.node)
        elif name := self._names.get(event.cluster):
            self._job(name, event)

    def _job(self, name: str, event: JobEvent) -> None:
        match event.kind:
            case EventKind.EXECUTE | EventKind.RECONNECTED:
                self._set(name, NodeState.RUNNING)
            case EventKind.TERMINATED:
                self._set(name, NodeState.after(event.exit_code))
            case EventKind.HELD:
                self._held(name, event.ad)
            case EventKind.RELEASED | EventKind.EVICTED | EventKind.SUBMIT | EventKind.RECONNECT_FAILED:
                self._set(name, NodeState.IDLE)
            case EventKind.DISCONNECTED:
                self.disconnected.add(name)
            case EventKind.ABORTED:
                self._set(name, NodeState.FAILED)
            case EventKind.POST_SCRIPT_TERMINATED:
                pass  # what became of the job is known
            case unknown:
                assert_never(unknown)

    def _set(self, name: str, state: NodeState) -> None:
        self.states[name] = state
        self.holds.pop(name, None)
        self.refused.discard(name)
        self.disconnected.discard(name)

    def _held(self, name: str, ad: Any) -> None:
        code, subcode = int(ad.get("HoldReasonCode", 0)), int(ad.get("HoldReasonSubCode", 0))
        reason = str(ad.get("HoldReason", "no reason given"))
        self._set(name, NodeState.HELD)
        self.holds[name] = Hold(name, reason, code, subcode, ends_by_itself(code, subcode, reason))
        if is_for_memory(code, subcode, reason):
            self.out_of_memory.add(name)


class DagmanEvents:
    """The phase of the whole DAG, from the log of DAGMan's own job.

    Parameters
    ----------
    layout
        Where the log is.
    """

    def __init__(self, layout: Layout):
        self._log = EventLog(layout.dagman_log)
        self._phase = RunPhase.WRITTEN

    def phase(self) -> RunPhase:
        """Read what has come since the last time, and return where it has led."""
        if self._log.begins_anew():
            self._phase = RunPhase.WRITTEN
        for event in self._log.news():
            self._phase = _phase_after(event) or self._phase
        return self._phase


def _phase_after(event: JobEvent) -> RunPhase | None:
    match event.kind:
        case EventKind.SUBMIT | EventKind.EXECUTE | EventKind.RELEASED | EventKind.EVICTED:
            return RunPhase.RUNNING
        case EventKind.DISCONNECTED | EventKind.RECONNECTED | EventKind.RECONNECT_FAILED:
            return None  # DAGMan runs on the access point itself
        case EventKind.TERMINATED:
            return RunPhase.SUCCEEDED if event.exit_code == 0 else RunPhase.FAILED
        case EventKind.HELD:
            return RunPhase.HELD
        case EventKind.ABORTED:
            return RunPhase.CANCELLED
        case EventKind.POST_SCRIPT_TERMINATED:
            return None  # that of a larger DAG, which this one is a part of
        case unknown:
            assert_never(unknown)
