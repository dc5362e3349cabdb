"""What the commands that execute quanta have in common."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from ..errors import UsageError
from ..options.execution import ExecutorOptions
from ..options.logs import LogOptions

if TYPE_CHECKING:
    from ..executors.base import QuantumExecutor
    from ..observe.sink import Sink
    from ..observe.summary import RunSummary

__all__ = ["executor_for", "progress_for", "report"]


def executor_for(options: ExecutorOptions, timeout: float | None) -> QuantumExecutor:
    """Make the execution model that the options ask for.

    Parameters
    ----------
    options
        Name of the model, and what it may want to know.
    timeout
        Seconds that a quantum may take.
    """
    from ..executors import find_executor

    mode = options.mode_for(timeout)
    if options.plan and mode != "dry-run":
        raise UsageError("--plan goes with --mode dry-run.")
    return find_executor(mode).from_options(options)


def progress_for(options: ExecutorOptions, logs: LogOptions) -> Sink:
    """Return what shows progress: a table on a terminal, lines elsewhere, nothing beside a debugger."""
    from rich.console import Console

    from ..observe.progress import LineProgress, TableProgress
    from ..observe.sink import Sink

    if options.debugger:
        return Sink()  # the terminal belongs to the debugger
    console = Console(stderr=True)
    return (
        TableProgress(console)
        if console.is_terminal and not logs.tty
        else LineProgress(sys.stderr, options.settings.progress["interval"])
    )


def report(
    summary: RunSummary, run_alone: Callable[[object], str], graph: str, summary_uri: str | None
) -> None:
    """Print what became of a run, and write it where the user asked for that.

    Parameters
    ----------
    summary
        What became of the run.
    run_alone
        Returns the command that runs the quantum with some UUID alone.
    graph
        The ``.qg`` file.
    summary_uri
        Where to write the summary.
    """
    from rich.console import Console

    from ..observe.report import print_report
    from ..observe.summary_file import write_summary

    print_report(Console(stderr=True), summary, run_alone)
    if summary_uri:
        write_summary(summary, graph, summary_uri, sys.argv)
