"""`pipetask build`."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

from ..errors import UsageError
from ..options.commands.build import BuildCommand
from .command import Invocation
from .logs import configure_logging

if TYPE_CHECKING:
    from lsst.daf.butler import Butler

__all__ = ["run"]


def run(invocation: Invocation) -> int:
    """Build a pipeline, and show, draw and write it."""
    options: BuildCommand = invocation.options
    if not options.pipeline.given:
        raise UsageError("there is nothing to build: name a pipeline file with -p, or a task with -t.")
    configure_logging(invocation.logs)
    from ..pipeline.build import build_pipeline
    from ..pipeline.draw import draw_pipeline
    from ..pipeline.show import ShowRequest, show_pipeline

    request = ShowRequest.parse(options.shown.show)
    if request.graph_items:
        item = request.graph_items[0].name
        raise UsageError(
            f"--show {item} shows a quantum graph, and build makes none: use pipetask qgraph or pipetask run."
        )
    source = build_pipeline(options.pipeline)
    only_checked = not (request.items or options.pipeline.drawn or options.pipeline.save_pipeline)
    graph_needed = request.needs_pipeline_graph or options.pipeline.drawn or only_checked
    with _repository(options.butler_config if graph_needed else None) as butler:
        if only_checked:
            source.graph(butler, for_display=butler is None)
        show_pipeline(request, source, butler, sys.stdout)
        draw_pipeline(options.pipeline, source, butler)
    if options.pipeline.save_pipeline:
        source.save(options.pipeline.save_pipeline)
    return 0


def _repository(butler_config: str | None) -> AbstractContextManager[Butler | None]:
    if butler_config is None:
        return nullcontext()
    from ..repository.access import open_repository

    return open_repository(butler_config, writeable=False)
