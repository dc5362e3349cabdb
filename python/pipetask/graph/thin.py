"""The thin graph of a ``.qg`` file (quanta and dependencies), read without making an object for each quantum.

pipe_base makes a model of each quantum and two UUIDs of each edge.  That takes 2 kB for each quantum, most of which the
process does not return.  Here, records are taken from the text one at a time.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from lsst.pipe.base.pipeline_graph import PipelineGraph
from lsst.pipe.base.quantum_graph import PredictedQuantumGraphReader

from .structure import GraphStructure

__all__ = ["ThinGraph"]


@dataclass
class ThinGraph:
    """Quanta and edges in the order of the file."""

    quanta: dict[str, list[tuple[tuple[Any, ...], bytes]]] = field(default_factory=dict)
    """By task label: required data ID values and the 16 bytes of the UUID of each quantum."""

    edges: bytearray = field(default_factory=bytearray)
    """The 32 bytes of two UUIDs for each edge: a quantum, and a dependent."""

    @classmethod
    def read(cls, reader: PredictedQuantumGraphReader) -> ThinGraph:
        """Read it from an open file.

        Parameters
        ----------
        reader
            The file.
        """
        if reader.header.version != 1:
            reader.read_thin_graph()
            return cls.of(reader)
        text = reader.decompressor.decompress(reader.zf.read("thin_graph.json.zst")).decode()
        return cls._parse(_Text(text), _widths(reader))

    @classmethod
    def of(cls, reader: PredictedQuantumGraphReader) -> ThinGraph:
        """Convert what pipe_base has read.

        Parameters
        ----------
        reader
            The file, whose components have a thin graph.
        """
        thin, widths = reader.components.thin_graph, _widths(reader)
        quanta = {
            label: [(tuple(q.data_coordinate[: widths[label]]), q.quantum_id.bytes) for q in each]
            for label, each in thin.quanta.items()
        }
        return cls(quanta, bytearray().join(end.bytes for edge in thin.edges for end in edge))

    def structure(self, pipeline: PipelineGraph) -> GraphStructure:
        """Return nodes and edges in a fixed order: by task, then data ID.

        Parameters
        ----------
        pipeline
            The pipeline graph of the same file, sorted.
        """
        labels = [label for label in pipeline.tasks if self.quanta.get(label)]
        ids: list[bytes] = []
        values: list[tuple[Any, ...]] = []
        for label in labels:
            for row, quantum_id in sorted(self.quanta[label]):
                values.append(row)
                ids.append(quantum_id)
        index = {quantum_id: position for position, quantum_id in enumerate(ids)}
        edges = self.edges
        ends = (index[bytes(edges[at : at + 16])] for at in range(0, len(edges), 16))
        flat = np.fromiter(ends, dtype=np.int32, count=len(edges) // 16)
        return GraphStructure(
            labels,
            [tuple(pipeline.tasks[label].dimensions.required) for label in labels],
            [len(self.quanta[label]) for label in labels],
            b"".join(ids),
            values,
            flat.reshape(-1, 2),
        )

    @classmethod
    def _parse(cls, text: _Text, widths: Mapping[str, int]) -> ThinGraph:
        graph = cls()
        for part in text.members():
            match part:
                case "quanta":
                    for label in text.members():
                        graph.quanta[label] = list(_rows(text.items(), widths[label]))
                case "edges":
                    for first, second in text.items():
                        graph.edges += _bytes_of(first + second)
                case _:
                    text.value()
        return graph


def _widths(reader: PredictedQuantumGraphReader) -> dict[str, int]:
    tasks = reader.components.pipeline_graph.tasks
    return {label: len(node.dimensions.required) for label, node in tasks.items()}


def _rows(records: Iterable[dict[str, Any]], width: int) -> Iterator[tuple[tuple[Any, ...], bytes]]:
    shared: dict[Any, Any] = {}  # the same few values are frequent
    for record in records:
        values = record["data_coordinate"][:width]
        yield tuple([shared.setdefault(value, value) for value in values]), _bytes_of(record["quantum_id"])


def _bytes_of(uuids: str) -> bytes:
    return bytes.fromhex(uuids.replace("-", ""))


class _Text:
    """A JSON text that is parsed in pieces.

    Parameters
    ----------
    text
        The text.
    """

    def __init__(self, text: str):
        self._text = text
        self._at = 0
        self._decode = json.JSONDecoder().raw_decode

    def value(self) -> Any:
        """Return the next value."""
        value, self._at = self._decode(self._text, self._skip_blanks())
        return value

    def members(self) -> Iterator[str]:
        """Iterate over an object: yield each name, and let the caller take its value."""
        for _ in self._separated("{", "}"):
            name = self.value()
            self._take(":")
            yield name

    def items(self) -> Iterator[Any]:
        """Iterate over an array."""
        for _ in self._separated("[", "]"):
            yield self.value()

    def _separated(self, begin: str, end: str) -> Iterator[None]:
        self._take(begin)
        if self._text[self._skip_blanks()] != end:
            yield
            while self._text[self._skip_blanks()] == ",":
                self._at += 1
                yield
        self._take(end)

    def _take(self, mark: str) -> None:
        if not self._text.startswith(mark, self._skip_blanks()):
            raise ValueError(f"the thin graph has no {mark!r} at character {self._at}")
        self._at += 1

    def _skip_blanks(self) -> int:
        while self._text[self._at] in " \t\r\n":
            self._at += 1
        return self._at
