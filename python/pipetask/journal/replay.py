"""Tell sinks of a run that has a journal, as if it ran now."""

from __future__ import annotations

import time
import uuid
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np

from ..errors import PipetaskError
from ..executors.activity import Activity
from ..executors.stop import StopRequest
from ..graph.enumeration import EnumeratedGraph
from ..graph.structure import GraphStructure
from ..observe.running import Running
from ..observe.sink import Audience, Sink
from ..observe.summary import OutcomeCollector, RunSummary
from ..outcome import QuantumOutcome, Status
from .facts import RunBegin, RunEnd
from .reader import JournaledQuantum, JournalReader
from .records import Started

__all__ = ["replay"]

_Pairs = Sequence[tuple[JournaledQuantum, QuantumOutcome]]


def replay(journal: JournalReader, sinks: Sequence[Sink]) -> RunSummary:
    """Replay a journal.

    Parameters
    ----------
    journal
        The journal, of which nothing has been read.
    sinks
        What is told.

    Returns
    -------
    summary
        What became of the quanta, as far as is known.  Of a run that goes on, it has only those that have ended.
    """
    pairs = list(journal.news())
    begin, end = journal.begin or RunBegin(), journal.end
    alive = end is None and journal.life().alive
    ended = {quantum.quantum_id for quantum, _ in pairs}
    running = [each for each in journal.running.values() if each[0].quantum_id not in ended]
    unfinished = [_lost(quantum, started, journal.life().last) for quantum, started in running]
    lost = [] if alive else unfinished
    with _graph_of(begin, [*pairs, *unfinished]) as (graph, header):
        collected = OutcomeCollector(graph, header)
        audience = Audience(sinks)
        audience.begin(graph, dict(begin.labels), Activity())
        told = _translated([*pairs, *lost], graph)
        if not alive:
            told = _with_missing(told, graph, begin)
        for outcome in told:
            if collected.note(outcome):
                audience.note(outcome)
        summary = _summary(collected, journal, alive=alive)
        if alive:
            summary = replace(summary, running=list(_running(running, graph)))
        audience.end(summary)
        return summary


def _lost(
    quantum: JournaledQuantum, started: Started, last: float
) -> tuple[JournaledQuantum, QuantumOutcome]:
    """Return an outcome for a quantum that was running when the run was last heard of."""
    return quantum, QuantumOutcome(
        quantum.id,
        Status.CANCELLED,
        started.start,
        max(started.start, last),
        started.host,
        started.pid,
        reason="the run ended without a word while it ran",
        attempt=started.attempt,
    )


def _summary(collected: OutcomeCollector, journal: JournalReader, *, alive: bool) -> RunSummary:
    end, begin = journal.end or RunEnd(), journal.begin or RunBegin()
    error = PipetaskError(end.error) if end.error is not None else None
    if journal.end is None and not alive:
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(journal.life().last))
        error = PipetaskError(f"The run ended without a word at {when}.")
    with closing(StopRequest()) as stop:
        summary = collected.summary(stop, error=error, unregistered=end.unregistered, goes_on=alive)
    start, stopped = begin.start, end.stopped
    return replace(
        summary,
        start=start,
        end=start + journal.elapsed,
        stopped=stopped,
        signal=end.signal,
        transactions=journal.transactions,
    )


def _running(
    running: Iterable[tuple[JournaledQuantum, Started]], graph: EnumeratedGraph
) -> Iterator[Running]:
    now = _ids_now(graph)
    for quantum, started in running:
        id = now[quantum.quantum_id.bytes]
        yield Running(id, started.start, started.host, started.pid, started.attempt)


@contextmanager
def _graph_of(begin: RunBegin, pairs: _Pairs) -> Iterator[tuple[EnumeratedGraph, Any]]:
    """Yield the run's graph with its header; without edges if its file is gone, was replaced, or cannot be read."""
    try:
        from ..graph.file import GraphFile

        if begin.graph is None:
            raise LookupError
        file = GraphFile(begin.graph)
        structure = file.structure
        known = {structure.quantum_id_bytes(position) for position in range(len(structure))}
        if not known.issuperset(quantum.quantum_id.bytes for quantum, _ in pairs):
            raise LookupError
        graph, header = EnumeratedGraph(structure, file), file.header
    except Exception:
        header = SimpleNamespace(
            command="", timestamp=None, inputs=(), output=None, output_run=begin.output_run
        )
        graph = EnumeratedGraph(_structure(begin, pairs), _NoSource())
    for _ in graph:  # assigns an id to each quantum
        pass
    yield graph, header


def _structure(begin: RunBegin, pairs: _Pairs) -> GraphStructure:
    """Return the quanta of a journal; there are no edges in it."""
    by_label: defaultdict[str, dict[uuid.UUID, JournaledQuantum]] = defaultdict(dict)
    for quantum, _ in pairs:
        by_label[quantum.label][quantum.quantum_id] = quantum
    labels = [*begin.labels, *(by_label.keys() - begin.labels.keys())]
    names = dict(zip(begin.labels, map(tuple, begin.dimensions), strict=False))
    quanta = [quantum for label in labels for quantum in by_label[label].values()]
    return GraphStructure(
        labels,
        [names.get(label) or tuple(next(iter(by_label[label].values())).data_id) for label in labels],
        [len(by_label[label]) for label in labels],
        b"".join(quantum.quantum_id.bytes for quantum in quanta),
        [tuple(quantum.data_id.values()) for quantum in quanta],
        np.empty((0, 2), dtype=np.int32),
    )


class _NoSource:
    """Has no content: the graph file is gone."""

    def task_node(self, label: str) -> Any:
        raise LookupError(f"the graph with task {label} is gone")

    def quantum(self, quantum_id: uuid.UUID) -> Any:
        raise LookupError(f"the graph with quantum {quantum_id} is gone")


def _translated(pairs: _Pairs, graph: EnumeratedGraph) -> Iterator[QuantumOutcome]:
    """Yield outcomes with the ids that the graph has now: a fixup or a selection may have given them others."""
    now = _ids_now(graph)
    ids = {quantum.id: now[quantum.quantum_id.bytes] for quantum, _ in pairs}
    for quantum, outcome in pairs:
        root = outcome.blocked_by
        yield replace(
            outcome,
            id=ids[quantum.id],
            blocked_by=None if root is None else ids.get(root),
            earlier=tuple(replace(each, id=ids[quantum.id]) for each in outcome.earlier),
        )


def _ids_now(graph: EnumeratedGraph) -> dict[bytes, int]:
    structure = graph.structure
    return {structure.quantum_id_bytes(position): graph.id(position) for position in range(len(structure))}


def _with_missing(
    told: Iterable[QuantumOutcome], graph: EnumeratedGraph, begin: RunBegin
) -> Iterator[QuantumOutcome]:
    """Yield also outcomes for quanta that the journal does not mention, if all of the graph took part."""
    seen = set()
    for outcome in told:
        seen.add(outcome.id)
        yield outcome
    structure = graph.structure
    sizes = Counter(dict(zip(structure.labels, structure.counts, strict=True)))
    if sizes != Counter(begin.labels):
        return
    for quantum in graph:
        if quantum.id not in seen:
            yield QuantumOutcome(
                quantum.id, Status.CANCELLED, reason="not started: the run ended without a word"
            )
