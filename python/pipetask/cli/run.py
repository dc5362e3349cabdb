"""`pipetask run`."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from tempfile import mkdtemp
from typing import TYPE_CHECKING

from ..development.coverage import record_coverage
from ..errors import UsageError
from ..options.commands.run import RunCommand
from ..options.graph import GraphSaveOptions
from ..outcome import Kind, Status
from .command import Invocation
from .execution import executor_for, sinks_of
from .going_on import GoingOn, run_command, say_how_to_go_on
from .graphs import begin_pipeline, build, check_not_empty, check_source, keep, print_quanta, request_of, show
from .journal import journal_of
from .logs import configure_logging

if TYPE_CHECKING:
    from ..execution.graph_executor import QuantumGraphExecutor
    from ..executors.base import QuantumExecutor
    from ..observe.sink import Sink
    from ..observe.summary import RunSummary
    from ..pipeline.build import PipelineSource
    from ..pipeline.show import ShowRequest

__all__ = ["run"]


def run(invocation: Invocation) -> int:
    """Execute a graph, from a file or built from a pipeline."""
    with record_coverage(invocation.options.run.execution.coverage):
        return _run(invocation)


def _run(invocation: Invocation) -> int:
    options: RunCommand = invocation.options
    executor = executor_for(invocation, options.executor, options.run.execution.quantum.timeout)
    check_source(options, options.run.execution.selection)
    try:
        if not options.shown.show:
            executor.prepare()  # runs while the rest is imported
        return _run_on(executor, invocation)
    finally:
        executor.settle()  # before the interpreter ends threads that an engine needs for that


def _run_on(executor: QuantumExecutor, invocation: Invocation) -> int:
    options: RunCommand = invocation.options
    configure_logging(invocation.logs)
    request = request_of(options)
    if options.source.qgraph is not None:
        sinks = _sinks(invocation, executor, options.source.qgraph)
        graph_executor = _graph_executor(invocation, executor, sinks)
        _show_and_keep(options, options.source.qgraph, request)
        if request.graph_items:
            return _nothing_executed()
        summary = _execute(options, graph_executor, options.source.qgraph)
        return _ended(invocation, executor, summary, sinks)
    if options.run.rerun_finished:
        raise UsageError("--rerun-finished requires -g: a graph that is built leaves finished quanta out.")
    with _place_for(options.saved) as place:
        sinks = _sinks(invocation, executor, place.path)
        graph_executor = _graph_executor(invocation, executor, sinks)
        built = _build_and_execute(options, graph_executor, request, place.path)
        place.keep = place.keep or (built is not None and _needs_graph(built))
    return _ended(invocation, executor, built, sinks) if built is not None else 0


def _ended(invocation: Invocation, executor: QuantumExecutor, summary: RunSummary, sinks: list[Sink]) -> int:
    """Say how to go on with a run that did not succeed; return its exit code."""
    from ..observe.on_end import tell_end

    say_how_to_go_on(sinks)
    if not executor.traits.batch:  # the last job tells the end
        tell_end(invocation.options.records, summary, sinks)
    return summary.exit_code


def _sinks(invocation: Invocation, executor: QuantumExecutor, graph: str) -> list[Sink]:
    from ..observe.report import debug_command

    options: RunCommand = invocation.options
    records = options.records.at_submission() if executor.traits.batch else options.records
    butler, resume = options.repository.butler_config, run_command(invocation, executor, graph)
    run_alone = partial(debug_command, butler, graph)
    journal = journal_of(invocation, executor, records, graph, butler, resume)
    going_on = GoingOn(partial(run_command, invocation, executor, graph))
    return [
        *sinks_of(options.executor, invocation.logs, run_alone, records, journal, invocation.given),
        going_on,
    ]


def _graph_executor(
    invocation: Invocation, executor: QuantumExecutor, sinks: list[Sink]
) -> QuantumGraphExecutor:
    """Make the graph executor, before a graph is built, because it refuses some options."""
    from ..execution.graph_executor import QuantumGraphExecutor

    options: RunCommand = invocation.options
    butler = options.repository.butler_config
    return QuantumGraphExecutor(executor, butler, options.run, sinks, options.records)


def _show_and_keep(options: RunCommand, graph: str, request: ShowRequest) -> None:
    """Show a graph from a file or save a copy, if requested; only then is all of it read."""
    if not request.graph_items and options.saved == GraphSaveOptions():
        return
    from ..graph.components import read_graph

    components = read_graph(graph, options.run.execution.selection)
    keep(components, options.saved)
    show(components, request, options.repository.butler_config)


def _build_and_execute(
    options: RunCommand, graph_executor: QuantumGraphExecutor, request: ShowRequest, path: str
) -> RunSummary | None:
    """Build a graph and execute it; return `None` if something was only to be shown."""
    if (source := begin_pipeline(options, request)) is None:
        return None
    if not request.graph_items:
        graph_executor.check_repository()  # building a graph takes long, and needs no permission to write
        graph_executor.preload(source.task_names)
    _build(options, source, request, path)
    if request.graph_items:
        _nothing_executed()
        return None
    return _execute(options, graph_executor, path)


def _build(options: RunCommand, source: PipelineSource, request: ShowRequest, path: str) -> None:
    """Build a graph and write it; it is executed from the file, so it need not stay in memory."""
    components = build(options, source, options.run.collections)
    keep(components, replace(options.saved, save_qgraph=path))
    print_quanta(components.header.n_task_quanta)
    show(components, request, options.repository.butler_config)


def _nothing_executed() -> int:
    print("Nothing was executed: --show asked for the graph only.", file=sys.stderr)
    return 0


def _execute(options: RunCommand, graph_executor: QuantumGraphExecutor, graph: str) -> RunSummary:
    from ..graph.garbage import keep_what_is_there
    from ..repository.access import open_graph

    butler = options.repository.butler_config
    selection = options.run.execution.selection
    with open_graph(butler, graph, selection, announce=graph_executor.preload) as file:
        check_not_empty(file)
        keep_what_is_there()
        return graph_executor.execute_to_end(file)


# Where a graph is written that is built and executed by one command.


@dataclass
class _Place:
    path: str
    keep: bool


@contextmanager
def _place_for(saved: GraphSaveOptions) -> Iterator[_Place]:
    """Yield the place that the user has chosen, or a temporary one that is removed unless the graph is needed later."""
    if saved.save_qgraph is not None:
        yield _Place(saved.save_qgraph, keep=True)
        return
    folder = mkdtemp(prefix="pipetask-graph-")
    place = _Place(f"{folder}/graph.qg", keep=False)
    try:
        yield place
    finally:
        if place.keep:
            print(
                f"The graph is kept as {place.path}; --save-qgraph keeps it where you like.", file=sys.stderr
            )
        else:
            shutil.rmtree(folder, ignore_errors=True)


def _needs_graph(summary: RunSummary) -> bool:
    """Return whether the graph is needed again: to run failed quanta, or quanta that were only handed on."""
    later = (status for status in summary.total if status.kind is Kind.HANDED_ON)
    return summary.exit_code != 0 or any(status is not Status.PLANNED for status in later)
