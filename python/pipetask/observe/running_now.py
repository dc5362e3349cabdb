"""What has been running longest at this moment, and how much memory it takes."""

from __future__ import annotations

import heapq
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..executors.activity import Activity
from ..graph.enumeration import EnumeratedGraph
from ..text import visible

__all__ = ["LongRunning", "longest_running", "resident_size"]

MOST = 3
"""Quanta that are shown."""

SHORTEST = 2.0
"""Seconds after which a quantum is shown: names that change too fast cannot be read."""

_LAST = ("instrument", "skymap")
"""Dimensions that are mostly the same in a run, and are named last."""


@dataclass(frozen=True)
class LongRunning:
    """A quantum that has been running for some time."""

    name: str
    """Label and data ID, in which what differs between quanta comes first."""

    seconds: float
    memory: int | None = None
    """Bytes of its process that are resident now."""


def longest_running(
    activity: Activity, graph: EnumeratedGraph, most: int = MOST, shortest: float = SHORTEST
) -> Iterator[LongRunning]:
    """Yield the quanta that have been running longest, first the one that started first.

    Parameters
    ----------
    activity
        Tells which quanta are running.
    graph
        Looks up labels and data IDs.
    most
        How many.
    shortest
        Seconds that each has been running, at least.
    """
    now = time.time()
    started = [(each.start, each.id, each.pid) for each in activity.quanta() if each.start is not None]
    for start, id, pid in heapq.nsmallest(most, started):
        if now - start >= shortest:
            yield LongRunning(_name(graph, id), now - start, resident_size(pid))


def resident_size(pid: int | None) -> int | None:
    """Return how many bytes of a process of this host are resident; `None` if that is not known."""
    try:
        pages = Path(f"/proc/{pid}/statm").read_bytes().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError, ValueError):
        return None


def _name(graph: EnumeratedGraph, id: int) -> str:
    data_id = graph.data_id(id)
    names = sorted(data_id, key=lambda name: name in _LAST)
    values = " ".join(f"{name}={data_id[name]}" for name in names)
    return visible(f"{graph.label(id)} {values}")
