"""Limits of the operating system."""

from __future__ import annotations

import contextlib
import resource
from collections.abc import Iterator
from pathlib import Path

from ...errors import UsageError

__all__ = ["check_descriptors", "open_files_limit", "set_open_files_limit", "with_open_files"]

PER_WORKER = 7
"""Descriptors that the parent keeps for each worker: pipes (orders, tokens and their source, results), marks,
status, death."""

REST = 40
"""Descriptors for everything else: registry, graph, server, files that are open for a moment."""


def check_descriptors(processes: int) -> int | None:
    """Check that this process may have enough descriptors for a number of workers.

    Returns
    -------
    needed
        What the limit must be raised to, see `with_open_files`; `None` if it is high enough.

    Raises
    ------
    UsageError
        If the limit is too low.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken = _n_open()
    needed = taken + PER_WORKER * processes + REST
    if soft == resource.RLIM_INFINITY or needed <= soft:
        return None
    if hard == resource.RLIM_INFINITY or needed <= hard:
        return needed
    most = (hard - taken - REST) // PER_WORKER
    instead = f"use at most -j {most}" if most > 0 else "run it where the limit is higher"
    raise UsageError(
        f"-j {processes} needs {needed} open files, and the limit here (ulimit -Hn) is {hard}: {instead}."
    )


def open_files_limit() -> int:
    """Return the limit of open files that holds for this process."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def set_open_files_limit(limit: int | None) -> None:
    """Set the limit of open files of this process; by default, as high as it may be."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard if limit is None else limit, hard))


@contextlib.contextmanager
def with_open_files(needed: int | None) -> Iterator[None]:
    """Raise the limit of open files for a while; `None` leaves it as it is."""
    before = open_files_limit()
    if needed is not None:
        set_open_files_limit(needed)
    try:
        yield
    finally:
        if needed is not None:
            set_open_files_limit(before)


def _n_open() -> int:
    for folder in ("/proc/self/fd", "/dev/fd"):
        try:
            return sum(1 for _ in Path(folder).iterdir()) - 1
        except OSError:
            continue
    return REST
