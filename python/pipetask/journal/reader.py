"""Read the journal of a run on this machine, while it is written or later."""

from __future__ import annotations

import socket
import time
import uuid
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from ..executors.process_identity import boot_id, process_start
from ..outcome import QuantumOutcome, Status, Transaction
from .facts import RunBegin, RunEnd
from .outcome_record import from_record
from .records import Started, TailOfRecords, plain_loads

__all__ = ["JournalReader", "JournaledQuantum", "Life", "usual"]

_SILENCE = 60.0
"""Seconds without news after which a run on another machine is believed to be over: it touches its journal sooner."""

_SAMPLE = 1001
"""Most recent durations of a label that are kept, for its usual time."""


@dataclass(frozen=True, slots=True)
class JournaledQuantum:
    """A quantum as a journal names it: no graph is needed."""

    id: int
    label: str
    data_id: Mapping[str, Any]
    quantum_id: uuid.UUID

    def describe(self) -> str:
        """Return label and data ID, for messages."""
        values = ", ".join(f"{name}={value!r}" for name, value in self.data_id.items())
        return f"{self.label} ({values})"


@dataclass
class Life:
    """Whether the process of a run lives."""

    alive: bool
    last: float
    """When its journal was last written to."""


@dataclass
class JournalReader:
    """Reads a journal; what is new is read when `news` is called.

    Whatever is wrong with the file, what can be read is told: a record that was cut off ends it.
    """

    path: Path
    begin: RunBegin | None = None
    """`None` while the first record is not complete."""

    end: RunEnd | None = None
    counts: dict[str, Counter[Status]] = field(default_factory=dict)
    """Number of ended quanta by label and status."""

    running: dict[int, tuple[JournaledQuantum, Started]] = field(default_factory=dict)
    durations: dict[str, deque[float]] = field(default_factory=dict)
    """Seconds that recent successes took, by label."""

    recent: deque[float] = field(default_factory=lambda: deque(maxlen=500))
    """When the last quanta that ran have ended."""

    transactions: list[Transaction] = field(default_factory=list)
    """Those that have registered outputs."""

    def __post_init__(self) -> None:
        self._tail = TailOfRecords(self.path, plain_loads)
        self._ended: set[int] = set()

    def news(self) -> Iterator[tuple[JournaledQuantum, QuantumOutcome]]:
        """Yield the outcomes that are new since the last call.

        Raises
        ------
        PipetaskError
            If the file is of another version.
        OSError
            If it cannot be read.
        """
        for record in self._tail.news():
            match record:
                case {"record": "run"}:
                    self.begin = RunBegin.from_record(record)
                    self.counts = {label: Counter() for label in self.begin.labels}
                case {"record": "end"}:
                    self.end = RunEnd.from_record(record)
                    self.running.clear()
                case {"record": "started", "id": id} if id not in self._ended:
                    self.running[id] = self._named(record), Started.from_record(record)
                case {"status": _}:
                    yield self._take(record)
                case {"record": "registered", **values}:
                    self.transactions.append(Transaction(**values))
                case _:
                    pass  # a later version may write more

    def _take(self, record: dict[str, Any]) -> tuple[JournaledQuantum, QuantumOutcome]:
        quantum = self._named(record)
        outcome = from_record(record, self.path)
        self._ended.add(outcome.id)
        self.running.pop(outcome.id, None)
        self.counts.setdefault(quantum.label, Counter())[outcome.status] += 1
        if outcome.start is not None and outcome.end is not None:
            self.recent.append(outcome.end)
            if outcome.status is Status.SUCCEEDED:
                sample = self.durations.setdefault(quantum.label, deque(maxlen=_SAMPLE))
                sample.append(outcome.end - outcome.start)
        return quantum, outcome

    def _named(self, record: dict[str, Any]) -> JournaledQuantum:
        """Take from a record what names the quantum."""
        task, values, id_bytes = record.pop("label"), record.pop("data"), record.pop("quantum")
        labels = list(self.begin.labels) if self.begin else []
        known = 0 <= task < len(labels)
        names = self.begin.dimensions[task] if self.begin and known else [str(n) for n in range(len(values))]
        return JournaledQuantum(
            record["id"],
            labels[task] if known else "?",
            dict(zip(names, values, strict=False)),
            uuid.UUID(bytes=id_bytes),
        )

    @property
    def total(self) -> int:
        """Number of quanta that take part."""
        return sum(self.begin.labels.values()) if self.begin else 0

    @property
    def elapsed(self) -> float:
        """Seconds from the start to the end, or until now, or to the last sign of life."""
        if self.begin is None:
            return 0.0
        if self.end is not None:
            return self.end.end - self.begin.start
        life = self.life()
        return max(0.0, (time.time() if life.alive else life.last) - self.begin.start)

    def rate(self) -> float | None:
        """Return how many quanta that run end in a second, of late while the run lives, else on the whole."""
        if not self.recent:
            return None
        full = len(self.recent) == self.recent.maxlen
        if full and self.end is None and self.life().alive and (span := time.time() - self.recent[0]) > 0:
            return len(self.recent) / span
        ran = sum(n for c in self.counts.values() for status, n in c.items() if status is not Status.SKIPPED)
        return ran / elapsed if (elapsed := self.elapsed) > 0 else None

    def life(self) -> Life:
        """Return whether the process of the run lives, as far as can be known here."""
        try:
            last = self.path.stat().st_mtime
        except OSError:
            last = 0.0
        begin = self.begin
        if self.end is not None or begin is None:
            return Life(self.end is None and time.time() - last < _SILENCE, last)
        if begin.host != socket.gethostname():
            return Life(time.time() - last < _SILENCE, last)
        same = begin.boot == boot_id() and begin.process == process_start(begin.pid)
        return Life(same and begin.process is not None, last)


def usual(sample: deque[float] | None) -> float | None:
    """Return the time that a quantum usually takes, from a sample of durations; `None` if there is none."""
    return median(sample) if sample else None
