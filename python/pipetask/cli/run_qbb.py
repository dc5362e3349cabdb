"""`pipetask run-qbb`."""

from __future__ import annotations

from functools import partial

from ..development.coverage import record_coverage
from ..errors import UsageError
from ..options.commands.run import RunQbbCommand
from .command import Invocation
from .execution import executor_for, sinks_of
from .going_on import GoingOn, run_qbb_command, say_how_to_go_on
from .graphs import check_not_empty
from .journal import journal_of
from .logs import configure_logging

__all__ = ["run"]


def run(invocation: Invocation) -> int:
    """Execute a graph without a registry."""
    with record_coverage(invocation.options.run.execution.coverage):
        return _run(invocation)


def _run(invocation: Invocation) -> int:
    options: RunQbbCommand = invocation.options
    executor = executor_for(invocation, options.executor, options.run.execution.quantum.timeout)
    if executor.traits.batch and options.records != options.records.at_submission():
        raise UsageError(
            "--html, --trace and --on-end need the last job of a batch run, and a run without a registry has none: "
            "leave them out."
        )
    executor.prepare()  # runs while the rest is imported
    configure_logging(invocation.logs)
    from ..execution.quantum_backed_executor import QuantumBackedGraphExecutor
    from ..observe.on_end import tell_end
    from ..observe.report import quantum_backed_debug_command
    from ..repository.access import open_graph

    paths, selection = options.run.search.config_search_path, options.run.execution.selection
    run_alone = partial(quantum_backed_debug_command, options.repo, options.qgraph, paths)
    resume = run_qbb_command(invocation, executor)
    journal = journal_of(invocation, executor, options.records, options.qgraph, options.repo, resume)
    going_on = GoingOn(partial(run_qbb_command, invocation, executor))
    sinks = [
        *sinks_of(options.executor, invocation.logs, run_alone, options.records, journal, invocation.given),
        going_on,
    ]
    graph_executor = QuantumBackedGraphExecutor(executor, options.repo, options.run, sinks)
    with open_graph(options.repo, options.qgraph, selection, paths, executor.preload) as file:
        check_not_empty(file)
        summary = graph_executor.execute_to_end(file)
    say_how_to_go_on(sinks)
    tell_end(options.records, summary, sinks)
    return summary.exit_code
