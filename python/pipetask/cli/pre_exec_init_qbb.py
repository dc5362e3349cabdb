"""`pipetask pre-exec-init-qbb`."""

from __future__ import annotations

from ..development.coverage import record_coverage
from ..options.commands.run import PreExecInitQbbCommand
from .command import Invocation
from .logs import configure_logging

__all__ = ["run"]


def run(invocation: Invocation) -> int:
    """Write init-outputs without a registry."""
    options: PreExecInitQbbCommand = invocation.options
    with record_coverage(options.coverage):
        configure_logging(invocation.logs)
        from ..repository.init_outputs import init_output_run

        init_output_run(options.repo, options.qgraph, options.search, qgraph_id=options.qgraph_id)
    return 0
