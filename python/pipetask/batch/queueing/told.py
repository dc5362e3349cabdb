"""What a script tells the program that it runs, in environment variables."""

from __future__ import annotations

import os
import time

__all__ = ["END_VARIABLE", "MEMORY_VARIABLE", "TOLD", "memory_told", "seconds_left"]

END_VARIABLE = "PIPETASK_WALLTIME_END"
"""When the walltime of this job ends, in seconds since 1970-01-01 UTC."""

MEMORY_VARIABLE = "PIPETASK_REQUESTED_MEMORY"
"""The memory that this job has asked for, in megabytes."""

TOLD = frozenset({END_VARIABLE, MEMORY_VARIABLE})


def memory_told() -> int | None:
    """Return the memory that this job has asked for in megabytes, if its script has told that."""
    text = os.environ.get(MEMORY_VARIABLE)
    return int(text) if text else None


def seconds_left() -> float | None:
    """Return the seconds until this job's walltime ends, if its script has told that."""
    end = os.environ.get(END_VARIABLE)
    return float(end) - time.time() if end else None
