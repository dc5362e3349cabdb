"""`pipetask run-node`."""

from __future__ import annotations

import sys
from contextlib import suppress

from ..batch.exit_codes import ExitCode
from ..batch.ledger import Ledger
from ..batch.names import FINAL, FIRST
from ..batch.node import run_node
from ..batch.run_directory import RunDirectory
from ..errors import PipetaskError
from ..options.commands.batch import RunNodeCommand
from .command import Invocation
from .run_report import replay

__all__ = ["final_step", "run"]


def run(invocation: Invocation) -> int:
    """Run a node, or the first or final step of a run."""
    options: RunNodeCommand = invocation.options
    directory = RunDirectory(options.run_dir)
    try:
        if options.node == FIRST:
            return _first(directory)
        if options.node == FINAL:
            return final_step(directory)
        return run_node(
            directory,
            options.node,
            processes=options.processes,
            quantum_ids=options.quantum_ids,
            since=options.keep_failures_since,
        )
    except PipetaskError as error:
        # In a job, an error that prevents all quanta from running may be gone at the next attempt.
        print(f"pipetask run-node: {error}", file=sys.stderr)
        return ExitCode.INFRASTRUCTURE


def _first(directory: RunDirectory) -> int:
    from ..execution.continuation import begin, hold

    directory.check_files()
    later = directory.recipe().later
    if later is None:
        raise PipetaskError(f"{directory.path} has no registry to make ready.")
    begin(later, str(directory.graph), directory.facts.id)
    hold(later, directory.facts.id, str(directory.path))
    directory.begun.touch()
    return 0


def final_step(directory: RunDirectory) -> int:
    """Register finished quanta, write the summary, and return an exit code; on failure, record the reason.

    Raises
    ------
    PipetaskError
        If it fails now, but may succeed later.
    """
    with suppress(OSError):
        directory.unregistered.unlink(missing_ok=True)
    try:
        return _final(directory)
    except PipetaskError as error:
        _note(directory, error)
        raise


def _note(directory: RunDirectory, error: PipetaskError) -> None:
    with suppress(OSError):  # the log of the job still has it
        directory.unregistered.write_text(f"{error}\n", encoding="utf-8")


def _final(directory: RunDirectory) -> int:
    from ..execution.continuation import release
    from ..observe.on_end import tell_end

    directory.check_files()
    recipe = directory.recipe()
    if recipe.later is None:  # no registry takes part
        return 0 if Ledger(directory).all_done() else ExitCode.FAILED
    try:
        directory.check_begun(recipe)
    except PipetaskError as error:  # waiting does not help
        print(f"pipetask run-node: {error}", file=sys.stderr)
        _note(directory, error)
        return ExitCode.FAILED
    directory.summary.unlink(missing_ok=True)
    summary, sinks = replay(directory, register=True)
    if summary.error is not None:
        _note(directory, summary.error)
    registered = directory.summary.exists()
    if registered:
        release(recipe.later, directory.facts.id)
    tell_end(recipe.later.records, summary, sinks, str(directory.path))
    return summary.exit_code if registered else ExitCode.INFRASTRUCTURE
