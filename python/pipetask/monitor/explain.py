"""Say why a quantum ran, failed, was skipped, is blocked or waits."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import PipetaskError
from ..journal.reader import JournaledQuantum
from ..observe.failures import what_failed
from ..outcome import QuantumOutcome, Status, Unit
from .book import BatchBook, Book, KnownQuantum
from .job import of_job
from .neighbours import DatasetsOfType, Neighbours, neighbours_of

__all__ = ["Explanation", "explain"]

_MOST = 5
"""Quanta that are named of several."""


@dataclass(frozen=True)
class Explanation:
    """Why a quantum is in its state."""

    quantum: JournaledQuantum
    state: str
    """In one word: that of its outcome, or ``running``, ``waiting``, ``not selected``."""

    reasons: Sequence[str]
    """Sentences; the first says most."""

    node: str | None = None
    reads: Sequence[DatasetsOfType] = ()
    writes: Sequence[DatasetsOfType] = ()
    unknown: str | None = None
    """Why it is not known what it reads and writes."""

    def json(self) -> dict[str, Any]:
        """Return plain values for `json.dumps`."""
        return {
            "label": self.quantum.label,
            "dataId": dict(self.quantum.data_id),
            "quantumId": str(self.quantum.quantum_id),
            "state": self.state,
            "reasons": list(self.reasons),
            "node": self.node,
            "reads": [each.json() for each in self.reads],
            "writes": [each.json() for each in self.writes],
            "unknown": self.unknown,
        }


def explain(book: Book, known: KnownQuantum) -> Explanation:
    """Return why a quantum is in its state, what it reads and writes, and who makes that.

    Parameters
    ----------
    book
        The run.
    known
        The quantum.
    """
    try:
        with book.open_graph() as file:
            near = neighbours_of(book, file, known.quantum.quantum_id)
            return _explanation(book, known, near, None)
    except (PipetaskError, LookupError, OSError) as error:
        return _explanation(book, known, None, str(error))


def _explanation(
    book: Book, known: KnownQuantum, near: Neighbours | None, unknown: str | None
) -> Explanation:
    state, reasons = _state(book, known, near)
    reads, writes = (near.reads, near.writes) if near else ((), ())
    return Explanation(known.quantum, state, reasons, known.node, reads, writes, unknown)


def _state(book: Book, known: KnownQuantum, near: Neighbours | None) -> tuple[str, list[str]]:
    if known.started is not None:
        if book.alive:
            return "running", [_of_running(known)]
        return "lost", [f"{_of_running(known)}; then the run ended without a word."]
    if known.outcome is not None:
        return known.outcome.status.value, list(_of_outcome(book, known.outcome, near))
    return _without_outcome(book, known, near)


def _of_running(known: KnownQuantum) -> str:
    started = known.started
    assert started is not None, "it runs"
    return (
        f"It has been running since {_clock(started.start)}, in process {started.pid} on {started.host}"
        f"{f', attempt {started.attempt}' if started.attempt > 1 else ''}"
    )


def _of_outcome(book: Book, outcome: QuantumOutcome, near: Neighbours | None) -> Iterator[str]:
    match outcome.status:
        case Status.BLOCKED:
            yield from _of_blocked(book, outcome, near)
        case Status.SKIPPED:
            yield f"It was not run: {outcome.reason or 'its outputs existed already'}."
        case Status.NO_WORK:
            yield f"It ran, and found nothing to do{f': {outcome.reason}' if outcome.reason else ''}."
        case Status.SUCCEEDED:
            yield f"It ran, because it was selected and its outputs were not there yet{_measures(outcome)}."
        case status if status.is_failure:
            yield f"It {_verb(status)}: {what_failed(outcome)}"
            if measures := _measures(outcome):
                yield f"It ran{measures}."
        case _:
            what = "not run" if outcome.start is None else "not run to its end"
            yield f"It was {what}: {(outcome.reason or 'the run was stopped').removeprefix('not started: ')}."
    for before in outcome.earlier:
        yield f"Attempt {before.attempt} {before.status.value}: {what_failed(before)}"


def _verb(status: Status) -> str:
    return {Status.KILLED: "was killed", Status.TIMED_OUT: "timed out"}.get(status, status.value)


def _measures(outcome: QuantumOutcome) -> str:
    parts = []
    if outcome.start is not None and outcome.end is not None:
        parts.append(f"from {_clock(outcome.start)} for {Unit.SECONDS.text(outcome.end - outcome.start)}")
    if outcome.host is not None:
        parts.append(f"in process {outcome.pid} on {outcome.host}")
    if outcome.usage is not None and outcome.usage.peak_memory is not None:
        parts.append(f"with at most {Unit.BYTES.text(outcome.usage.peak_memory)} of memory")
    return f": {', '.join(parts)}" if parts else ""


def _of_blocked(book: Book, outcome: QuantumOutcome, near: Neighbours | None) -> Iterator[str]:
    root = None if outcome.blocked_by is None else book.by_id(outcome.blocked_by)
    if root is None:
        yield "It was not run, because something that it needs did not succeed."
        return
    known = book.known(root)
    why = (
        f"{known.outcome.status.value}: {what_failed(known.outcome)}" if known.outcome else "did not succeed"
    )
    yield f"It was not run, because {root.describe()} {why}"
    if known.outcome is not None and known.outcome.log is not None:
        yield f"The log of that: {known.outcome.log}"
    if near is not None and (path := near.path_to(root.quantum_id)):
        yield f"Between them: {' ← '.join(each.describe() for each in path)}"


def _without_outcome(book: Book, known: KnownQuantum, near: Neighbours | None) -> tuple[str, list[str]]:
    if isinstance(book, BatchBook) and known.node is None:
        return "skipped", ["It was done already when the run was written."]
    if known.quantum.label not in book.labels():
        return "not selected", [f"It is in the graph, but {book.name} has not selected it."]
    if not book.alive:
        return "not started", [
            "It is in the graph, but was not started: the run ended before, or had not selected it."
        ]
    about_job = list(of_job(book, known)) if isinstance(book, BatchBook) else []
    if near is None:
        return "waiting", ["It has not ended.", *about_job]
    open_ones = [each for each in near.needs if each.outcome is None or not each.outcome.status.unblocks]
    if not open_ones:
        return "waiting", ["All that it needs is done: it waits for its turn.", *about_job]
    names = "; ".join(f"{each.quantum.describe()} ({each.state})" for each in open_ones[:_MOST])
    more = f"; and {len(open_ones) - _MOST} more" if len(open_ones) > _MOST else ""
    return "waiting", [
        f"It waits for {len(open_ones)} of the {len(near.needs)} quanta that it needs: {names}{more}.",
        *about_job,
    ]


def _clock(when: float) -> str:
    try:
        return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(when))
    except (OverflowError, ValueError, OSError):  # a clock that was wrong
        return "?"
