"""Parts of a run, for jobs that do not see the run directory: as much of graph and index as a few nodes need.

To give each node files of its own would be to write a number of files that grows with the graph; to give all of them
the whole graph would be to move it as often as there are nodes.  So nodes are dealt into parts, the square root of
their number and never more than `MOST`, as quanta are dealt into nodes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from ..executors.base import ExecutionContext
from ..graph.enumeration import EnumeratedGraph
from .bundling import Node

__all__ = ["FOLDER", "Part", "deal", "write_parts"]

FOLDER = "parts"
"""Name of the folder, in a run directory, with a folder for each part."""

MOST = 50
"""Largest number of parts of a run."""


@dataclass(frozen=True)
class Part:
    """Nodes whose jobs get the same files."""

    name: str
    """Name of its folder."""

    nodes: Sequence[Node]


def deal(nodes: Sequence[Node]) -> Iterator[Part]:
    """Deal nodes into parts, neighbours together, since they read much of the same data."""
    count = min(MOST, math.ceil(math.sqrt(len(nodes))))
    bounds = [len(nodes) * part // count for part in range(count + 1)] if count else []
    for number, (first, end) in enumerate(pairwise(bounds)):
        yield Part(f"{number:02}", nodes[first:end])


def write_parts(
    folder: Path,
    parts: Sequence[Part],
    context: ExecutionContext,
    write_nodes: Callable[[Path, Iterable[Node]], None],
) -> None:
    """Write a folder for each part, with what a job needs of index and graph.

    Parameters
    ----------
    folder
        The run directory.
    parts
        The parts.
    context
        Has the graph, and the runner that writes parts of its files.
    write_nodes
        Writes an index of some nodes.
    """
    places = [(folder / FOLDER / part.name, part) for part in parts]
    for place, part in places:
        place.mkdir(parents=True)
        write_nodes(place / "index.sqlite", part.nodes)
    context.runner.write_parts((place, _quantum_ids(part, context.graph)) for place, part in places)


def _quantum_ids(part: Part, graph: EnumeratedGraph) -> list[bytes]:
    ids = (id for node in part.nodes for id in node.ids)
    return [graph.structure.quantum_id_bytes(graph.position(id)) for id in ids]
