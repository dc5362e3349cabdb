"""Choose the sinks for a run of the command."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence

from rich.console import Console

from ..options.records import RecordOptions
from .report import Commands, ReportSink
from .sink import Sink
from .summary_file import SummaryFile

__all__ = ["record_sinks", "sinks_for"]

NO_RECORDS = RecordOptions()

NO_OPTIONS: Mapping[str, str] = {}

FILE_WIDTH = 1000
"""Columns of a report that goes to a file: no table needs so many, and none is cut there."""


def sinks_for(
    commands: Commands,
    records: RecordOptions = NO_RECORDS,
    *,
    progress: Sink | None = None,
    slots: int | None = None,
    command: Sequence[str] = (),
    requested_memory: Callable[[], Mapping[str, float]] = dict,
    options: Mapping[str, str] = NO_OPTIONS,
) -> list[Sink]:
    """Return the sinks of a run: first those that write files, then those that print.

    Parameters
    ----------
    commands
        Returns commands that run single quanta again, for the report.
    records
        What is to be written about the run.
    progress
        Shows the progress of the run.
    slots
        How many quanta can run at the same time, if that is known.
    command
        The command that has begun the run; by default this one.
    requested_memory
        Returns the bytes that were asked for a quantum by label, where that is known.
    options
        Options that do not have their default, as text by name.

    Raises
    ------
    PipetaskError
        If something cannot be written where it is to be.
    """
    kept = record_sinks(
        commands,
        records,
        slots=slots,
        command=command,
        requested_memory=requested_memory,
        options=options,
    )
    shown = [progress] if progress is not None else []
    return [*kept, *shown, ReportSink(_console(), commands)]


def record_sinks(
    commands: Commands,
    records: RecordOptions,
    *,
    slots: int | None = None,
    command: Sequence[str] = (),
    requested_memory: Callable[[], Mapping[str, float]] = dict,
    options: Mapping[str, str] = NO_OPTIONS,
) -> list[Sink]:
    """Return the sinks that write files; the parameters are those of `sinks_for`."""
    kept: list[Sink] = [SummaryFile(records.summary, sys.argv)] if records.summary else []
    if records.html:
        from .page.sink import PageSink  # most runs need none of it

        kept.append(PageSink(records.html, command or sys.argv, commands, slots, requested_memory, options))
    if records.trace:
        from .trace import TraceFile

        kept.append(TraceFile(records.trace))
    return kept


def _console() -> Console:
    if sys.stderr.isatty():
        return Console(stderr=True)
    return Console(stderr=True, soft_wrap=True, width=FILE_WIDTH)
