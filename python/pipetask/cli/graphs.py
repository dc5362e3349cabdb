"""Code shared by `qgraph` and `run`: the source of a graph, and showing and writing it."""

from __future__ import annotations

import logging
import sys
from collections.abc import Container, Mapping
from contextlib import nullcontext
from dataclasses import fields
from typing import TYPE_CHECKING, TypeAlias

from ..errors import PipetaskError, UsageError
from ..options.collections import OutputOptions
from ..options.commands.build import QgraphCommand
from ..options.commands.run import RunCommand
from ..options.declaration import Edits
from ..options.graph import GraphBuildOptions, GraphSaveOptions, GraphSelection
from ..options.pipeline import PipelineOptions

if TYPE_CHECKING:
    from lsst.daf.butler import Butler
    from lsst.pipe.base.quantum_graph import PredictedQuantumGraphComponents

    from ..graph.file import GraphFile
    from ..pipeline.build import PipelineSource
    from ..pipeline.show import ShowRequest

__all__ = [
    "GraphCommand",
    "begin_pipeline",
    "build",
    "check_not_empty",
    "check_source",
    "keep",
    "print_quanta",
    "request_of",
    "show",
]


_LOG = logging.getLogger("lsst.pipetask.graphs")  # under `lsst`, as in LSST's command, so that INFO is logged

GraphCommand: TypeAlias = QgraphCommand | RunCommand


def check_source(options: GraphCommand, selection: GraphSelection) -> None:
    """Check that there is exactly one source of the graph, and no option for another source.

    Raises
    ------
    UsageError
        If there is none, or if options for building a graph are given together with an existing one.
    """
    if options.source.qgraph is None:
        _check_building(options, selection)
        return
    # Executing a graph skips quanta that are done in its output run, too.
    allowed = ("skip_existing", "skip_existing_in") if isinstance(options, RunCommand) else ("skip_existing",)
    for group in (options.pipeline, options.building):
        if (flag := _first_given(group, allowed)) is not None:
            raise UsageError(
                f"{flag} is for building a graph, and --qgraph names one that is built: give one of them."
            )


def _check_building(options: GraphCommand, selection: GraphSelection) -> None:
    if not options.pipeline.given:
        raise UsageError(
            "there is no graph: name one with --qgraph, or a pipeline to build it from with --pipeline or --task."
        )
    for flag, value in (("--qgraph-node-id", selection.quantum_ids), ("--qgraph-id", selection.qgraph_id)):
        if value is not None:
            raise UsageError(f"{flag} goes with --qgraph: a graph that is built has new identifiers.")


def request_of(options: GraphCommand) -> ShowRequest:
    """Return the items to show, after checking them and the names of files to write.

    Raises
    ------
    UsageError
        If there is no such item, or if a graph file cannot have such a name.
    """
    from ..graph.components import check_graph_name
    from ..pipeline.show import ShowRequest

    if options.saved.save_qgraph is not None:
        check_graph_name(options.saved.save_qgraph)
    request = ShowRequest.parse(options.shown.show)
    if options.source.qgraph is not None and request.pipeline_items:
        raise UsageError(
            f"--show {request.pipeline_items[0].name} is about a pipeline, and --qgraph names a graph: of that, there "
            "are graph, workflow and uri."
        )
    return request


def _first_given(options: PipelineOptions | GraphBuildOptions, allowed: Container[str]) -> str | None:
    """Return the flag of the first option that differs from its default, except for allowed ones."""
    default = type(options)()
    for each in fields(options):
        if each.name not in allowed and getattr(options, each.name) != getattr(default, each.name):
            declared = each.metadata["option"]
            kinds = declared.kinds if isinstance(declared, Edits) else (declared,)
            return " or ".join(kind.flags[-1] for kind in kinds)
    return None


def begin_pipeline(options: GraphCommand, request: ShowRequest) -> PipelineSource | None:
    """Build the pipeline; write, draw and show it as requested.

    Returns
    -------
    source
        The pipeline; `None` if it was only to be shown.
    """
    from ..pipeline.build import build_pipeline
    from ..pipeline.draw import draw_pipeline
    from ..pipeline.show import show_pipeline

    source = build_pipeline(options.pipeline)
    show_pipeline(request, source, None, sys.stdout)
    draw_pipeline(options.pipeline, source, None)
    if options.pipeline.save_pipeline is not None:
        source.save(options.pipeline.save_pipeline)
    if request.pipeline_items and not request.graph_items:
        print("No quantum graph was built: --show asked for the pipeline only.", file=sys.stderr)
        return None
    return source


def build(
    options: GraphCommand, source: PipelineSource, outputs: OutputOptions, butler: Butler | None = None
) -> PredictedQuantumGraphComponents:
    """Build the graph, and show on a terminal that it is being built."""
    from rich.console import Console

    from ..graph_building import build_graph
    from ..observe.progress import can_show_live

    console = Console(stderr=True)
    live = can_show_live(console)
    if not live and sys.stderr.isatty():
        print("Building the quantum graph …", file=sys.stderr)
    with console.status("Building the quantum graph …") if live else nullcontext():
        return build_graph(options.repository.butler_config, source, options.building, outputs, butler)


def keep(components: PredictedQuantumGraphComponents, saved: GraphSaveOptions) -> None:
    """Write and draw a graph as requested."""
    from ..graph.components import draw_graph, write_graph

    if saved.save_qgraph is not None:
        write_graph(components, saved.save_qgraph)
    if saved.qgraph_dot is not None or saved.qgraph_mermaid is not None:
        draw_graph(saved, components.assemble())


def show(components: PredictedQuantumGraphComponents, request: ShowRequest, butler_config: str) -> None:
    """Print the requested items of a graph."""
    from ..pipeline.show_graph import show_graph

    if request.graph_items:
        show_graph(request, components.assemble(), butler_config, sys.stdout)


def check_not_empty(file: GraphFile) -> None:
    """Refuse to execute a graph without quanta; a program may."""
    if not len(file.structure):
        raise PipetaskError(f"{file.path} has no quanta: there is nothing to run.")


def print_quanta(counts: Mapping[str, int]) -> None:
    """Print the number of quanta of each task, and their sum."""
    from rich.console import Console
    from rich.table import Table

    from ..observe.choice import FILE_WIDTH

    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("task", no_wrap=True)
    table.add_column("quanta", justify="right")
    shown = {label: count for label, count in counts.items() if count}
    for label, count in shown.items():
        table.add_row(label, str(count))
    if len(shown) > 1:
        table.add_row("total", str(sum(shown.values())), style="bold")
    Console(stderr=True, width=None if sys.stderr.isatty() else FILE_WIDTH).print(table)
    _log_quanta(shown)


def _log_quanta(counts: Mapping[str, int]) -> None:
    """Log the numbers as LSST's command does, for ``--log-file``."""
    number = sum(counts.values())
    quanta, tasks = "quantum" if number == 1 else "quanta", "task" if len(counts) == 1 else "tasks"
    lines = "\n".join(f"{count:>8} {label}" for label, count in counts.items())
    _LOG.info("QuantumGraph contains %d %s for %d %s\n%s", number, quanta, len(counts), tasks, lines)
