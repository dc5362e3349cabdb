"""What a quantum needs, reads and writes, and which quanta make and use that."""

from __future__ import annotations

import uuid
from collections import Counter, deque
from collections.abc import Collection, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..journal.reader import JournaledQuantum
from .book import Book, KnownQuantum

if TYPE_CHECKING:
    from ..graph.file import GraphFile
    from ..graph.structure import GraphStructure

__all__ = ["DatasetsOfType", "Neighbours", "neighbours_of"]

_MOST_DATASETS = 3
"""Data IDs that are named of each dataset type."""

_MOST_READ = 500
"""Quanta around one that are read from the graph."""


@dataclass(frozen=True)
class DatasetsOfType:
    """The datasets of one type that a quantum reads or writes."""

    dataset_type: str
    count: int
    data_ids: Sequence[str]
    """Of the first few."""

    quanta: Mapping[str, int]
    """Number of quanta that make or use these, by label and state, such as ``isr succeeded``."""

    def json(self) -> dict[str, Any]:
        """Return plain values for `json.dumps`."""
        return {
            "datasetType": self.dataset_type,
            "count": self.count,
            "dataIds": list(self.data_ids),
            "quanta": dict(self.quanta),
        }


@dataclass(frozen=True)
class Neighbours:
    """What is around a quantum in its graph."""

    structure: GraphStructure
    position: int
    needs: Sequence[KnownQuantum]
    reads: Sequence[DatasetsOfType]
    writes: Sequence[DatasetsOfType]

    def path_to(self, root: uuid.UUID) -> list[JournaledQuantum]:
        """Return the quanta between this one and one that it needs, nearest first; nothing if there are none."""
        before: dict[int, int] = {}
        queue = deque([self.position])
        while queue:
            position = queue.popleft()
            if self.structure.quantum_id(position) == root:
                return self._between(before, position)
            for needed in self.structure.needed_by(position):
                if needed not in before:
                    before[needed] = position
                    queue.append(needed)
        return []

    def _between(self, before: Mapping[int, int], position: int) -> list[JournaledQuantum]:
        path = []
        while (position := before.get(position, self.position)) != self.position:
            path.append(_quantum(self.structure, position))
        return path[::-1]


def neighbours_of(book: Book, file: GraphFile, quantum_id: uuid.UUID) -> Neighbours:
    """Read what is around a quantum.

    Parameters
    ----------
    book
        What is known of its run.
    file
        The graph.
    quantum_id
        The quantum.

    Raises
    ------
    LookupError
        If the graph does not have it.
    """
    structure = file.structure
    position = _position(structure, quantum_id)
    before, after = structure.needed_by(position), structure.waiting_for(position)
    needs = [book.known(_quantum(structure, each)) for each in before]
    users = [book.known(_quantum(structure, each)) for each in after]
    own, makers, readers = _read(file, quantum_id, needs, users)
    return Neighbours(
        structure,
        position,
        needs,
        [_datasets(name, refs, makers) for name, refs in _by_type(own.inputs)],
        [_datasets(name, refs, readers) for name, refs in _by_type(own.outputs)],
    )


def _read(
    file: GraphFile, quantum_id: uuid.UUID, needs: Sequence[KnownQuantum], users: Sequence[KnownQuantum]
) -> tuple[Any, dict[uuid.UUID, list[KnownQuantum]], dict[uuid.UUID, list[KnownQuantum]]]:
    """Read the quantum, and which quanta make and use which datasets."""
    from ..graph.reader import QuantumReader

    needs, users = needs[:_MOST_READ], users[:_MOST_READ]
    ids = {quantum_id, *(each.quantum.quantum_id for each in [*needs, *users])}
    with closing(QuantumReader(file.path)) as reader:
        quanta = {id: quantum for id, (_, quantum) in reader.read(ids).items()}
    makers: dict[uuid.UUID, list[KnownQuantum]] = {}
    readers: dict[uuid.UUID, list[KnownQuantum]] = {}
    for known in needs:
        for _, refs in _by_type(quanta[known.quantum.quantum_id].outputs):
            for ref in refs:
                makers.setdefault(ref.id, []).append(known)
    for known in users:
        for _, refs in _by_type(quanta[known.quantum.quantum_id].inputs):
            for ref in refs:
                readers.setdefault(ref.id, []).append(known)
    return quanta[quantum_id], makers, readers


def _by_type(datasets: Mapping[Any, Collection[Any]]) -> list[tuple[str, list[Any]]]:
    named = ((getattr(key, "name", str(key)), list(refs)) for key, refs in datasets.items())
    return sorted((name, refs) for name, refs in named if refs)


def _datasets(
    name: str, refs: Sequence[Any], quanta: Mapping[uuid.UUID, Sequence[KnownQuantum]]
) -> DatasetsOfType:
    around = {each.quantum.quantum_id: each for ref in refs for each in quanta.get(ref.id, ())}
    return DatasetsOfType(
        name,
        len(refs),
        [_data_id(ref) for ref in refs[:_MOST_DATASETS]],
        Counter(f"{each.quantum.label} {each.state}" for each in around.values()),
    )


def _data_id(ref: Any) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in dict(ref.dataId.required).items())


def _position(structure: GraphStructure, quantum_id: uuid.UUID) -> int:
    wanted = quantum_id.bytes
    for position in range(len(structure)):
        if structure.quantum_id_bytes(position) == wanted:
            return position
    raise LookupError(f"The graph has no quantum {quantum_id}.")


def _quantum(structure: GraphStructure, position: int) -> JournaledQuantum:
    return JournaledQuantum(
        -1, structure.label(position), structure.data_id(position), structure.quantum_id(position)
    )
