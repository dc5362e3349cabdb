"""`pipetask restart`."""

from __future__ import annotations

import sys

from ..batch.ledger import Ledger
from ..batch.run_directory import RunDirectory
from ..batch.status import RunPhase
from ..batch.system import BatchSystem
from ..batch.systems import system_of
from ..options.commands.batch import RestartCommand
from .cancel import registered_quanta
from .command import Invocation

__all__ = ["run"]


def run(invocation: Invocation) -> int:
    """Submit the rest of a run."""
    options: RestartCommand = invocation.options
    directory = RunDirectory(options.run_dir)
    system = system_of(directory)
    if _is_complete(directory, system):
        print(f"Nothing is left to do: all {directory.facts.nodes} nodes are done.", file=sys.stderr)
        return 0
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


def _is_complete(directory: RunDirectory, system: BatchSystem) -> bool:
    """Return whether all quanta are done, and all that they have written is registered."""
    if not Ledger(directory).all_done():
        return False
    if directory.recipe().later is None:  # there is no registry
        return system.watch(directory).phase() is RunPhase.SUCCEEDED
    if not directory.summary.exists() or directory.why_unregistered() is not None:
        return False
    done, total = registered_quanta(directory)
    return done == total


def _hold(directory: RunDirectory) -> None:
    """Refuse if every job would fail and use up its retries: without the repository, or if another run has it."""
    from ..execution.continuation import hold

    if (later := directory.recipe().later) is not None:
        hold(later, directory.facts.id, str(directory.path))
