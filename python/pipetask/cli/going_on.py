"""Say at the end of a run that did not succeed how to go on: the exact command."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from ..options.declaration import declared
from ..options.graph import GraphBuildOptions, GraphSaveOptions
from ..options.pipeline import PipelineOptions
from ..outcome import NOT_CLOBBERED, Status
from .command import Invocation
from .parameters import parameter_names

if TYPE_CHECKING:
    from ..observe.summary import RunSummary

__all__ = ["say_how_to_go_on"]

_REPLACING = {"replace_run", "prune_replaced", "take_over"}
"""Options that would not go on with this run, but begin another."""


def say_how_to_go_on(invocation: Invocation, summary: RunSummary, graph: str) -> None:
    """Print the command that goes on with a run, as the last line.

    Parameters
    ----------
    invocation
        The command that has executed the run.
    summary
        How it ended.
    graph
        The graph, also if this command has built it.
    """
    line = invocation.command_line
    if line is None or not summary.exit_code:
        return
    without, more = set(_REPLACING), ["--extend-run"]
    if invocation.options.source.qgraph is None:
        groups = (PipelineOptions, GraphBuildOptions, GraphSaveOptions)
        without |= {name for group in groups for each in declared(group) for name in parameter_names(each)}
        more = ["-g", graph, *more]
    if _left_registered_outputs(summary):
        more.append("--clobber-outputs")
    print(f"go on: {line.changed(without, more)}", file=sys.stderr, flush=True)


def _left_registered_outputs(summary: RunSummary) -> bool:
    """Return whether quanta that have to run again have registered something: at least the log of what failed."""
    return any(
        outcome.status is Status.FAILED or outcome.reason == NOT_CLOBBERED for outcome in summary.failed
    )
