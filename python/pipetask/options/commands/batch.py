"""Options of the commands for batch runs."""

from __future__ import annotations

from dataclasses import dataclass

from ..condor import CondorOptions
from ..declaration import argument, option, section

__all__ = [
    "CancelCommand",
    "CondorCommand",
    "PilotsCommand",
    "RestartCommand",
    "RunNodeCommand",
    "RunPilotCommand",
]


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
    keep_failures_since: int | None = option(
        "--keep-failures-since",
        metavar="TIME",
        help="Do not run again what has failed in attempts that began later, in nanoseconds since 1970-01-01 UTC.",
    )


@dataclass(frozen=True, kw_only=True)
class PilotsCommand:
    """Show the pilots of a run: where they are, what they run. Or add some while it goes on, or let some leave.

    RUN_DIR is the run directory.  A pilot that leaves ends the quanta that it runs, and gives the others back.
    """

    run_dir: str = argument("Run directory.", complete="folders")
    add: int = option("--add", metavar="N", default=0, minimum=0, help="Submit so many more pilots.")
    remove: int = option("--remove", metavar="N", default=0, minimum=0, help="Let so many pilots leave.")
    memory: str | None = option(
        "--memory", metavar="SIZE", help="With --add: memory that they ask for, such as 8GB."
    )
    walltime: str | None = option(
        "--walltime", metavar="TIME", help="With --add: walltime that they ask for, such as 12h."
    )
    as_json: bool = option("--json", default=False, help="Print JSON.")


@dataclass(frozen=True, kw_only=True)
class RunPilotCommand:
    """Run nodes of a run, one after the other, until none is left.  The jobs of a run with pilots use this command.

    RUN_DIR is the run directory.
    """

    run_dir: str = argument("Run directory.", complete="folders")
    processes: int = option(
        "-j", "--processes", metavar="N", default=1, minimum=1, help="Number of worker processes."
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
