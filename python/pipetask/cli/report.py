"""`pipetask report`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..batch.run_directory import RunDirectory
from ..errors import PipetaskError
from ..monitor.find import find_run
from ..options.commands.report import AggregateReportsCommand, ReportCommand
from .command import Invocation
from .logs import configure_logging
from .run_report import report_on_journal, report_on_run

if TYPE_CHECKING:
    from lsst.pipe.base.quantum_provenance_graph import Summary

__all__ = ["print_summary", "run", "write_summary"]


def run(invocation: Invocation) -> int:
    """Report on executed graphs, or on a run."""
    options: ReportCommand = invocation.options
    if not options.qgraphs and (found := _run_named(str(options.repo))) is not None:
        configure_logging(invocation.logs)
        if isinstance(found, RunDirectory):
            return report_on_run(found, options.exports)
        return report_on_journal(found, options.exports)
    options.check()
    configure_logging(invocation.logs)
    if options.longer:
        _report_on_attempts(options)
    else:
        _report_on_graph(options)
    return 0


def _run_named(name: str) -> RunDirectory | Path | None:
    """Return the run that is meant if there is one of this name, which may be a repository as well."""
    try:
        return find_run(name)
    except PipetaskError:
        if (Path(name) / "run.json").exists():
            raise  # it is a run directory, and has another version, say
        return None


def _report_on_graph(options: ReportCommand) -> None:
    from ..repository.reports import report_on_graph

    report = report_on_graph(options)
    if options.full_output_filename:
        _write(options.full_output_filename, report.to_yaml())
    else:
        report.pprint(brief=options.brief)


def _report_on_attempts(options: ReportCommand) -> None:
    from ..repository.reports import report_on_attempts

    report = report_on_attempts(options)
    if options.view_graph:
        report.draw()
    else:
        print_summary(report.summary, options)
    write_summary(report.summary, options)


def print_summary(summary: Summary, options: ReportCommand | AggregateReportsCommand) -> None:
    """Print a summary; only counts if it is also written to a file."""
    summary.pprint(brief=options.brief or bool(options.full_output_filename))


def write_summary(summary: Summary, options: ReportCommand | AggregateReportsCommand) -> None:
    """Write a summary as JSON, if requested."""
    if options.full_output_filename:
        _write(options.full_output_filename, summary.model_dump_json(indent=2))


def _write(file: str, text: str) -> None:
    Path(file).write_text(text, encoding="utf-8")
