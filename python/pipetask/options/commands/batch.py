"""Options of the commands for batch runs."""

from __future__ import annotations

from dataclasses import dataclass

from ..condor import CondorOptions
from ..declaration import argument, option, section

__all__ = ["CancelCommand", "CondorCommand", "RestartCommand", "RunNodeCommand"]


@dataclass(frozen=True, kw_only=True)
class CancelCommand:
    """Remove a run from the batch system's queue, and wait until its jobs have left.

    RUN_DIR is the run directory.  Finished quanta are registered, and pipetask restart can continue the run later.
    """

    run_dir: str = argument("Run directory.", complete="folders")


@dataclass(frozen=True, kw_only=True)
class RestartCommand:
    """Submit the rest of a run: after failures, after cancel, after a crash, or after --no-submit.

    RUN_DIR is the run directory.
    """

    run_dir: str = argument("Run directory.", complete="folders")


@dataclass(frozen=True, kw_only=True)
class RunNodeCommand:
    """Run the unfinished quanta of one node on this machine.  The jobs of a batch system use this command.

    RUN_DIR is the run directory; NODE the name or the number of a node, or 'first' or 'final'.
    """

    run_dir: str = argument("Run directory.", complete="folders")
    node: str = argument("Name or number of the node.")
    processes: int = option(
        "-j", "--processes", metavar="N", default=1, minimum=1, help="Number of worker processes."
    )
    quantum_ids: tuple[str, ...] = option(
        "--quantum", metavar="UUID", default=(), help="Run only these quanta of the node."
    )


@dataclass(frozen=True, kw_only=True)
class CondorCommand:
    """Show the HTCondor settings for the jobs of a task.

    ACTION is 'show-config'; LABEL a task label, or 'first' or 'final'.
    """

    action: str = argument("What to do.", choices=("show-config",))
    label: str = argument("Task label.")
    run_dir: str | None = option(
        "--run-dir", metavar="DIR", help="Show the settings of this run.", complete="folders"
    )
    settings: CondorOptions = section("", CondorOptions)
