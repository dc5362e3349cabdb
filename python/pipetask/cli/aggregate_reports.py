"""`pipetask aggregate-reports`."""

from __future__ import annotations

from ..options.commands.report import AggregateReportsCommand
from .command import Invocation
from .logs import configure_logging
from .report import print_summary, write_summary

__all__ = ["run"]


def run(invocation: Invocation) -> int:
    """Add up reports."""
    options: AggregateReportsCommand = invocation.options
    options.check()
    configure_logging(invocation.logs)
    from ..repository.reports import aggregate_reports

    summary = aggregate_reports(options)
    print_summary(summary, options)
    write_summary(summary, options)
    return 0
