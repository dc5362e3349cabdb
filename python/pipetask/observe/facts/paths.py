"""Two critical paths: the longest chain of dependencies, and the chain of what was actually waited for.

They differ when slots are short.  The first says how fast the run could be with any number of slots; the second says
what the last quantum waited for, and so on back to the beginning.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

import numpy as np

from ...graph.structure import GraphStructure
from .attempts import Attempts, Floats
from .waits import latest_prerequisite

__all__ = ["Chain", "Step", "Wait", "chain_of_waits", "longest_chain", "seconds_by_position"]


class Wait(Enum):
    """What an attempt waited for before it started."""

    BEGINNING = "the beginning of the run"
    DEPENDENCY = "a prerequisite"
    SLOT = "a slot"
    ATTEMPT = "an earlier attempt"


@dataclass(frozen=True)
class Step:
    """An attempt on a chain of waits."""

    row: int
    waited_for: Wait
    gap: float
    """Seconds between the end of what it waited for and its start."""


@dataclass(frozen=True)
class Chain:
    """A chain of quanta of which each needs the one before."""

    positions: tuple[int, ...]
    seconds: float


def seconds_by_position(attempts: Attempts, size: int) -> Floats:
    """Return how long all attempts at each quantum took together, by position."""
    return np.bincount(attempts.position, weights=attempts.seconds, minlength=size).astype(np.float64)


def longest_chain(structure: GraphStructure, seconds: Floats, order: Iterable[int]) -> Chain:
    """Return the chain of dependencies that takes longest.

    Parameters
    ----------
    structure
        The quanta and their dependencies.
    seconds
        How long each quantum takes, by position.
    order
        Positions in an order in which prerequisites come first; no chain goes through those that are left out.
    """
    taken, starts, predecessors = seconds.tolist(), structure.predecessor_starts, structure.predecessors
    length, came_from = [0.0] * len(taken), array("i", [-1]) * len(taken)
    for position in order:
        longest, last = 0.0, -1
        for needed in predecessors[starts[position] : starts[position + 1]]:
            if length[needed] > longest:
                longest, last = length[needed], needed
        came_from[position] = last
        length[position] = longest + taken[position]
    if not length:
        return Chain((), 0.0)
    position = int(np.argmax(length))
    total, chain = length[position], list[int]()
    while position >= 0:
        chain.append(position)
        position = came_from[position]
    return Chain(tuple(reversed(chain)), total)


def chain_of_waits(attempts: Attempts, structure: GraphStructure, begin: float) -> list[Step]:
    """Return what the attempt that ended last waited for, what that waited for, and so on, in the order of time.

    Before an attempt there is the attempt before at the same quantum, if there was one.  Otherwise it waited for what
    ended last: a prerequisite, or the attempt before in its lane.

    Parameters
    ----------
    attempts
        The attempts.
    structure
        The quanta and their dependencies.
    begin
        When the run began.
    """
    steps: list[Step] = []
    if not len(attempts):
        return steps
    last, seen = attempts.last_rows(len(structure)), set[int]()
    row = int(np.argmax(attempts.end))
    while row not in seen:  # clocks that disagree could make a circle
        seen.add(row)
        cause, wait = _cause(attempts, row, latest_prerequisite(attempts, structure, last, row))
        since = attempts.end[cause] if cause >= 0 else begin
        steps.append(Step(row, wait, max(0.0, float(attempts.start[row] - since))))
        if cause < 0:
            break
        row = cause
    return steps[::-1]


def _cause(attempts: Attempts, row: int, prerequisite: int) -> tuple[int, Wait]:
    if (before := int(attempts.previous[row])) >= 0:
        return before, Wait.ATTEMPT
    in_lane = row - 1 if row > 0 and attempts.lane[row - 1] == attempts.lane[row] else -1
    if prerequisite < 0 and in_lane < 0:
        return -1, Wait.BEGINNING
    if in_lane < 0 or (prerequisite >= 0 and attempts.end[prerequisite] >= attempts.end[in_lane]):
        return prerequisite, Wait.DEPENDENCY
    return in_lane, Wait.SLOT
