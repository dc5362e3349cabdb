"""The structure of a quantum graph: quanta and their dependencies, without content.

A node is an integer, its *position*: nodes are sorted by task (in pipeline order) and data ID.  Edges are two
compressed sparse rows of 32-bit integers, so that a million quanta take tens of megabytes.
"""

from __future__ import annotations

import uuid
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import PipetaskError

__all__ = ["GraphStructure"]


class GraphStructure:
    """Nodes and edges of a quantum graph.

    Parameters
    ----------
    labels
        Task labels, in pipeline order.
    dimensions
        Names of the required dimensions of each task, in the order of ``labels``.
    counts
        Number of quanta of each task, in the order of ``labels``.
    quantum_ids
        The 16 bytes of each quantum's UUID, concatenated in the order of positions.
    data_values
        Required data ID values of each quantum, in the order of positions.
    edges
        Array of shape ``(n_edges, 2)``: positions of a quantum and of a dependent.
    """

    def __init__(
        self,
        labels: Sequence[str],
        dimensions: Sequence[tuple[str, ...]],
        counts: Sequence[int],
        quantum_ids: bytes,
        data_values: Sequence[tuple[Any, ...]],
        edges: np.ndarray[Any, np.dtype[np.int32]],
    ):
        self.labels = tuple(labels)
        self.counts = tuple(counts)
        self._dimensions = tuple(dimensions)
        self._ends = list(accumulate(counts))
        self._quantum_ids = quantum_ids
        self._data_values = data_values
        self._size = self._ends[-1] if self._ends else 0
        self.successor_starts, self.successors = _rows(edges, 0, self._size)
        self.predecessor_starts, self.predecessors = _rows(edges, 1, self._size)

    @classmethod
    def from_edges(cls, counts: Mapping[str, int], edges: Iterable[tuple[int, int]]) -> GraphStructure:
        """Make a structure without a graph file, for tests and simulations.

        Parameters
        ----------
        counts
            Number of quanta by task label; positions follow this order of labels.
        edges
            Pairs of positions: a quantum, and a dependent.
        """
        size = sum(counts.values())
        pairs = np.array(list(edges) if not isinstance(edges, np.ndarray) else edges, dtype=np.int32)
        return cls(
            list(counts),
            [("number",)] * len(counts),
            list(counts.values()),
            b"".join(position.to_bytes(16, "big") for position in range(size)),
            _Numbers(size),
            pairs.reshape(-1, 2),
        )

    def with_edges(self, edges: Iterable[tuple[int, int]]) -> GraphStructure:
        """Return the same nodes with more edges.

        Parameters
        ----------
        edges
            Pairs of positions: a quantum, and a new dependent.
        """
        own = np.column_stack(self.edges())
        added = np.array(list(edges), dtype=np.int32).reshape(-1, 2)
        return GraphStructure(
            self.labels,
            self._dimensions,
            self.counts,
            self._quantum_ids,
            self._data_values,
            np.unique(np.concatenate((own, added)), axis=0),
        )

    def edges(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Return the positions of quanta, and those of the dependents, of all edges."""
        firsts = np.repeat(np.arange(self._size, dtype=np.int64), np.diff(np.asarray(self.successor_starts)))
        return firsts, np.asarray(self.successors, dtype=np.int64)

    def __len__(self) -> int:
        return self._size

    def task_index(self, position: int) -> int:
        """Return the index in ``labels`` of the task of a quantum."""
        return bisect_right(self._ends, position)

    def label(self, position: int) -> str:
        """Return the task label of a quantum."""
        return self.labels[self.task_index(position)]

    def positions(self, label: str) -> range:
        """Return the positions of all quanta of a task."""
        task = self.labels.index(label)
        end = self._ends[task]
        return range(end - self.counts[task], end)

    def quantum_id(self, position: int) -> uuid.UUID:
        """Return the UUID of a quantum."""
        return uuid.UUID(bytes=self.quantum_id_bytes(position))

    def quantum_id_bytes(self, position: int) -> bytes:
        """Return the 16 bytes of the UUID of a quantum."""
        return self._quantum_ids[16 * position : 16 * position + 16]

    def data_values(self, position: int) -> tuple[Any, ...]:
        """Return the required data ID values of a quantum."""
        return self._data_values[position]

    def data_id(self, position: int) -> dict[str, Any]:
        """Return the required data ID of a quantum."""
        names = self._dimensions[self.task_index(position)]
        return dict(zip(names, self._data_values[position], strict=True))

    def needed_by(self, position: int) -> Sequence[int]:
        """Return the positions of the prerequisites of a quantum."""
        return self.predecessors[self.predecessor_starts[position] : self.predecessor_starts[position + 1]]

    def waiting_for(self, position: int) -> Sequence[int]:
        """Return the positions of the dependents of a quantum."""
        return self.successors[self.successor_starts[position] : self.successor_starts[position + 1]]

    def depth_first(self) -> Iterator[int]:
        """Yield positions in topological order, finishing each chain before the next one is started.

        Raises
        ------
        PipetaskError
            If the graph has a cycle.

        Notes
        -----
        A depth-first walk from each final quantum (one without dependents), in the order of positions, back to its
        prerequisites; a quantum is yielded after the last of these.  Besides the graph, this needs one byte for each
        node, and the path of the walk.
        """
        starts, predecessors = self.predecessor_starts, self.predecessors
        ends = np.diff(np.asarray(self.successor_starts)) == 0
        state = bytearray(self._size)  # 0: not reached, 1: on the path, 2: done
        finals = np.flatnonzero(ends).tolist()
        if self._size and not finals:
            raise PipetaskError("The graph has a cycle: every quantum waits for another.")
        for final in finals:
            stack = [final]
            push, pop = stack.append, stack.pop
            while stack:
                position = pop()
                if position < 0:  # all prerequisites have been yielded
                    position = ~position
                elif state[position]:  # meanwhile reached through another quantum
                    continue
                elif (first := starts[position]) != (last := starts[position + 1]):
                    state[position] = 1
                    push(~position)
                    if last - first == 1 and not state[needed := predecessors[first]]:
                        push(needed)  # the common case, without the slice
                        continue
                    # In reverse, so that the lowest position is on top of the stack.
                    for needed in reversed(predecessors[first:last]):
                        if not state[needed]:
                            push(needed)
                        elif state[needed] == 1:
                            raise PipetaskError(f"The graph has a cycle through {self.quantum_id(needed)}.")
                    continue
                state[position] = 2
                yield position
        if not all(state):
            raise PipetaskError(f"The graph has a cycle: {state.count(0)} quanta wait for each other.")


class _Numbers(Sequence[tuple[Any, ...]]):
    """Data IDs ``(0,), (1,), …`` that take no memory."""

    def __init__(self, size: int):
        self._size = size

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, index: Any) -> Any:
        return (index,)


def _rows(
    edges: np.ndarray[Any, np.dtype[np.int32]], column: int, size: int
) -> tuple[array[int], array[int]]:
    """Return compressed rows for the nodes in one column: where each row starts, and all rows, each sorted."""
    order = np.lexsort((edges[:, 1 - column], edges[:, column]))
    starts = np.zeros(size + 1, dtype=np.int32)
    np.cumsum(np.bincount(edges[:, column], minlength=size), out=starts[1:])
    return array("i", starts.tobytes()), array("i", edges[order, 1 - column].astype(np.int32).tobytes())
