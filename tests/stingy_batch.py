"""A batch system whose jobs have as little time as a test wants."""

from __future__ import annotations

import os
from pathlib import Path

from pipetask.testing.local_batch import LocalBatchSystem

__all__ = ["NOTES", "SECONDS", "StingySystem"]

NOTES, SECONDS = "PIPETASK_TEST_NOTES", "PIPETASK_TEST_WALLTIME"


class StingySystem(LocalBatchSystem):
    """Tells each job that it has so many seconds, counted from when it asks: how fast it starts does not matter.

    It notes what it should have told.
    """

    @staticmethod
    def walltime_left() -> float:
        """Return what an environment variable says."""
        if (path := os.environ.get(NOTES)) is not None:
            with Path(path).open("a") as notes:
                notes.write(f"{LocalBatchSystem.walltime_left()}\n")
        return float(os.environ[SECONDS])
