"""`pipetask run`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from ..errors import UsageError
from ..options.commands import RunCommand
from ..options.execution import ExecutorOptions
from ..options.logs import LogOptions
from .command import Invocation
from .logs import configure_logging

if TYPE_CHECKING:
    from ..executors.base import QuantumExecutor
    from ..observe.sink import Sink
    from ..observe.summary import RunSummary

__all__ = ["executor_for", "progress_for", "run"]


def run(invocation: Invocation) -> int:
    """Execute a graph."""
    options: RunCommand = invocation.options
    if options.source.qgraph is None:
        raise UsageError("there is nothing to run: name a quantum graph with --qgraph.")
    executor = executor_for(options.executor, options.run.execution.quantum.timeout)
    executor.prepare()
    configure_logging(invocation.logs)
    from ..graph_executor import QuantumGraphExecutor

    sink = progress_for(options.executor, invocation.logs)
    graph_executor = QuantumGraphExecutor(executor, options.repository.butler_config, options.run, [sink])
    summary = graph_executor.execute(options.source.qgraph)
    _report(summary, options)
    return summary.exit_code


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


def _report(summary: RunSummary, options: RunCommand) -> None:
    from rich.console import Console

    from ..observe.report import print_report
    from ..observe.summary_file import write_summary

    graph = options.source.qgraph or ""
    print_report(Console(stderr=True), summary, options.repository.butler_config, graph)
    if options.summary.summary:
        write_summary(summary, graph, options.summary.summary, sys.argv)
