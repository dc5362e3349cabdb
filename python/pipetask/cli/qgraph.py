"""`pipetask qgraph`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..development.coverage import record_coverage
from ..errors import PipetaskError
from ..options.commands.build import QgraphCommand
from .command import Invocation
from .graphs import begin_pipeline, build, check_source, keep, print_quanta, request_of, show
from .logs import configure_logging

if TYPE_CHECKING:
    from lsst.pipe.base.quantum_graph import PredictedQuantumGraphComponents

    from ..pipeline.build import PipelineSource

__all__ = ["run"]


def run(invocation: Invocation) -> int:
    """Build a graph, or read one, and write, draw or show it."""
    with record_coverage(invocation.options.coverage):
        return _run(invocation)


def _run(invocation: Invocation) -> int:
    options: QgraphCommand = invocation.options
    check_source(options, options.selection)
    configure_logging(invocation.logs)
    from ..graph.components import write_graph_summary

    request = request_of(options)
    source = None
    if options.source.qgraph is None and (source := begin_pipeline(options, request)) is None:
        return 0
    components = _graph(options, source)
    keep(components, options.saved)
    print_quanta(components.header.n_task_quanta)
    show(components, request, options.repository.butler_config)
    if options.summary.summary is not None:
        write_graph_summary(components.assemble(), options.summary.summary)
    return 0


def _graph(options: QgraphCommand, source: PipelineSource | None) -> PredictedQuantumGraphComponents:
    from ..graph.components import read_graph
    from ..repository.access import open_repository

    with open_repository(options.repository.butler_config, writeable=False) as butler:
        if source is not None:
            return build(options, source, options.collections, butler)
        _check_collections(butler, options)
    assert options.source.qgraph is not None
    components = read_graph(options.source.qgraph, options.selection)
    if not components.header.n_quanta:
        raise PipetaskError(f"{options.source.qgraph} has no quanta.")
    return components


def _check_collections(butler: Any, options: QgraphCommand) -> None:
    """Check collections although nothing is written to them, so that errors are found early."""
    from ..repository.output_collections import OutputCollections

    if options.collections.output or options.collections.output_run:
        OutputCollections.for_new_graph(butler, options.collections)
