"""Lanes: the slots of a run, as far as its attempts show them.

A process runs one quantum at a time, so its attempts share a lane.  Processes of a host that follow one another share
one, too: a worker and what replaces it, or the jobs of a batch system.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Lane", "assign_lanes"]


@dataclass(frozen=True)
class Lane:
    """A slot of a host."""

    host: str
    number: int
    """Counted from 1 on each host."""

    @property
    def name(self) -> str:
        """Such as ``host 3``."""
        return f"{self.host or 'worker'} {self.number}"


def assign_lanes(
    start: npt.NDArray[np.float64],
    end: npt.NDArray[np.float64],
    host: npt.NDArray[np.int64],
    pid: npt.NDArray[np.int64],
    hosts: Sequence[str],
) -> tuple[npt.NDArray[np.int64], tuple[Lane, ...]]:
    """Return the lane of each attempt, as an index, and the lanes.

    Parameters
    ----------
    start, end, host, pid
        Of each attempt; hosts by index.  Attempts with the pid -1 are each a process of its own.
    hosts
        Names of hosts.
    """
    if not len(start):
        return np.zeros(0, dtype=np.int64), ()
    own = np.where(pid < 0, -1 - np.arange(len(pid)), pid)
    processes, process = np.unique(np.column_stack((host, own)), axis=0, return_inverse=True)
    process = process.reshape(-1)
    first, last = np.full(len(processes), np.inf), np.full(len(processes), -np.inf)
    np.minimum.at(first, process, start)
    np.maximum.at(last, process, end)
    lane_of, lanes = np.zeros(len(processes), dtype=np.int64), list[Lane]()
    for number, name in sorted(enumerate(hosts), key=lambda each: each[1]):
        mine = np.flatnonzero(processes[:, 0] == number)
        mine = mine[np.argsort(first[mine], kind="stable")]
        taken = _first_free(first[mine].tolist(), last[mine].tolist())
        lane_of[mine] = np.array(taken, dtype=np.int64) + len(lanes)
        lanes += [Lane(name, n + 1) for n in range(max(taken, default=-1) + 1)]
    return lane_of[process], tuple(lanes)


def _first_free(first: list[float], last: list[float]) -> list[int]:
    """Give each of some spans, sorted by their beginnings, the lowest number that is not in use."""
    busy: list[tuple[float, int]] = []
    free: list[int] = []
    taken = []
    for begin, end in zip(first, last, strict=True):
        while busy and busy[0][0] <= begin:
            heapq.heappush(free, heapq.heappop(busy)[1])
        number = heapq.heappop(free) if free else len(busy)
        heapq.heappush(busy, (end, number))
        taken.append(number)
    return taken
