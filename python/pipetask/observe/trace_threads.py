"""Put attempts into threads of a trace, in whole microseconds and without overlap."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .facts.attempts import Attempts, Integers

__all__ = ["Thread", "Threads"]

_TOLERANCE = 1000
"""Microseconds by which an attempt may begin before the one before it has ended; it is then cut."""


@dataclass(frozen=True)
class Thread:
    """A thread of a trace: a lane, or a part of one whose attempts overlap because a clock was set back."""

    pid: int
    """Number of the host, from 1."""

    tid: int
    """Unique in the trace."""

    name: str


@dataclass(frozen=True)
class Threads:
    """Where each attempt is in the trace."""

    hosts: tuple[str, ...]
    threads: tuple[Thread, ...]
    thread: Integers
    """Index in ``threads``, for each attempt."""

    begin: Integers
    end: Integers
    """Microseconds since the beginning of the run; each attempt has at least one."""

    @classmethod
    def of(cls, attempts: Attempts, origin: float) -> Threads:
        """Put the attempts of a run into threads.

        Parameters
        ----------
        attempts
            The attempts.
        origin
            The beginning of the run.
        """
        hosts = tuple(dict.fromkeys(lane.host for lane in attempts.lanes))
        begin = np.floor((attempts.start - origin) * 1e6).astype(np.int64)
        end = np.maximum(np.floor((attempts.end - origin) * 1e6).astype(np.int64), begin + 1)
        threads: list[Thread] = []
        thread = np.zeros(len(attempts), dtype=np.int64)
        for number, lane in enumerate(attempts.lanes):
            rows = np.flatnonzero(attempts.lane == number)
            parts = _without_overlap(begin, end, rows)
            thread[rows] = len(threads) + parts
            for part in range(int(parts.max(initial=0)) + 1):
                name = lane.name if not part else f"{lane.name}, clock set back"
                threads.append(Thread(hosts.index(lane.host) + 1, len(threads) + 1, name))
        return cls(hosts, tuple(threads), thread, begin, end)

    def where(self, row: int) -> dict[str, int]:
        """Return the fields of an event that say in which process and thread it is."""
        thread = self.threads[self.thread[row]]
        return {"pid": thread.pid, "tid": thread.tid}


def _without_overlap(begin: Integers, end: Integers, rows: Integers) -> Integers:
    """Return the part of the lane that each attempt goes into; shift those that begin hardly too early."""
    free_at: list[int] = []
    parts = np.zeros(len(rows), dtype=np.int64)
    for index, row in enumerate(rows):
        part = next((p for p, free in enumerate(free_at) if begin[row] >= free - _TOLERANCE), len(free_at))
        if part == len(free_at):
            free_at.append(int(begin[row]))
        begin[row] = max(begin[row], free_at[part])
        end[row] = max(end[row], begin[row] + 1)
        free_at[part], parts[index] = int(end[row]), part
    return parts
