"""What became of a run on a batch system."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import PipetaskError
from ..executors.delayed.node import rerun_command
from ..executors.delayed.replay import ReplayExecutor
from ..executors.delayed.run_directory import RunDirectory

if TYPE_CHECKING:
    from ..observe.report import RunAlone
    from ..observe.summary import RunSummary

__all__ = ["is_run_directory", "replay", "report_on_run"]


def is_run_directory(path: str) -> bool:
    """Tell whether a delayed run was written there."""
    return (Path(path) / "run.json").is_file()


def report_on_run(path: str) -> int:
    """Print the report of a run as it is now, and return its exit code; nothing is registered."""
    return replay(RunDirectory(path), register=False).exit_code


def replay(directory: RunDirectory, *, register: bool) -> RunSummary:
    """Take the outcomes that jobs have written down, as those of one run, and report on it.

    Parameters
    ----------
    directory
        The run.
    register
        Whether it is over: then outputs are registered, and the summary is written.
    """
    from ..observe.choice import sinks_for

    recipe = directory.recipe()
    later = recipe.later
    if later is None:
        raise PipetaskError(
            f"{directory.path} was written without a repository: there is nothing to register."
        )
    directory.check_begun(recipe)
    over = register or directory.summary.exists()
    summary = str(directory.summary) if register else None
    sinks = sinks_for(partial(_commands, directory), summary=summary)
    return later.end(str(directory.graph), ReplayExecutor(directory, register=register, over=over), sinks)


def _commands(directory: RunDirectory, summary: RunSummary) -> RunAlone:
    """Return what knows the command that runs a failed quantum again in its node."""
    homes = _homes(directory, summary)
    return lambda quantum_id: rerun_command(directory, homes[quantum_id], quantum_id)


def _homes(directory: RunDirectory, summary: RunSummary) -> dict[object, str]:
    """Return the names of the nodes of quanta that failed."""
    failed = {outcome.id for outcome in summary.failures}
    homes: dict[object, str] = {}
    with directory.index() as index:
        for node in index.nodes():
            homes |= {index.quantum_id(q): node.name for q in node.quanta if q.id in failed}
    return homes
