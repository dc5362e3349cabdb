"""Where a run stands, for people and for scripts."""

from __future__ import annotations

import socket
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from ..batch.index import IndexedQuantum, NodeIndex
from ..batch.status import RunPhase, RunStatus
from ..journal.reader import JournaledQuantum
from ..journal.records import Started
from ..observe.failures import what_failed
from ..observe.running_now import resident_size
from ..outcome import QuantumOutcome

__all__ = ["MOST_FAILURES", "FailedQuantum", "RunView", "RunningNow", "named"]

MOST_FAILURES = 1000
"""Latest failures that a view has."""


def named(index: NodeIndex, quantum: IndexedQuantum) -> JournaledQuantum:
    """Return a quantum of a batch run as a journal would name it."""
    data_id = dict(zip(index.dimensions[quantum.task], quantum.data_values, strict=True))
    return JournaledQuantum(quantum.id, index.labels[quantum.task], data_id, index.quantum_id(quantum))


@dataclass(frozen=True)
class RunningNow:
    """A quantum that runs."""

    label: str
    data_id: Mapping[str, Any]
    quantum_id: uuid.UUID
    start: float
    """In seconds since 1970-01-01 UTC."""

    host: str | None = None
    pid: int | None = None
    attempt: int = 1
    memory: int | None = None
    """Bytes that are resident now; known on this host only."""

    usual: float | None = None
    """Seconds that quanta of its label usually take."""

    @classmethod
    def of(cls, quantum: JournaledQuantum, started: Started, usual: float | None) -> Self:
        """Return a quantum as a journal has it, with the memory that its process has now."""
        return cls(
            quantum.label,
            quantum.data_id,
            quantum.quantum_id,
            started.start,
            started.host,
            started.pid,
            started.attempt,
            resident_size(started.pid) if started.host == socket.gethostname() else None,
            usual,
        )

    def seconds(self, now: float) -> float:
        """Return how long it has been running."""
        return max(0.0, now - self.start)

    def slowness(self, now: float) -> float:
        """Return how many times its usual time it has taken already; 0 if that is not known."""
        return self.seconds(now) / self.usual if self.usual else 0.0


@dataclass(frozen=True)
class FailedQuantum:
    """A quantum that failed."""

    label: str
    data_id: Mapping[str, Any]
    quantum_id: uuid.UUID
    status: str
    what: str
    """One line."""

    end: float | None = None
    log: str | None = None

    @classmethod
    def of(cls, quantum: JournaledQuantum, outcome: QuantumOutcome) -> Self:
        """Return a failure in short."""
        return cls(
            quantum.label,
            quantum.data_id,
            quantum.quantum_id,
            outcome.status.value,
            what_failed(outcome),
            outcome.end,
            outcome.log,
        )


@dataclass(frozen=True)
class RunView:
    """Where a run stands, what runs, and what has failed."""

    name: str
    """Its output run, or its folder."""

    place: str
    """Run directory, or journal."""

    status: RunStatus
    start: float | None = None
    end: float | None = None
    """When it ended, or when it was last heard of if it ended without a word."""

    host: str | None = None
    pid: int | None = None
    command: Sequence[str] = ()
    running: Sequence[RunningNow] = ()
    failures: Sequence[FailedQuantum] = ()
    """The latest, oldest first."""

    n_failures: int = 0
    resume: str | None = None
    """Command that goes on with a run that has ended early."""

    now: float = field(default_factory=time.time)
    """When this was found out."""

    @property
    def phase(self) -> RunPhase:
        """The state of the run as a whole."""
        return self.status.phase

    def json(self) -> dict[str, Any]:
        """Return plain values for `json.dumps`."""
        return {
            "run": self.name,
            "place": self.place,
            "start": self.start,
            "end": self.end,
            "host": self.host,
            "pid": self.pid,
            "command": list(self.command),
            **self.status.json(),
            "running": [self._running(each) for each in self.running],
            "failures": [
                {
                    "label": each.label,
                    "dataId": dict(each.data_id),
                    "quantumId": str(each.quantum_id),
                    "outcome": each.status,
                    "what": each.what,
                    "end": each.end,
                    "log": each.log,
                }
                for each in self.failures
            ],
            "numberOfFailures": self.n_failures,
            "resume": self.resume,
        }

    def _running(self, each: RunningNow) -> dict[str, Any]:
        return {
            "label": each.label,
            "dataId": dict(each.data_id),
            "quantumId": str(each.quantum_id),
            "start": each.start,
            "seconds": each.seconds(self.now),
            "usualSeconds": each.usual,
            "host": each.host,
            "pid": each.pid,
            "attempt": each.attempt,
            "memory": each.memory,
        }
