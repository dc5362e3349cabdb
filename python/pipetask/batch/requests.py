"""What the jobs of a run have asked for."""

from __future__ import annotations

from .ledger import Ledger
from .run_directory import RunDirectory

__all__ = ["requested_memory"]

_MEGABYTE = 2**20


def requested_memory(directory: RunDirectory) -> dict[str, float]:
    """Return the most memory in bytes that a job with quanta of a label has asked for, where that is known.

    Parameters
    ----------
    directory
        The run.
    """
    with directory.index() as index:
        labels = list(index.counts().values())
    largest: dict[str, float] = {}
    for record in Ledger(directory).nodes():
        if record.memory:
            for label in labels[record.number]:
                largest[label] = max(largest.get(label, 0.0), float(record.memory * _MEGABYTE))
    return largest
