"""What the commands that execute quanta have in common."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from ..errors import UsageError
from ..options.execution import ExecutorOptions
from ..options.logs import LogOptions

if TYPE_CHECKING:
    from ..executors.base import QuantumExecutor
    from ..observe.report import RunAlone
    from ..observe.sink import Sink

__all__ = ["executor_for", "sinks_of"]


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


def sinks_of(
    options: ExecutorOptions, logs: LogOptions, run_alone: RunAlone, summary: str | None
) -> list[Sink]:
    """Return what a run on this machine is told to: the summary, a display, and the report.

    Parameters
    ----------
    options, logs
        They say whether there is a display, and which.
    run_alone
        Returns the command that runs the quantum with some UUID alone.
    summary
        Where to write the summary, if anywhere.
    """
    from ..observe.choice import sinks_for

    return sinks_for(lambda _: run_alone, summary=summary, progress=_progress_for(options, logs))


def _progress_for(options: ExecutorOptions, logs: LogOptions) -> Sink | None:
    """Return what shows progress: a table on a terminal, lines elsewhere, nothing beside a debugger."""
    from rich.console import Console

    from ..observe.progress import LineProgress, TableProgress

    if options.debugger:
        return None  # the terminal belongs to the debugger
    console = Console(stderr=True)
    return (
        TableProgress(console)
        if console.is_terminal and not logs.tty
        else LineProgress(sys.stderr, options.settings.progress["interval"])
    )
