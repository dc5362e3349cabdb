"""What became of a run on a batch system."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import PipetaskError
from ..executors.delayed.node import rerun_command
from ..executors.delayed.replay import ReplayExecutor
from ..executors.delayed.run_directory import RunDirectory

if TYPE_CHECKING:
    from ..observe.summary import RunSummary

__all__ = ["is_run_directory", "replayed", "report_on_run", "report_run"]


def is_run_directory(path: str) -> bool:
    """Tell whether a delayed run was written there."""
    return (Path(path) / "run.json").is_file()


def report_on_run(path: str) -> int:
    """Print the report of a run as it is now, and return its exit code; nothing is registered."""
    directory = RunDirectory(path)
    summary = replayed(directory, register=False)
    report_run(directory, summary)
    return summary.exit_code


def replayed(directory: RunDirectory, *, register: bool) -> RunSummary:
    """Return the summary of a run, from what its jobs have written down; register outputs if asked to."""
    recipe = directory.recipe()
    later = recipe.later
    if later is None:
        raise PipetaskError(
            f"{directory.path} was written without a repository: there is nothing to register."
        )
    directory.check_begun(recipe)
    over = register or directory.summary.exists()
    summary = later.end(str(directory.graph), ReplayExecutor(directory, register=register, over=over))
    times = [
        time for outcome in summary.outcomes for time in (outcome.start, outcome.end) if time is not None
    ]
    return replace(summary, start=min(times), end=max(times)) if times else summary


def report_run(directory: RunDirectory, summary: RunSummary) -> None:
    """Print the report of a run, with the command that runs each failed quantum again."""
    from rich.console import Console

    from ..observe.report import print_report

    failed = {outcome.id for outcome in summary.failures}
    homes: dict[object, str] = {}
    with directory.index() as index:
        for node in index.nodes():
            homes |= {index.quantum_id(q): node.name for q in node.quanta if q.id in failed}

    def run_alone(quantum_id: object) -> str:
        return rerun_command(directory, homes[quantum_id], quantum_id)

    print_report(Console(stderr=True, soft_wrap=True), summary, run_alone)
