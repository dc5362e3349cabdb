"""Write edges between nodes compactly: many-to-many dependencies go through a join node."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby

from .bundling import Node

__all__ = ["Edges", "edges_of"]

DENSE = 32
"""Ends of edges for each node, above which all nodes of a kind wait for all that any of them needs.

So a graph of 1,640 nodes has a megabyte of edges at most, and few real graphs come near that.
"""


@dataclass(frozen=True)
class Edges:
    """All of some nodes wait for all of some others."""

    parents: tuple[int, ...]
    children: tuple[int, ...]

    @property
    def many_to_many(self) -> bool:
        """Whether a join node between them saves edges."""
        return len(self.parents) > 1 and len(self.children) > 1

    @property
    def ends(self) -> int:
        """Number of node names that it takes to write these edges."""
        return len(self.parents) + len(self.children)


def edges_of(nodes: Iterable[Node], dense: float = DENSE) -> Iterator[Edges]:
    """Yield all edges of a graph of nodes.

    Parameters
    ----------
    nodes
        The nodes.
    dense
        Ends of edges for each node that are written as they are.

    Notes
    -----
    Nodes that need the same share one `Edges`.  Where the nodes of one kind and level need overlapping but different
    sets, so that the text would grow with the square of their number, all of them wait for all that any of them needs:
    some parallelism is given up for a text that is proportional to the number of nodes.  Whatever they wait for is on
    a lower level, so that this can make no cycle.
    """
    waiting = sorted((node for node in nodes if node.needs), key=_kind)
    for _, alike in groupby(waiting, _kind):
        yield from _thinned(list(_by_needs(alike)), dense)


def _kind(node: Node) -> tuple[int, tuple[str, ...]]:
    return node.level, node.labels


def _by_needs(nodes: Iterable[Node]) -> Iterator[Edges]:
    children: dict[tuple[int, ...], list[int]] = {}
    for node in nodes:
        children.setdefault(node.needs, []).append(node.number)
    for needs, numbers in children.items():
        yield Edges(needs, tuple(numbers))


def _thinned(groups: list[Edges], dense: float) -> list[Edges]:
    parents = {number for edges in groups for number in edges.parents}
    children = tuple(number for edges in groups for number in edges.children)
    if sum(edges.ends for edges in groups) <= dense * (len(parents) + len(children)):
        return groups
    return [Edges(tuple(sorted(parents)), children)]
