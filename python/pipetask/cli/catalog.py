"""The commands there are: the one list that the command line, completion and the reference pages are made from."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .command import ModelCommand

__all__ = ["COMMANDS", "Entry"]


@dataclass(frozen=True)
class Entry:
    """One command; what it needs is imported when it is used."""

    name: str
    model_name: str
    """Class in `pipetask.options.commands`."""

    summary: str
    """Half a line for the list of commands."""

    def model(self) -> type[Any]:
        """Return the model of its options."""
        from ..options import commands

        return getattr(commands, self.model_name)

    def command(self) -> ModelCommand:
        """Make the click command."""
        from .command import Invocation, ModelCommand

        def run(invocation: Invocation) -> int:
            module = importlib.import_module(f"pipetask.cli.{self.name.replace('-', '_')}")
            return int(module.run(invocation))

        return ModelCommand(self.name, self.model(), run)


COMMANDS = {
    entry.name: entry
    for entry in (
        Entry("run", "RunCommand", "Execute a quantum graph, from a file or built from a pipeline."),
        Entry("status", "StatusCommand", "Say where a run on a batch system stands."),
        Entry("cancel", "CancelCommand", "End a run on a batch system."),
        Entry("restart", "RestartCommand", "Submit what is missing of a run on a batch system."),
        Entry("run-node", "RunNodeCommand", "Run one job of a run on a batch system, here."),
        Entry("condor", "CondorCommand", "Show settings for HTCondor."),
        Entry("purge", "PurgeCommand", "Remove a chain of collections, and the collections in it."),
        Entry("cleanup", "CleanupCommand", "Remove collections that a chain no longer holds."),
        Entry("demo", "DemoCommand", "Make a small sky survey, process it, and find its variable star."),
        Entry("completion", "CompletionCommand", "Print a script that lets a shell complete options."),
    )
}
