"""`pipetask restart`."""

from __future__ import annotations

import sys

from ..batch.run_directory import RunDirectory
from ..batch.systems import system_of
from ..options.commands.batch import RestartCommand
from .command import Invocation

__all__ = ["run"]


def run(invocation: Invocation) -> int:
    """Submit the rest of a run."""
    options: RestartCommand = invocation.options
    directory = RunDirectory(options.run_dir)
    system = system_of(directory)
    _hold(directory)
    directory.check_files()
    done = system.restart(directory)
    if done.found:
        print(f"It is in the queue already, as {done.job}.", file=sys.stderr)
    else:
        print(
            f"Submitted as {done.job}; {done.done} of {directory.facts.nodes} nodes are done.",
            file=sys.stderr,
        )
    for node, megabytes in done.memory.items():
        print(f"{node} now asks for {megabytes} MB.", file=sys.stderr)
    return 0


def _hold(directory: RunDirectory) -> None:
    """Refuse if every job would fail and use up its retries: without the repository, or if another run has it."""
    from ..execution.continuation import hold

    if (later := directory.recipe().later) is not None:
        hold(later, directory.facts.id, str(directory.path))
