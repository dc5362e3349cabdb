"""`pipetask run-qbb`."""

from __future__ import annotations

from functools import partial

from ..development.coverage import record_coverage
from ..options.commands import RunQbbCommand
from .command import Invocation
from .execution import executor_for, progress_for, report
from .logs import configure_logging

__all__ = ["run"]


def run(invocation: Invocation) -> int:
    """Execute a graph without a registry."""
    with record_coverage(invocation.options.run.execution.coverage):
        return _run(invocation)


def _run(invocation: Invocation) -> int:
    options: RunQbbCommand = invocation.options
    executor = executor_for(options.executor, options.run.execution.quantum.timeout)
    executor.prepare()  # goes on while the rest is imported
    configure_logging(invocation.logs)
    from ..observe.report import quantum_backed_debug_command
    from ..quantum_backed_executor import QuantumBackedGraphExecutor
    from ..repository import open_graph

    sink = progress_for(options.executor, invocation.logs)
    graph_executor = QuantumBackedGraphExecutor(executor, options.repo, options.run, [sink])
    paths, selection = options.run.search.config_search_path, options.run.execution.selection
    run_alone = partial(quantum_backed_debug_command, options.repo, options.qgraph, paths)
    with open_graph(options.repo, options.qgraph, selection, paths) as file:
        summary = graph_executor.execute(file)
        report(summary, run_alone, file.path, options.summary.summary)
    return summary.exit_code
