"""Where a DAG stands, from the logs that HTCondor leaves: so it works without daemons, and when all is over."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum
from pathlib import Path
from typing import Any

from ..delayed.run_directory import RunDirectory
from ..delayed.status import Hold, NodeState, RunPhase, RunStatus, tabulate
from .bindings import condor, says_condor
from .layout import Layout
from .memory import MEMORY_HOLD

__all__ = ["DagEvents", "run_status"]

_NODE = re.compile(r"DAG Node: (\S+)")


class _Type(IntEnum):
    """Numbers of HTCondor's event types, as in its job event logs."""

    SUBMIT = 0
    EXECUTE = 1
    EVICTED = 4
    TERMINATED = 5
    ABORTED = 9
    HELD = 12
    RELEASED = 13


@dataclass
class DagEvents:
    """What the nodes of a DAG are up to, by their name.

    Attributes
    ----------
    states
        Of nodes that have been submitted, or that were done before.
    holds
        Nodes that are held, with the reason.
    out_of_memory
        Nodes that were ever held for memory.
    first, last
        Times of the first and of the last event (ISO 8601, local time).
    """

    states: dict[str, NodeState] = field(default_factory=dict)
    holds: dict[str, Hold] = field(default_factory=dict)
    out_of_memory: set[str] = field(default_factory=set)
    first: str | None = None
    last: str | None = None
    _names: dict[int, str] = field(default_factory=dict)

    @classmethod
    def read(cls, layout: Layout) -> DagEvents:
        """Read all events of a run so far."""
        events = cls(dict.fromkeys(layout.done_before(), NodeState.DONE))
        events.take(_events(layout.node_log))
        return events

    def take(self, news: Iterable[Any]) -> None:
        """Take note of events of jobs."""
        for event in news:
            when = event["EventTime"]
            self.first = self.first or when
            self.last = max(self.last or when, when)
            cluster = event.get("Cluster", -1)
            kind = event["EventTypeNumber"]
            if kind == _Type.SUBMIT:
                if found := _NODE.search(event.get("LogNotes", "")):
                    self._names[cluster] = found.group(1)
                    self._set(found.group(1), NodeState.IDLE)
            elif name := self._names.get(cluster):
                self._job(name, kind, event)

    def _job(self, name: str, kind: int, event: Any) -> None:
        match kind:
            case _Type.EXECUTE:
                self._set(name, NodeState.RUNNING)
            case _Type.TERMINATED:
                good = event.get("TerminatedNormally", False) and event.get("ReturnValue", 1) == 0
                self._set(name, NodeState.DONE if good else NodeState.FAILED)
            case _Type.HELD:
                self._held(name, event)
            case _Type.RELEASED | _Type.EVICTED:
                self._set(name, NodeState.IDLE)
            case _Type.ABORTED:
                self._set(name, NodeState.FAILED)
            case _:
                pass  # how large it is, whether it is connected, …: the state stays

    def _set(self, name: str, state: NodeState) -> None:
        self.states[name] = state
        self.holds.pop(name, None)

    def _held(self, name: str, event: Any) -> None:
        code, subcode = int(event.get("HoldReasonCode", 0)), int(event.get("HoldReasonSubCode", 0))
        reason = str(event.get("HoldReason", "no reason given"))
        self._set(name, NodeState.HELD)
        self.holds[name] = Hold(name, reason, code, subcode)
        if MEMORY_HOLD in (code, subcode) or (code in (21, 26) and "memory" in reason.lower()):
            self.out_of_memory.add(name)


def run_status(directory: RunDirectory) -> RunStatus:
    """Return where a run stands."""
    layout = Layout(directory.path)
    events = DagEvents.read(layout)
    with directory.index() as index:
        sizes = {name: sum(counts.values()) for name, counts in index.counts().items()}
    nodes = Counter(events.states.get(name, NodeState.WAITING) for name in sizes)
    counts = tabulate(directory, events.states)
    total = sum(counts.values(), Counter[NodeState]())
    phase = dag_phase(layout)
    if (
        phase is RunPhase.RUNNING
        and nodes[NodeState.HELD]
        and not nodes[NodeState.RUNNING] + nodes[NodeState.IDLE]
    ):
        phase = RunPhase.HELD
    before = sum(sizes.get(name, 0) for name in layout.done_before())
    rate = _rate(events, total[NodeState.DONE] - before)
    left = total[NodeState.WAITING] + total[NodeState.IDLE] + total[NodeState.RUNNING]
    return RunStatus(
        phase,
        counts,
        nodes,
        sorted(events.holds.values(), key=lambda hold: hold.node),
        [name for name in sizes if events.states.get(name) is NodeState.FAILED],
        rate,
        left / rate if rate and phase is RunPhase.RUNNING else None,
    )


def dag_phase(layout: Layout) -> RunPhase:
    """Return what the DAG as a whole is up to, from the log of DAGMan's own job."""
    phase = RunPhase.WRITTEN
    for event in _events(layout.dagman_log):
        match event["EventTypeNumber"]:
            case _Type.SUBMIT | _Type.EXECUTE | _Type.RELEASED | _Type.EVICTED:
                phase = RunPhase.RUNNING
            case _Type.TERMINATED:
                good = event.get("TerminatedNormally", False) and event.get("ReturnValue", 1) == 0
                phase = RunPhase.SUCCEEDED if good else RunPhase.FAILED
            case _Type.HELD:
                phase = RunPhase.HELD
            case _Type.ABORTED:
                phase = RunPhase.CANCELLED
            case _:
                pass
    return phase


def _events(log: Path) -> Iterator[Any]:
    if not log.exists():
        return
    with says_condor(f"{log} cannot be read"):
        source = condor().JobEventLog(str(log))
        yield from source.events(stop_after=0)
        source.close()


def _rate(events: DagEvents, done: int) -> float | None:
    """Return quanta a second since the first job of this submission was handed over."""
    if events.first is None or events.last is None or done <= 0:
        return None
    seconds = (datetime.fromisoformat(events.last) - datetime.fromisoformat(events.first)).total_seconds()
    return done / seconds if seconds > 0 else None
