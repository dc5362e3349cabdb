"""`pipetask update-graph-run`."""

from __future__ import annotations

import logging

from ..options.commands.build import UpdateGraphRunCommand
from .command import Invocation
from .logs import configure_logging

__all__ = ["run"]

_LOG = logging.getLogger(__name__)


def run(invocation: Invocation) -> int:
    """Change the output run of a graph."""
    options: UpdateGraphRunCommand = invocation.options
    configure_logging(invocation.logs)
    from ..graph.components import update_output_run

    if options.metadata_run_key != "output_run":
        _LOG.warning("--metadata-run-key is not used: a graph has one place for the name of its run.")
    if options.update_graph_id:
        _LOG.warning(
            "--update-graph-id is not used: .qg files have no identifier, .qgraph files always get a new one."
        )
    update_output_run(options.qgraph, options.run, options.output_qgraph)
    return 0
