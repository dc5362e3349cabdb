"""The list of commands, from which the command line, completion and the reference pages are made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["COMMANDS", "GROUPS", "Entry"]


@dataclass(frozen=True)
class Entry:
    """One command.  `pipetask.cli.command.command_for` makes the click command of it."""

    name: str
    model_name: str
    """Class in `pipetask.options.commands`."""

    summary: str
    """A few words for the list of commands."""

    def model(self) -> type[Any]:
        """Return the model of its options."""
        from ..options import commands

        return getattr(commands, self.model_name)


GROUPS = {
    "Build and look": (
        Entry("build", "BuildCommand", "Build a pipeline; write, draw or show it."),
        Entry("qgraph", "QgraphCommand", "Build a quantum graph, or read one; write, draw or show it."),
        Entry("update-graph-run", "UpdateGraphRunCommand", "Give a quantum graph another output run."),
    ),
    "Run": (
        Entry("run", "RunCommand", "Execute a quantum graph, from a file or built from a pipeline."),
        Entry("run-qbb", "RunQbbCommand", "Execute quanta of a graph without a registry."),
        Entry("pre-exec-init-qbb", "PreExecInitQbbCommand", "Write init-outputs without a registry."),
    ),
    "Batch runs": (
        Entry("status", "StatusCommand", "Say where a run on a batch system stands."),
        Entry("cancel", "CancelCommand", "End a run on a batch system."),
        Entry("restart", "RestartCommand", "Submit what is missing of a run on a batch system."),
        Entry("run-node", "RunNodeCommand", "Run one job of a run on a batch system, here."),
        Entry("condor", "CondorCommand", "Show settings for HTCondor."),
    ),
    "Look back": (
        Entry("report", "ReportCommand", "Report what became of executed graphs."),
        Entry("aggregate-reports", "AggregateReportsCommand", "Add up reports on disjoint data."),
    ),
    "Clean up": (
        Entry("purge", "PurgeCommand", "Remove a chain of collections, and the collections in it."),
        Entry("cleanup", "CleanupCommand", "Remove collections that a chain no longer holds."),
    ),
    "Set up": (
        Entry("demo", "DemoCommand", "Make a small sky survey, process it, and find its variable star."),
        Entry("completion", "CompletionCommand", "Print a script that lets a shell complete options."),
    ),
}
"""The commands by what they are for, as the help shows them."""

COMMANDS = {entry.name: entry for group in GROUPS.values() for entry in group}
