"""Systems that plain runs on Slurm are submitted with."""

from __future__ import annotations

import json
import os

from pipetask import SlurmOptions, SlurmSystem

__all__ = ["SETTINGS", "system"]

SETTINGS = "PIPETASK_TEST_SLURM"
"""Environment variable with settings, as a list in JSON."""


def system() -> SlurmSystem:
    """Return one whose jobs are small, with the settings of a test."""
    settings = json.loads(os.environ.get(SETTINGS, "[]"))
    return SlurmSystem(SlurmOptions(slurm=("memory=400MB", "error_retries=0", *settings)))
