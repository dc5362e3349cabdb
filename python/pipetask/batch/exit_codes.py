"""What the exit code of a job tells the batch system."""

from __future__ import annotations

from enum import IntEnum

from ..outcome import INVALID_QUANTUM, REPEATABLE_ERROR

__all__ = ["FINAL_CODES", "ExitCode"]


class ExitCode(IntEnum):
    """What a job's exit code means; one that was interrupted exits with 128 and the signal's number."""

    DONE = 0
    FAILED = 1
    """A quantum failed, and running it again has not helped."""

    REPEATABLE = REPEATABLE_ERROR
    """A quantum failed with an error that will come again, as it says itself."""

    INVALID = INVALID_QUANTUM
    """A quantum cannot be run at all, as it says itself."""

    INFRASTRUCTURE = 75
    """Probably not the quantum's fault: another attempt may succeed."""

    OUT_OF_MEMORY = 76
    """Another attempt needs more memory."""

    OUT_OF_TIME = 78
    """No quantum has ended within the walltime: another attempt needs more."""

    UNFINISHED = 79
    """Some quanta have ended, and for the others no walltime was left: another attempt goes on with the same."""

    BLOCKED = 77
    """No quantum failed here, and some were not run because they need what failed elsewhere."""


FINAL_CODES = frozenset(
    {ExitCode.DONE, ExitCode.FAILED, ExitCode.REPEATABLE, ExitCode.INVALID, ExitCode.BLOCKED}
)
"""After these, the batch system makes no other attempt."""
