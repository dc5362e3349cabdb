"""`pipetask run-pilot`."""

from __future__ import annotations

from ..batch.pilots.pilot import run_pilot
from ..batch.run_directory import RunDirectory
from ..options.commands.batch import RunPilotCommand
from .command import Invocation

__all__ = ["run"]


def run(invocation: Invocation) -> int:
    """Run nodes until none is left."""
    options: RunPilotCommand = invocation.options
    return run_pilot(RunDirectory(options.run_dir), processes=options.processes)
