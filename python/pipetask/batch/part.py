"""Some quanta of a graph as a graph of their own."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..graph.enumeration import EnumeratedGraph, QuantumData
from ..graph.structure import GraphStructure
from .index import IndexedQuantum, NodeIndex

if TYPE_CHECKING:
    from lsst.daf.butler import Quantum
    from lsst.pipe.base.pipeline_graph import TaskNode

__all__ = ["PartOfGraph"]


class PartOfGraph(EnumeratedGraph):
    """The quanta that one job runs, with the ids that they have in the whole graph.

    Parameters
    ----------
    index
        Knows labels and dimensions.
    quanta
        The quanta; what they need and is not among them is taken to be done.
    """

    def __init__(self, index: NodeIndex, quanta: Sequence[IndexedQuantum]):
        # Positions are sorted by task, as everywhere.
        rows = sorted(quanta, key=lambda quantum: (quantum.task, quantum.id))
        self._global_ids = [quantum.id for quantum in rows]
        self._places = {quantum.id: position for position, quantum in enumerate(rows)}
        super().__init__(self._structure(index, rows), _NoSource())
        self.registered_before = frozenset(
            position for position, quantum in enumerate(rows) if quantum.registered_before
        )

    def _structure(self, index: NodeIndex, rows: Sequence[IndexedQuantum]) -> GraphStructure:
        places = self._places
        edges = [
            (places[before], places[quantum.id])
            for quantum in rows
            for before in quantum.needs
            if before in places
        ]
        tasks = sorted({quantum.task for quantum in rows})
        return GraphStructure(
            [index.labels[task] for task in tasks],
            [index.dimensions[task] for task in tasks],
            [sum(quantum.task == task for quantum in rows) for task in tasks],
            b"".join(quantum.quantum_id for quantum in rows),
            [quantum.data_values for quantum in rows],
            np.array(edges, dtype=np.int32).reshape(-1, 2),
        )

    def position(self, id: int) -> int:
        """Return the index in ``structure`` of a quantum."""
        return self._places[id]

    def id(self, position: int) -> int:
        """Return the id that a quantum has in the whole graph."""
        return self._global_ids[position]

    def prerequisites(self, position: int) -> frozenset[int]:
        """Return the ids of the quanta that one at this position waits for."""
        return frozenset(self._global_ids[before] for before in self.structure.needed_by(position))

    def __iter__(self) -> Iterator[QuantumData]:
        # The ids are those of a topological order.
        for id in sorted(self._places):
            yield QuantumData(self, self._places[id], id)


class _NoSource:
    """Has no content: in a job, only the runner reads quanta."""

    def task_node(self, label: str) -> TaskNode:
        raise AssertionError(f"the task node of {label} is not available in a job")

    def quantum(self, quantum_id: uuid.UUID) -> Quantum:
        raise AssertionError(f"quantum {quantum_id} is only available through the runner")
