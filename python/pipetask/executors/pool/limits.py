"""Limits of the operating system."""

from __future__ import annotations

import resource
from pathlib import Path

from ...errors import UsageError

__all__ = ["check_descriptors"]

PER_WORKER = 7
"""Descriptors that the parent keeps for each worker: pipes (orders, tokens and their source, results), marks,
status, death."""

REST = 40
"""Descriptors for everything else: registry, graph, server, files that are open for a moment."""


def check_descriptors(processes: int) -> None:
    """Make sure that there are enough descriptors for a number of workers; raise the limit if that is allowed.

    Raises
    ------
    UsageError
        If the limit is too low.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken = _n_open()
    needed = taken + PER_WORKER * processes + REST
    if soft == resource.RLIM_INFINITY or needed <= soft:
        return
    if hard == resource.RLIM_INFINITY or needed <= hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
        return
    most = (hard - taken - REST) // PER_WORKER
    instead = f"use at most -j {most}" if most > 0 else "run it where the limit is higher"
    raise UsageError(
        f"-j {processes} needs {needed} open files, and the limit here (ulimit -Hn) is {hard}: {instead}."
    )


def _n_open() -> int:
    for folder in ("/proc/self/fd", "/dev/fd"):
        try:
            return sum(1 for _ in Path(folder).iterdir()) - 1
        except OSError:
            continue
    return REST
