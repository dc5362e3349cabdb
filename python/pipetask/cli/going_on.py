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

__all__ = ["how_to_go_on", "say_how_to_go_on"]

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
    if not summary.exit_code:
        return
    if (command := how_to_go_on(invocation, graph, clobber=_left_registered_outputs(summary))) is not None:
        print(f"go on: {command}", file=sys.stderr, flush=True)


def how_to_go_on(invocation: Invocation, graph: str, *, clobber: bool = False) -> str | None:
    """Return the command that goes on with a run; `None` if the command was called by another.

    Parameters
    ----------
    invocation
        The command that executes the run.
    graph
        The graph, also if this command has built it.
    clobber
        Whether quanta that have to run again have registered outputs.
    """
    line = invocation.command_line
    if line is None:
        return None
    without, more = set(_REPLACING), ["--extend-run"]
    if invocation.options.source.qgraph is None:
        groups = (PipelineOptions, GraphBuildOptions, GraphSaveOptions)
        without |= {name for group in groups for each in declared(group) for name in parameter_names(each)}
        more = ["-g", graph, *more]
    if clobber:
        more.append("--clobber-outputs")
    return line.changed(without, more)


def _left_registered_outputs(summary: RunSummary) -> bool:
    """Return whether quanta that have to run again have registered something: at least the log of what failed."""
    return any(
        outcome.status is Status.FAILED or outcome.reason == NOT_CLOBBERED for outcome in summary.failed
    )
