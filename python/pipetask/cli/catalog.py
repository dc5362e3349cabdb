"""The list of commands, from which the command line, completion and the reference pages are made."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any

__all__ = ["COMMANDS", "GROUPS", "LEFT", "Entry"]


@dataclass(frozen=True)
class Entry:
    """One command.  `pipetask.cli.command.command_for` makes the click command of it."""

    name: str
    module: str
    """Module in `pipetask.options.commands`."""

    model_name: str
    """Class in that module."""

    summary: str
    """A few words for the list of commands."""

    def model(self) -> type[Any]:
        """Return the model of its options."""
        return getattr(importlib.import_module(self.model_path), self.model_name)

    @property
    def model_path(self) -> str:
        """Full name of the model's module."""
        return f"pipetask.options.commands.{self.module}"


GROUPS = {
    "Build and look": (
        Entry("build", "build", "BuildCommand", "Build a pipeline; write, draw or show it."),
        Entry(
            "qgraph", "build", "QgraphCommand", "Build a quantum graph, or read one; write, draw or show it."
        ),
        Entry(
            "update-graph-run", "build", "UpdateGraphRunCommand", "Give a quantum graph another output run."
        ),
    ),
    "Run": (
        Entry("run", "run", "RunCommand", "Execute a quantum graph, from a file or built from a pipeline."),
        Entry("run-qbb", "run", "RunQbbCommand", "Execute quanta of a graph without a registry."),
        Entry("pre-exec-init-qbb", "run", "PreExecInitQbbCommand", "Write init-outputs without a registry."),
    ),
    "Watch": (
        Entry("watch", "watch", "WatchCommand", "Watch a run from another terminal; list recent runs."),
        Entry("status", "watch", "StatusCommand", "Say where a run stands."),
        Entry("log", "watch", "LogCommand", "Print the log of a quantum."),
        Entry("explain", "watch", "ExplainCommand", "Say why a quantum is in its state."),
    ),
    "Batch runs": (
        Entry("cancel", "batch", "CancelCommand", "End a run on a batch system."),
        Entry("restart", "batch", "RestartCommand", "Submit what is missing of a run on a batch system."),
        Entry("run-node", "batch", "RunNodeCommand", "Run one job of a run on a batch system, here."),
        Entry("pilots", "batch", "PilotsCommand", "Show, add or remove the pilots of a run."),
        Entry("run-pilot", "batch", "RunPilotCommand", "Run nodes of a run one after the other, here."),
        Entry("condor", "batch", "CondorCommand", "Show settings for HTCondor."),
    ),
    "Look back": (
        Entry("report", "report", "ReportCommand", "Report what became of executed graphs."),
        Entry("history", "report", "HistoryCommand", "Compare runs: time, memory, failures."),
        Entry("aggregate-reports", "report", "AggregateReportsCommand", "Add up reports on disjoint data."),
    ),
    "Clean up": (
        Entry(
            "purge", "removal", "PurgeCommand", "Remove a chain of collections, and the collections in it."
        ),
        Entry("cleanup", "removal", "CleanupCommand", "Remove collections that a chain no longer holds."),
    ),
    "Set up": (
        Entry(
            "demo", "setup", "DemoCommand", "Make a small sky survey, process it, and find its variable star."
        ),
        Entry(
            "completion", "setup", "CompletionCommand", "Print a script that lets a shell complete options."
        ),
    ),
}
"""The commands by what they are for, as the help shows them."""

COMMANDS = {entry.name: entry for group in GROUPS.values() for entry in group}

LEFT = {
    **dict.fromkeys(("build", "qgraph", "update-graph-run"), "the repository is unchanged"),
    **dict.fromkeys(("run", "run-qbb"), "no quantum was run"),
    **dict.fromkeys(("purge", "cleanup"), "nothing was removed"),
    "pre-exec-init-qbb": "init-outputs may be incomplete",
    "cancel": "the run may go on",
    "restart": "the run may have been submitted",
    **dict.fromkeys(("run-node", "run-pilot"), "what has ended is recorded"),
    "pilots": "pilots may have been added or asked to leave",
    "demo": "the demo is incomplete",
}
"""What interrupted commands leave, unless they say so themselves (see `interrupted`); all others change nothing."""
