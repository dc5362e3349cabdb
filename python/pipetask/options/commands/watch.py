"""Options of the commands that look at one run, while it goes on or later."""

from __future__ import annotations

from dataclasses import dataclass

from ..declaration import argument, option

__all__ = ["ExplainCommand", "LogCommand", "StatusCommand", "WatchCommand"]


@dataclass(frozen=True, kw_only=True)
class WatchCommand:
    """Watch a run from another terminal: what runs now and for how long, what has failed, how long it will take.

    RUN is the run directory of a batch run; for a run on a machine, the folder with its journal, or its output run.
    Without RUN, the recent runs of this user are listed.  The exit code is that of pipetask status.
    """

    run: str | None = argument("Run.", default=None, complete="folders")
    once: bool = option("--once", default=False, help="Show it once, and do not wait for the end.")
    as_json: bool = option("--json", default=False, help="Print JSON, once.")
    interval: float = option(
        "--interval", metavar="SECONDS", default=2.0, above=0, help="Time between updates."
    )
    html: str | None = option(
        "--html",
        metavar="FILE",
        help="Also keep a page that explains the run up to date; a browser that shows it loads it again.",
        new_file=True,
    )


@dataclass(frozen=True, kw_only=True)
class StatusCommand:
    """Show how many quanta of a run are in which state, what is held and why, and the remaining time.

    RUN is the run directory of a batch run; for a run on a machine, the folder with its journal, or its output run.
    The exit code is 0 when all succeeded, 1 when some failed, 3 while it runs, 4 when all that is left is held, 5 when
    it was cancelled, 6 when it was never submitted, and 7 when its process has ended without a word.
    """

    run: str = argument("Run.", complete="folders")
    watch: bool = option("--watch", default=False, help="Update until the run has ended.")
    as_json: bool = option("--json", default=False, help="Print JSON.")
    interval: float = option(
        "--interval", metavar="SECONDS", default=5.0, above=0, help="Time between updates with --watch."
    )


@dataclass(frozen=True, kw_only=True)
class LogCommand:
    """Print the log of a quantum: from the datastore, of a killed attempt, or of one that runs right now.

    RUN is what pipetask watch takes.  QUANTUM is a UUID, or how it begins; or a label, with as much of the data ID as
    is needed: isr exposure=3 detector=1.
    """

    run: str = argument("Run.", complete="folders")
    quantum: tuple[str, ...] = argument("Quantum.", default=())
    failed: bool = option("--failed", default=False, help="Print the logs of all quanta that have failed.")
    as_json: bool = option("--json", default=False, help="Print the records as JSON.")


@dataclass(frozen=True, kw_only=True)
class ExplainCommand:
    """Say why a quantum ran, failed, was skipped, is blocked or waits; what it reads and writes, and who makes that.

    RUN is what pipetask watch takes.  QUANTUM is a UUID, or how it begins; or a label, with as much of the data ID as
    is needed: isr exposure=3 detector=1.
    """

    run: str = argument("Run.", complete="folders")
    quantum: tuple[str, ...] = argument("Quantum.", default=())
    failed: bool = option("--failed", default=False, help="Explain all quanta that have failed.")
    as_json: bool = option("--json", default=False, help="Print JSON.")
