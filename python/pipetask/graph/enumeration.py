"""`QuantumData` and the enumeration of a graph into a stream of them.

The order
---------
The enumeration is topological, and finishes one chain before it starts the next: it takes the final quanta (those
without dependents) in the order of the tasks in the pipeline, then by data ID.  Each is preceded by all its
prerequisites that have not come yet, found by a depth-first walk with the same order among equals.  So each final
product is completed as early as possible.  The same graph is always enumerated in the same order, so ``id`` identifies
a quantum of a graph permanently.  Executors start ready quanta in the order of their ids (see D3).
"""

from __future__ import annotations

from array import array
from collections.abc import Container, Iterator
from typing import TYPE_CHECKING, Any, Protocol

from .structure import GraphStructure

if TYPE_CHECKING:
    import uuid

    from lsst.daf.butler import Quantum
    from lsst.pipe.base.pipeline_graph import TaskNode

__all__ = ["EnumeratedGraph", "QuantumData", "QuantumSource"]


_NOT_YET = -1


class QuantumSource(Protocol):
    """Reads the content of quanta on demand."""

    def task_node(self, label: str) -> TaskNode:
        """Return the task node with this label."""

    def quantum(self, quantum_id: uuid.UUID) -> Quantum:
        """Return the quantum with this ID, including its dataset refs."""


class QuantumData:
    """One quantum of a graph and what must finish before it.

    Parameters
    ----------
    graph
        The enumeration that this quantum is part of.
    position
        Index of the quantum in ``graph.structure``.
    id
        Position in the enumeration, from 0.

    Notes
    -----
    Everything except ``id`` is looked up on access, so that code which needs only the structure reads nothing else.
    """

    __slots__ = ("_graph", "id", "position")

    def __init__(self, graph: EnumeratedGraph, position: int, id: int):
        self._graph = graph
        self.position = position
        self.id = id

    @property
    def prerequisites(self) -> frozenset[int]:
        """The ids that must finish first, all smaller than ``id``."""
        return self._graph.prerequisites(self.position)

    @property
    def label(self) -> str:
        """The task's label."""
        return self._graph.structure.label(self.position)

    @property
    def task_index(self) -> int:
        """Index of the task's label in ``structure.labels``."""
        return self._graph.structure.task_index(self.position)

    @property
    def quantum_id(self) -> uuid.UUID:
        """The UUID of the quantum in its graph."""
        return self._graph.structure.quantum_id(self.position)

    @property
    def data_id(self) -> dict[str, Any]:
        """The required part of the data ID."""
        return self._graph.structure.data_id(self.position)

    @property
    def taskDef(self) -> TaskNode:  # noqa: N802  the contract's name
        """The task node."""
        return self._graph.source.task_node(self.label)

    @property
    def quantum(self) -> Quantum:
        """The `lsst.daf.butler.Quantum`, read from the graph file on each access."""
        return self._graph.source.quantum(self.quantum_id)

    def __repr__(self) -> str:
        return (
            f"QuantumData({self.id}, {self.label!r}, {self.data_id}, prerequisites={set(self.prerequisites)})"
        )


class EnumeratedGraph:
    """The quanta of a graph in the order in which they are handed to an executor.

    Parameters
    ----------
    structure
        The graph's nodes and edges.
    source
        Reads the content of quanta.
    exclude
        Positions that are left out of the stream, for instance because they are done.  They keep their ids, and nothing
        waits for them.

    Notes
    -----
    Iterating is lazy and may be repeated.  While an iteration runs, ids that it has reached can be looked up.
    """

    def __init__(self, structure: GraphStructure, source: QuantumSource, exclude: Container[int] = ()):
        self.structure = structure
        self.source = source
        self.exclude = exclude
        self._ids = array("i", [_NOT_YET]) * len(structure)
        self._positions = array("i", [_NOT_YET]) * len(structure)

    def position(self, id: int) -> int:
        """Return the index in ``structure`` of a quantum whose id the enumeration has reached.

        Raises
        ------
        LookupError
            If the enumeration has not reached it.
        """
        return _reached(self._positions[id], "id", id)

    def id(self, position: int) -> int:
        """Return the id of the quantum at a position that the enumeration has reached.

        Raises
        ------
        LookupError
            If the enumeration has not reached it.
        """
        return _reached(self._ids[position], "position", position)

    def prerequisites(self, position: int) -> frozenset[int]:
        """Return the ids of the prerequisites of the quantum at this position."""
        ids, exclude = self._ids, self.exclude
        row = self.structure.needed_by(position)
        if exclude:
            return frozenset([ids[p] for p in row if p not in exclude])
        return frozenset([ids[p] for p in row])

    def label(self, id: int) -> str:
        """Return the task label of the quantum with this id."""
        return self.structure.label(self.position(id))

    def data_id(self, id: int) -> dict[str, Any]:
        """Return the required data ID of the quantum with this id."""
        return self.structure.data_id(self.position(id))

    def quantum_id(self, id: int) -> uuid.UUID:
        """Return the graph's ID of the quantum with this id."""
        return self.structure.quantum_id(self.position(id))

    def describe(self, id: int) -> str:
        """Return label and data ID, for messages."""
        values = ", ".join(f"{name}={value!r}" for name, value in self.data_id(id).items())
        return f"{self.label(id)} ({values})"

    def __iter__(self) -> Iterator[QuantumData]:
        ids, positions, exclude = self._ids, self._positions, self.exclude
        for id, position in enumerate(self.structure.depth_first()):
            positions[id] = position
            ids[position] = id
            if exclude and position in exclude:
                continue
            yield QuantumData(self, position, id)


def _reached(value: int, what: str, asked: int) -> int:
    if value == _NOT_YET:
        raise LookupError(f"the enumeration has not reached {what} {asked}")
    return value
