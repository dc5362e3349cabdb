"""The index of a batch run: which quanta each node runs.

An SQLite file that is written once and then only read, in immutable mode, so that no lock is ever taken on a shared
file system.  A job reads the rows of its node and of those that it waits for.
"""

from __future__ import annotations

import json
import sqlite3
import uuid
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from ..errors import PipetaskError

__all__ = ["IndexedNode", "IndexedQuantum", "NodeIndex", "write_index"]

_SCHEMA = """
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
CREATE TABLE label (task INTEGER PRIMARY KEY, label TEXT, dimensions TEXT);
CREATE TABLE node (number INTEGER PRIMARY KEY, name TEXT, counts TEXT, needs TEXT, quanta BLOB);
CREATE INDEX node_name ON node (name);
"""


@dataclass(frozen=True, slots=True)
class IndexedQuantum:
    """One quantum of a node."""

    id: int
    """Position in the enumeration of the whole graph."""

    task: int
    """Index of its label in `NodeIndex.labels`."""

    quantum_id: bytes
    """The 16 bytes of its UUID."""

    data_values: tuple[Any, ...]
    registered_before: bool
    """Whether the registry holds outputs of an earlier attempt that did not succeed."""

    needs: tuple[int, ...]
    """Ids of the quanta that it needs, in any node."""


@dataclass(frozen=True, slots=True)
class IndexedNode:
    """One node."""

    number: int
    name: str
    needs: tuple[int, ...]
    """Numbers of the nodes that it waits for."""

    quanta: tuple[IndexedQuantum, ...]


def write_index(
    path: Path, tasks: Iterable[tuple[str, tuple[str, ...]]], nodes: Iterable[IndexedNode]
) -> None:
    """Write an index.

    Parameters
    ----------
    path
        The new file.
    tasks
        Label and names of the required dimensions of each task, in pipeline order.
    nodes
        The nodes, taken one at a time.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    try:
        with closing(sqlite3.connect(path)) as database:
            database.executescript(_SCHEMA)
            rows = ((task, label, json.dumps(names)) for task, (label, names) in enumerate(tasks))
            database.executemany("INSERT INTO label VALUES (?, ?, ?)", rows)
            database.executemany("INSERT INTO node VALUES (?, ?, ?, ?, ?)", map(_row, nodes))
            database.commit()
    except sqlite3.OperationalError as error:
        raise OSError(str(error)) from error


def _row(node: IndexedNode) -> tuple[Any, ...]:
    counts = Counter(quantum.task for quantum in node.quanta)
    quanta = [
        [q.id, q.task, q.quantum_id.hex(), list(q.data_values), int(q.registered_before), list(q.needs)]
        for q in node.quanta
    ]
    # Half as large, and read as fast.
    packed = zlib.compress(_dump(quanta).encode(), level=1)
    return node.number, node.name, _dump(counts), _dump(node.needs), packed


def _dump(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


class NodeIndex:
    """An existing index.

    Parameters
    ----------
    path
        The file.

    Raises
    ------
    PipetaskError
        If it cannot be read.
    """

    def __init__(self, path: Path):
        self._path = path
        try:
            self._database = sqlite3.connect(f"{path.absolute().as_uri()}?immutable=1&mode=ro", uri=True)
            rows = self._database.execute("SELECT label, dimensions FROM label ORDER BY task").fetchall()
        except sqlite3.Error as error:
            raise PipetaskError(
                f"{path} cannot be read ({error}): the run directory is damaged, or no run directory."
            ) from error
        self.labels = tuple(label for label, _ in rows)
        self.dimensions = tuple(tuple(json.loads(names)) for _, names in rows)

    def __enter__(self) -> NodeIndex:
        return self

    def __exit__(self, *exc: object) -> None:
        self._database.close()

    def node(self, name: str) -> IndexedNode:
        """Read one node.

        Parameters
        ----------
        name
            Its name or its number.

        Raises
        ------
        PipetaskError
            If there is no such node.
        """
        column = "number" if name.isdecimal() else "name"
        query = f"SELECT number, name, needs, quanta FROM node WHERE {column} = ?"
        row = self._database.execute(query, (name,)).fetchone()
        if row is None:
            (count,) = self._database.execute("SELECT count(*) FROM node").fetchone()
            raise PipetaskError(
                f"{self._path.parent} has no node {name!r}: name one of its {count} nodes, such as 0."
            )
        return _node(row)

    def nodes(self) -> Iterator[IndexedNode]:
        """Read all nodes, in topological order."""
        query = "SELECT number, name, needs, quanta FROM node ORDER BY number"
        yield from map(_node, self._database.execute(query))

    def needs(self) -> list[tuple[int, ...]]:
        """Return the numbers of the nodes that each node waits for."""
        rows = self._database.execute("SELECT needs FROM node ORDER BY number")
        return [tuple(json.loads(needs)) for (needs,) in rows]

    def counts(self) -> dict[str, dict[str, int]]:
        """Return the number of quanta by node name and label, in the order of the nodes' numbers."""
        rows = self._database.execute("SELECT name, counts FROM node ORDER BY number")
        # There are few different ones, and reading the JSON of each of many nodes takes long.
        by_label = cache(self._by_label)
        return {name: by_label(counts) for name, counts in rows}

    def _by_label(self, counts: str) -> dict[str, int]:
        return {self.labels[int(task)]: count for task, count in json.loads(counts).items()}

    def describe(self, quantum: IndexedQuantum) -> str:
        """Return label and data ID as text for messages."""
        pairs = zip(self.dimensions[quantum.task], quantum.data_values, strict=True)
        values = ", ".join(f"{name}={value!r}" for name, value in pairs)
        return f"{self.labels[quantum.task]} ({values})"

    @staticmethod
    def quantum_id(quantum: IndexedQuantum) -> uuid.UUID:
        """Return the graph's ID of a quantum."""
        return uuid.UUID(bytes=quantum.quantum_id)


def _node(row: tuple[Any, ...]) -> IndexedNode:
    number, name, needs, quanta = row
    rows = json.loads(zlib.decompress(quanta))
    return IndexedNode(number, name, tuple(json.loads(needs)), tuple(map(_quantum, rows)))


def _quantum(values: list[Any]) -> IndexedQuantum:
    id, task, quantum_id, data_values, registered_before, needs = values
    return IndexedQuantum(
        id, task, bytes.fromhex(quantum_id), tuple(data_values), bool(registered_before), tuple(needs)
    )
