"""Say at the end of a run that did not succeed how to go on: the exact command."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from ..executors.base import QuantumExecutor
from ..observe.sink import Sink
from ..observe.summary import RunSummary
from ..options.declaration import declared
from ..options.graph import GraphBuildOptions, GraphSaveOptions
from ..options.pipeline import PipelineOptions
from ..outcome import NOT_CLOBBERED, Status
from ..text import shell_command
from .command import Invocation
from .interrupted import note
from .parameters import parameter_names

__all__ = ["GoingOn", "batch_command", "run_command", "run_qbb_command", "say", "say_how_to_go_on"]

_REPLACING = {"replace_run", "prune_replaced", "take_over"}
"""Options that would not go on with this run, but begin another."""


class GoingOn(Sink):
    """Finds the command that goes on with a run when that ends, and prints it as the last line of the command.

    Parameters
    ----------
    command
        Returns it; called if the run did not succeed.
    """

    def __init__(self, command: Callable[[RunSummary], str | None]):
        self._find = command
        self._command: str | None = None

    def end(self, summary: RunSummary) -> None:
        """Find the command, which an interruption names from now on, too."""
        self._command = self._find(summary) if summary.exit_code else None
        note("the run had ended", self._command)

    def say(self) -> None:
        """Print the command, if there is one."""
        if self._command is not None:
            say(self._command)


def say_how_to_go_on(sinks: Iterable[Sink]) -> None:
    """Print the command that one of the sinks has found, if any."""
    for sink in sinks:
        if isinstance(sink, GoingOn):
            sink.say()


def say(command: str) -> None:
    """Print a command that goes on, as the last line."""
    print(f"go on: {command}", file=sys.stderr, flush=True)


def run_command(
    invocation: Invocation, executor: QuantumExecutor, graph: str, summary: RunSummary | None = None
) -> str | None:
    """Return the command that goes on with a run.

    Parameters
    ----------
    invocation
        The command that executes the run.
    executor
        The execution model.
    graph
        The graph, also if this command has built it.
    summary
        How the run ended, once it has.
    """
    directory: Path | None = getattr(executor, "run_directory", None)  # of a batch run that was written
    if directory is not None and summary is not None:
        return batch_command(summary, directory)
    line = invocation.command_line
    if line is None or not executor.traits.executes:
        return None
    without, more = set(_REPLACING), ["--extend-run"]
    if invocation.options.source.qgraph is None:
        groups = (PipelineOptions, GraphBuildOptions, GraphSaveOptions)
        without |= {name for group in groups for each in declared(group) for name in parameter_names(each)}
        more = ["-g", graph, *more]
    if summary is not None and _left_registered_outputs(summary):
        more.append("--clobber-outputs")
    return line.changed(without, more)


def run_qbb_command(
    invocation: Invocation, executor: QuantumExecutor, summary: RunSummary | None = None
) -> str | None:
    """Return the command that goes on with a run without a registry: the same one, as it skips what is done.

    Parameters
    ----------
    invocation
        The command that executes the run.
    executor
        The execution model.
    summary
        How the run ended, once it has; it makes no difference.
    """
    line = invocation.command_line
    return (
        line.changed({"no_existing_outputs"}, []) if line is not None and executor.traits.executes else None
    )


def batch_command(summary: RunSummary, directory: Path) -> str:
    """Return the command that goes on with a batch run: one that submits the rest, or follows what is submitted.

    Parameters
    ----------
    summary
        How the run ended, or how following it has ended.
    directory
        The run directory.
    """
    words = ["status", "--watch"] if summary.total[Status.SUBMITTED] else ["restart"]
    return shell_command(["pipetask", *words, str(directory)])


def _left_registered_outputs(summary: RunSummary) -> bool:
    """Return whether quanta that have to run again have registered something: at least the log of what failed."""
    return any(
        outcome.status is Status.FAILED or outcome.reason == NOT_CLOBBERED for outcome in summary.failed
    )
