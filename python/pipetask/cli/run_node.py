"""`pipetask run-node`."""

from __future__ import annotations

import sys

from ..errors import PipetaskError
from ..executors.delayed.node import ExitCode, run_node
from ..executors.delayed.replay import all_done
from ..executors.delayed.run_directory import RunDirectory
from ..options.delayed_commands import RunNodeCommand
from .command import Invocation
from .run_report import replay

__all__ = ["run"]


def run(invocation: Invocation) -> int:
    """Run a node, or what comes before and after all nodes."""
    options: RunNodeCommand = invocation.options
    directory = RunDirectory(options.run_dir)
    try:
        match options.node:
            case "first":
                return _first(directory)
            case "final":
                return _final(directory)
            case name:
                return run_node(directory, name, processes=options.processes, quantum_ids=options.quantum_ids)
    except PipetaskError as error:
        # In a job, whatever keeps quanta from being run at all may be right at the next attempt.
        print(f"pipetask run-node: {error}", file=sys.stderr)
        return ExitCode.INFRASTRUCTURE


def _first(directory: RunDirectory) -> int:
    directory.check_files()
    later = directory.recipe().later
    if later is None:
        raise PipetaskError(f"{directory.path} has no registry to make ready.")
    later.begin(str(directory.graph))
    directory.begun.touch()
    return 0


def _final(directory: RunDirectory) -> int:
    directory.check_files()
    recipe = directory.recipe()
    if recipe.later is None:  # no registry takes part
        return 0 if all_done(directory) else ExitCode.FAILED
    try:
        directory.check_begun(recipe)
    except PipetaskError as error:  # waiting does not help
        print(f"pipetask run-node: {error}", file=sys.stderr)
        return ExitCode.FAILED
    directory.summary.unlink(missing_ok=True)
    summary = replay(directory, register=True)
    if summary.error is not None:  # a summary is the sign that all is registered
        directory.summary.unlink(missing_ok=True)
    return summary.exit_code if directory.summary.exists() else ExitCode.INFRASTRUCTURE
