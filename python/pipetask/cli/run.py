"""`pipetask run`."""

from __future__ import annotations

from functools import partial

from ..development.coverage import record_coverage
from ..errors import UsageError
from ..options.commands import RunCommand
from .command import Invocation
from .execution import executor_for, progress_for, report
from .logs import configure_logging

__all__ = ["run"]


def run(invocation: Invocation) -> int:
    """Execute a graph."""
    with record_coverage(invocation.options.run.execution.coverage):
        return _run(invocation)


def _run(invocation: Invocation) -> int:
    options: RunCommand = invocation.options
    if options.source.qgraph is None:
        raise UsageError("there is nothing to run: name a quantum graph with --qgraph.")
    executor = executor_for(options.executor, options.run.execution.quantum.timeout)
    executor.prepare()
    configure_logging(invocation.logs)
    from ..graph_executor import QuantumGraphExecutor
    from ..graph_file import GraphFile
    from ..observe.report import debug_command

    graph, butler = options.source.qgraph, options.repository.butler_config
    sink = progress_for(options.executor, invocation.logs)
    graph_executor = QuantumGraphExecutor(executor, butler, options.run, [sink])
    with GraphFile.of(graph) as file:
        summary = graph_executor.execute(file)
        report(summary, partial(debug_command, butler, graph), file.path, options.summary.summary)
    return summary.exit_code
