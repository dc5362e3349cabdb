"""Pack quanta into nodes, each worth starting a process for.

Three steps, each of which can only make acyclic graphs:

1. *Fusing.*  A quantum joins the group that it follows if all that it needs is in there: nothing outside can come
   between the two, so no cycle can arise.
2. *Levels.*  The level of a group is the length of the longest path to it; edges go from lower to higher levels.
3. *Packing.*  Only groups of one level, made of the same tasks, go into one node; so edges between nodes still go from
   lower to higher levels.
"""

from __future__ import annotations

import json
import math
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from statistics import fmean

from ..errors import UsageError
from ..graph.enumeration import EnumeratedGraph, QuantumData

__all__ = ["BundlingOptions", "Node", "NodeGraph", "bundle", "fuse", "read_timings"]

MOST = 50
"""Default number of quanta in a node, at most."""


@dataclass(frozen=True)
class BundlingOptions:
    """How quanta are packed."""

    size: int | None = None
    """Quanta in a node; `None`: the square root of how many there are of a kind, at most `MOST`."""

    by: tuple[str, ...] = ()
    """Dimensions whose values all quanta of a node share."""

    seconds: float | None = None
    """Expected work in a node; needs `timings`."""

    timings: Mapping[str, float] = field(default_factory=dict)
    """Seconds that a quantum takes, by label."""

    def __post_init__(self) -> None:
        if self.size is not None and self.size < 1:
            raise UsageError(f"--bundle-size {self.size}: there must be at least one quantum in a node.")
        if self.seconds is not None and not self.timings:
            raise UsageError("--bundle-seconds needs --timings, the summary of an earlier run.")
        if self.seconds is not None and self.size is not None:
            raise UsageError("--bundle-seconds and --bundle-size exclude each other.")


@dataclass(frozen=True, slots=True)
class Node:
    """Quanta that one job runs."""

    number: int
    """From 0, in topological order."""

    labels: tuple[str, ...]
    """The tasks that it runs, in pipeline order."""

    ids: Sequence[int]
    """The quanta, in topological order."""

    needs: tuple[int, ...]
    """Numbers of the nodes that must succeed first, each smaller than its own."""

    level: int
    """Length of the longest path to it."""


@dataclass(frozen=True)
class NodeGraph:
    """All nodes of a run."""

    nodes: list[Node]
    quanta: int

    def explain(self) -> str:
        """Return in one line what bundling did."""
        each = self.quanta / max(1, len(self.nodes))
        size = f"~{each:.0f} each" if each >= 1.5 else "one each"
        return f"{self.quanta:,} quanta in {len(self.nodes):,} nodes, {size}"


def bundle(quanta: Iterable[QuantumData], graph: EnumeratedGraph, options: BundlingOptions) -> NodeGraph:
    """Pack a stream of quanta into nodes.

    Parameters
    ----------
    quanta
        The stream, in topological order.
    graph
        Looks up labels and data IDs.
    options
        How to pack.

    Raises
    ------
    UsageError
        If no task has a dimension that quanta are to be packed by.
    """
    ids, tasks, needed = _collect(quanta)
    groups, levels = fuse(tasks, needed)
    pieces = [_Piece(level) for level in levels]
    for index, group in enumerate(groups):
        pieces[group].add(index, tasks[index])
    _check_dimensions(graph, options)
    bins = list(_pack(pieces, _Weights(options, graph, ids)))
    home = array("i", bytes(4 * len(groups)))
    for number, packed in enumerate(bins):
        for piece in packed:
            for index in piece.members:
                home[index] = number
    if options.by and options.size is None and options.seconds is None:
        bins, home = _fuse_bins(bins, home, needed)
    nodes = [_node(number, packed, home, ids, needed, graph) for number, packed in enumerate(bins)]
    return NodeGraph(nodes, len(ids))


def fuse(kinds: Sequence[int], needed: Sequence[Sequence[int]]) -> tuple[list[int], list[int]]:
    """Put each item that only continues another one into the group of that one.

    Parameters
    ----------
    kinds
        What each item is.
    needed
        Indices of the items that each waits for, all smaller than its own.

    Returns
    -------
    groups
        Number of the group of each item.
    levels
        Length of the longest path to each group.

    Notes
    -----
    An item joins a group if all that it needs is in there, and if nothing else of its kind needs any of that: a quantum
    that a hundred others wait for is not the beginning of a chain.
    """
    followers = Counter((before, kinds[item]) for item, row in enumerate(needed) for before in row)
    groups: list[int] = []
    levels: list[int] = []
    for item, row in enumerate(needed):
        homes = {groups[before] for before in row}
        if len(homes) == 1 and all(followers[before, kinds[item]] == 1 for before in row):
            groups.append(homes.pop())
        else:
            groups.append(len(levels))
            levels.append(1 + max((levels[home] for home in homes), default=-1))
    return groups, levels


def read_timings(path: str) -> dict[str, float]:
    """Return the mean seconds of a quantum by label.

    Parameters
    ----------
    path
        A summary that ``pipetask run --summary`` or a batch run has written.

    Raises
    ------
    UsageError
        If it cannot be read, or if nothing in it was timed.
    """
    try:
        content = json.loads(Path(path).read_text())
        rows = list(zip(content["quantaReports"], content["quanta"], strict=True))
        timed = sorted((report["taskLabel"], q["end"] - q["start"]) for report, q in rows if "start" in q)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"--timings {path}: no summary that can be read ({error}).") from error
    if not timed:
        raise UsageError(f"--timings {path}: no quantum of that run was timed.")
    return {label: fmean(t for _, t in rows) for label, rows in groupby(timed, itemgetter(0))}


