"""The sinks that a command gives a run."""

from __future__ import annotations

import sys

from rich.console import Console

from .report import Commands, ReportSink
from .sink import Sink
from .summary_file import SummaryFile

__all__ = ["sinks_for"]


def sinks_for(commands: Commands, *, summary: str | None = None, progress: Sink | None = None) -> list[Sink]:
    """Return the sinks of a run: what is kept comes first, then what is shown.

    Parameters
    ----------
    commands
        Gives the commands that run single quanta again, for the report.
    summary
        Where to write the summary, if anywhere.
    progress
        Shows how the run gets on.

    Raises
    ------
    PipetaskError
        If the summary cannot be written there.
    """
    kept: list[Sink] = [SummaryFile(summary, sys.argv)] if summary else []
    shown = [progress] if progress is not None else []
    return [*kept, *shown, ReportSink(Console(stderr=True, soft_wrap=not sys.stderr.isatty()), commands)]
