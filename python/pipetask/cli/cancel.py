"""`pipetask cancel`."""

from __future__ import annotations

import sys

from ..executors.condor.control import cancel
from ..executors.delayed.run_directory import RunDirectory
from ..options.delayed_commands import CancelCommand
from .command import Invocation

__all__ = ["run"]


def run(invocation: Invocation) -> int:
    """Cancel a run."""
    options: CancelCommand = invocation.options
    directory = RunDirectory(options.run_dir)
    if not cancel(directory):
        print(f"{directory.path} is not in the queue: there is nothing to cancel.", file=sys.stderr)
        return 1
    print(f"Cancelled.  To go on with it: pipetask restart {directory.path}", file=sys.stderr)
    return 0