class _Piece:
    """A group of quanta that stay together."""

    __slots__ = ("level", "members", "tasks")

    def __init__(self, level: int):
        self.level = level
        self.members: list[int] = []
        self.tasks: tuple[int, ...] = ()

    def add(self, index: int, task: int) -> None:
        self.members.append(index)
        if task not in self.tasks:
            self.tasks = tuple(sorted((*self.tasks, task)))


class _Weights:
    """What fills a node, and what separates nodes."""

    def __init__(self, options: BundlingOptions, graph: EnumeratedGraph, ids: Sequence[int]):
        self._options = options
        self._graph = graph
        self._ids = ids
        self._unknown = fmean(options.timings.values()) if options.timings else 0.0

    def values(self, piece: _Piece) -> tuple[str, ...]:
        """Return the values of the dimensions that quanta are packed by; a quantum may lack some."""
        if not self._options.by:
            return ()
        merged: dict[str, object] = {}
        for index in piece.members:
            merged |= self._graph.data_id(self._ids[index])
        found = tuple(repr(merged[name]) if name in merged else "" for name in self._options.by)
        return found if any(found) else ()

    def limit(self, pieces: Sequence[_Piece], values: tuple[str, ...]) -> float:
        """Return the weight of a full node made of some of these pieces, which share these values."""
        options = self._options
        if options.seconds is not None:
            return options.seconds
        if options.size is not None:
            return options.size
        if values:
            return math.inf
        return min(MOST, math.ceil(math.sqrt(sum(len(piece.members) for piece in pieces))))

    @property
    def of(self) -> Callable[[_Piece], float]:
        """The function that weighs a piece."""
        return self._seconds if self._options.seconds is not None else lambda piece: len(piece.members)

    def _seconds(self, piece: _Piece) -> float:
        label, timings = self._graph.label, self._options.timings
        return sum(timings.get(label(self._ids[index]), self._unknown) for index in piece.members)


def _collect(quanta: Iterable[QuantumData]) -> tuple[array[int], array[int], list[tuple[int, ...]]]:
    """Return id, task and needed quanta of each quantum, the last as indices in the stream."""
    ids, tasks, needed = array("i"), array("i"), list[tuple[int, ...]]()
    index: dict[int, int] = {}
    for quantum in quanta:
        index[quantum.id] = len(ids)
        ids.append(quantum.id)
        tasks.append(quantum.task_index)
        needed.append(tuple(map(index.__getitem__, quantum.prerequisites)))
    return ids, tasks, needed


def _check_dimensions(graph: EnumeratedGraph, options: BundlingOptions) -> None:
    structure = graph.structure
    known = {name for label in structure.labels for name in structure.data_id(structure.positions(label)[0])}
    unknown = [name for name in options.by if name not in known]
    if unknown:
        raise UsageError(
            f"--bundle-by {unknown[0]}: no task of the graph has that dimension; there are {', '.join(sorted(known))}."
        )


def _pack(pieces: Iterable[_Piece], weights: _Weights) -> Iterator[list[_Piece]]:
    """Yield the pieces of each node, level by level."""
    # Pieces come in the order of the enumeration, in which neighbours are needed by the same quanta.
    for _, alike in groupby(sorted(pieces, key=_kind), _kind):
        members = list(alike)
        for values, near in groupby(sorted(members, key=weights.values), weights.values):
            yield from _fill(near, weights.limit(members, values), weights.of)


def _kind(piece: _Piece) -> tuple[int, tuple[int, ...]]:
    return piece.level, piece.tasks


def _fill(
    pieces: Iterable[_Piece], limit: float, weight: Callable[[_Piece], float]
) -> Iterator[list[_Piece]]:
    packed: list[_Piece] = []
    total = 0.0
    for piece in pieces:
        heavy = weight(piece)
        if packed and total + heavy > limit:
            yield packed
            packed, total = [], 0.0
        packed.append(piece)
        total += heavy
    if packed:
        yield packed


def _fuse_bins(
    bins: list[list[_Piece]], home: Sequence[int], needed: Sequence[Sequence[int]]
) -> tuple[list[list[_Piece]], array[int]]:
    """Fuse nodes as quanta are fused: all detectors of a visit, and then what gathers that visit."""
    kinds = {kind: number for number, kind in enumerate({_kind(packed[0]) for packed in bins})}
    rows = [sorted(_needs(number, packed, home, needed)) for number, packed in enumerate(bins)]
    groups, levels = fuse([kinds[_kind(packed[0])] for packed in bins], rows)
    order = sorted(range(len(levels)), key=levels.__getitem__)
    renumbered = {group: number for number, group in enumerate(order)}
    fused: list[list[_Piece]] = [[] for _ in levels]
    for packed, group in zip(bins, groups, strict=True):
        fused[renumbered[group]].extend(packed)
    return fused, array("i", [renumbered[groups[number]] for number in home])


def _needs(
    number: int, packed: Sequence[_Piece], home: Sequence[int], needed: Sequence[Sequence[int]]
) -> set[int]:
    found = {home[before] for piece in packed for index in piece.members for before in needed[index]}
    return found - {number}


def _node(
    number: int,
    packed: Sequence[_Piece],
    home: Sequence[int],
    ids: Sequence[int],
    needed: Sequence[Sequence[int]],
    graph: EnumeratedGraph,
) -> Node:
    tasks = sorted({task for piece in packed for task in piece.tasks})
    return Node(
        number,
        tuple(graph.structure.labels[task] for task in tasks),
        array("i", sorted(ids[index] for piece in packed for index in piece.members)),
        tuple(sorted(_needs(number, packed, home, needed))),
        packed[0].level,
    )
