"""Arrays of jobs: nodes of one kind, level and column that ask for the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

from ..index import NodeIndex
from ..names import FINAL, FIRST, is_pilot
from .columns import columns, levels
from .limits import Limits

__all__ = ["Demand", "JobArray", "Nodes", "arrays_of", "single", "that_fit"]

_MOST = 54
"""Arrays of a run, as far as columns decide; a graph of many levels and kinds has more."""


@dataclass(frozen=True)
class Demand:
    """What the job of a node asks for."""

    memory: int
    """Megabytes."""

    time: int
    """Minutes."""


@dataclass(frozen=True)
class JobArray:
    """One submission: an array of jobs."""

    number: int
    """In its round, from 0."""

    labels: tuple[str, ...]
    """The tasks that its jobs run; empty for the first and the final node."""

    level: int
    column: int
    nodes: tuple[str, ...]
    """Names of the nodes: element N runs the one at position N."""

    needs: tuple[int, ...]
    """Numbers of the arrays that must have ended before."""

    demand: Demand

    @property
    def runs_pilots(self) -> bool:
        """Whether its jobs are pilots, which run any nodes."""
        return any(map(is_pilot, self.nodes[:1]))

    def explain(self) -> str:
        """Return in one line what it is."""
        if self.runs_pilots:
            return f"pilots: {len(self.nodes)}"
        what = "+".join(self.labels) or self.nodes[0]
        return f"{what}, level {self.level}, column {self.column}: nodes {len(self.nodes)}"


class Nodes:
    """The nodes of a run, as far as arrays need to know them.

    Parameters
    ----------
    index
        The index of the run.
    """

    def __init__(self, index: NodeIndex):
        counts = index.counts()
        self.names = list(counts)
        self.labels = [tuple(labels) for labels in counts.values()]
        self.needs = index.needs()
        self.levels = levels(self.needs)

    def kinds(self) -> set[tuple[str, ...]]:
        """Return the sets of tasks that nodes run."""
        return set(self.labels)

    def columns(self, most: int) -> list[int]:
        """Return the column of each node; there are fewer of them where that makes too many arrays."""
        groups = len(set(zip(self.levels, self.labels, strict=True)))
        return columns(self.needs, self.levels, max(1, min(most, _MOST // max(1, groups))))


def arrays_of(
    nodes: Nodes, demands: Mapping[int, Demand], most_columns: int, limits: Limits, offset: int = 0
) -> list[JobArray]:
    """Return the arrays of some nodes, level by level.

    Parameters
    ----------
    nodes
        All nodes of the run.
    demands
        What is to run, by number of the node, and what it asks for.
    most_columns
        Maximum number of columns.
    limits
        What the system takes.
    offset
        Number of the first array.
    """
    column = nodes.columns(most_columns)
    groups: dict[tuple[int, int, tuple[str, ...], int, int], list[int]] = {}
    for number, demand in sorted(demands.items()):
        key = (nodes.levels[number], column[number], nodes.labels[number], demand.memory, demand.time)
        groups.setdefault(key, []).append(number)
    home: dict[int, int] = {}
    arrays: list[JobArray] = []
    for (level, where, labels, memory, time), members in sorted(groups.items()):
        for start in range(0, len(members), limits.array):
            some = members[start : start + limits.array]
            needs = {home[before] for each in some for before in nodes.needs[each] if before in home}
            number = offset + len(arrays)
            names = tuple(nodes.names[each] for each in some)
            arrays.append(
                JobArray(number, labels, level, where, names, tuple(sorted(needs)), Demand(memory, time))
            )
            # Those it needs are on lower levels, and so have their arrays already.
            home |= dict.fromkeys(some, number)
    return arrays


def single(node: str, number: int, level: int, needs: Sequence[int], demand: Demand) -> JobArray:
    """Return the array for the first or the final node."""
    assert node in (FIRST, FINAL)
    return JobArray(number, (), level, 0, (node,), tuple(needs), demand)


def that_fit(arrays: Sequence[JobArray], most: int) -> Iterator[JobArray]:
    """Yield those arrays, from the beginning, that together have no more elements than so many.

    If not even one fits, its beginning is yielded.
    """
    totals = accumulate(len(array.nodes) for array in arrays)
    for array, total in zip(arrays, totals, strict=True):
        if total > most:
            room = most - (total - len(array.nodes))
            if room > 0:
                yield replace(array, nodes=array.nodes[:room])
            return
        yield array
