"""When attempts could have started, and what they waited for."""

from __future__ import annotations

import numpy as np

from ...graph.structure import GraphStructure
from .attempts import Attempts, Floats, Integers

__all__ = ["latest_prerequisite", "ready_times"]


def ready_times(attempts: Attempts, structure: GraphStructure, begin: float) -> Floats:
    """Return for each row when it could have started.

    That is when the last prerequisite ended, or the attempt before, or when the run began.  It is never after the
    start, although the clocks of two hosts may say so.

    Parameters
    ----------
    attempts
        The attempts.
    structure
        The quanta and their dependencies.
    begin
        When the run began.
    """
    last = attempts.last_rows(len(structure))
    ended = np.where(last >= 0, attempts.end[last], -np.inf) if len(attempts) else np.full(len(last), -np.inf)
    ready = np.full(len(structure), begin)
    needed, dependent = structure.edges()
    np.maximum.at(ready, dependent, ended[needed])
    rows = ready[attempts.position]
    again = attempts.previous >= 0
    rows[again] = attempts.end[attempts.previous[again]]
    return np.minimum(rows, attempts.start)


def latest_prerequisite(attempts: Attempts, structure: GraphStructure, last: Integers, row: int) -> int:
    """Return the row of the prerequisite of an attempt that ended last, or -1.

    Parameters
    ----------
    attempts
        The attempts.
    structure
        The quanta and their dependencies.
    last
        The row of the last attempt at each quantum.
    row
        The attempt.
    """
    needed = np.asarray(structure.needed_by(int(attempts.position[row])), dtype=np.int64)
    rows = last[needed]
    rows = rows[rows >= 0]
    return int(rows[np.argmax(attempts.end[rows])]) if len(rows) else -1
