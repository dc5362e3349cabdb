"""Levels and columns of nodes.

Nodes of a column need nothing of other columns, so a slow one holds up only its own.  Columns end where something needs
much of the graph: from that level on there is only one.  Where that is the level after the first, there are none.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

__all__ = ["columns", "levels"]

JOINED = 0
"""Column of all nodes from the level on that joins the columns."""


def levels(needs: Sequence[Sequence[int]]) -> list[int]:
    """Return the length of the longest path to each node.

    Parameters
    ----------
    needs
        Numbers of the nodes that each node waits for, each smaller than its own.
    """
    found: list[int] = []
    for row in needs:
        found.append(1 + max((found[number] for number in row), default=-1))
    return found


def columns(needs: Sequence[Sequence[int]], level: Sequence[int], most: int) -> list[int]:
    """Return the column of each node.

    Parameters
    ----------
    needs
        Numbers of the nodes that each node waits for.
    level
        Of each node.
    most
        Maximum number of columns.
    """
    parents = list(range(len(needs)))
    order = sorted(range(len(needs)), key=level.__getitem__)
    top = max(level, default=0) + 1
    for height, members in groupby(order, level.__getitem__):
        nodes, saved = list(members), parents.copy()
        for node in nodes:
            for before in needs[node]:
                parents[_root(parents, before)] = _root(parents, node)
        if height and _parts(parents, order, level, height) < min(
            most, _parts(saved, order, level, height - 1)
        ):
            parents, top = saved, height
            break
    if top == 1:
        return [JOINED] * len(needs)
    numbers: dict[int, int] = {}
    for node in order:
        if level[node] < top:
            numbers.setdefault(_root(parents, node), len(numbers))
    return [
        numbers[_root(parents, node)] % most if level[node] < top else JOINED for node in range(len(needs))
    ]


def _parts(parents: list[int], order: Sequence[int], level: Sequence[int], height: int) -> int:
    """Return how many parts of the graph there are up to a level."""
    return len({_root(parents, node) for node in order if level[node] <= height})


def _root(parents: list[int], node: int) -> int:
    while parents[node] != node:
        parents[node] = parents[parents[node]]
        node = parents[node]
    return node
