"""Options of the commands that look back."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ...errors import UsageError
from ..declaration import argument, option, section
from ..records import ExportOptions

__all__ = ["AggregateReportsCommand", "HistoryCommand", "ReportCommand"]


@dataclass(frozen=True, kw_only=True)
class ReportCommand:
    """Report on executed graphs: which quanta succeeded, failed and were blocked, and what they wrote.

    REPO is the repository, QGRAPHS are the graphs.  Several graphs are taken as attempts at the same processing: a
    quantum that succeeded in one of them has not failed.  The report on one graph is shorter; --force-v2,
    --collections, --where, --curse-failed-logs and --view-graph select the longer one (v2).  For one run, give the run
    directory of a batch run, the folder with a journal, or the output run instead, and no graph.
    """

    repo: str | Path = argument("Butler repository, or run.", complete="files")
    qgraphs: tuple[str | Path, ...] = argument("Quantum graphs.", default=(), complete="files")
    full_output_filename: str = option(
        "--full-output-filename",
        metavar="FILE",
        default="",
        help="Write the whole report: as JSON, or as YAML if it is the shorter report on one graph.",
        new_file=True,
    )
    brief: bool = option("--brief", default=False, help="Show counts only.")
    logs: bool = option("--logs/--no-logs", default=True, help="Read error messages from logs.")
    collections: tuple[str, ...] = option(
        "--collections",
        metavar="COLLECTION",
        default=(),
        help="Collections to report on, newest first.",
        default_text="those of the graphs",
        complete="collections",
    )
    where: str = option("--where", metavar="QUERY", default="", help="Data query that restricts the report.")
    curse_failed_logs: bool = option(
        "--curse-failed-logs",
        default=False,
        help="Mark logs of failed quanta as cursed if they are visible in --collections.",
    )
    force_v2: bool = option("--force-v2", default=False, help="Make the longer report for one graph, too.")
    read_caveats: str = option(
        "--read-caveats",
        default="lazy",
        choices=("exhaustive", "lazy", "none"),
        help="Quanta whose success caveats are read: all, those with missing outputs, none (v2).",
    )
    use_qbb: bool = option(
        "--use-qbb/--no-use-qbb",
        default=True,
        help="Read metadata and logs without a registry query for each (v2).",
    )
    view_graph: bool = option(
        "--view-graph", default=False, help="Draw the pipeline with the state of each task instead."
    )
    processes: int = option(
        "-j", "--processes", metavar="N", default=1, minimum=1, help="Number of reading threads (v2)."
    )
    exports: ExportOptions = section("", ExportOptions)

    @property
    def longer(self) -> bool:
        """Whether this is the report for several graphs."""
        several = len(self.qgraphs) > 1 or bool(self.collections) or bool(self.where)
        return several or self.force_v2 or self.curse_failed_logs or self.view_graph

    def check(self) -> None:
        """Refuse combinations that make no sense.

        Raises
        ------
        UsageError
            With what is missing.
        """
        if not self.qgraphs:
            raise UsageError(
                "there is nothing to report on: name one or more quantum graphs after the repository."
            )
        if self.exports != ExportOptions():
            raise UsageError(
                "--html and --trace are for a run: give its run directory or its journal, and no graph."
            )
        if self.curse_failed_logs and not self.collections:
            raise UsageError(
                "--curse-failed-logs requires --collections, with the collection of all the processing."
            )
        if self.read_caveats == "exhaustive" and not self.longer:
            raise UsageError(
                "--read-caveats exhaustive requires --force-v2: the report on one graph has no caveats."
            )


@dataclass(frozen=True, kw_only=True)
class HistoryCommand:
    """Compare runs: duration, failures, and for each task time and memory, with the change against the run before.

    RUNS are summary files of 'pipetask run --summary', run directories of batch runs, folders with journals, and output
    runs of recent runs.  They are shown in the order in which they started.  Median and 95th percentile are those of
    the quanta that succeeded.  What has grown by more than the threshold is marked with '!'.  The exit code is 0, or 3
    if something is worse in the last run than in the one before: more failures, or more time or memory than the
    threshold allows.
    """

    runs: tuple[str, ...] = argument(
        "Summary files, run directories, journals.", default=(), complete="files"
    )
    as_json: bool = option("--json", default=False, help="Print JSON.")
    html: str | None = option(
        "--html", metavar="FILE", help="Write a page with the tables and charts, too.", new_file=True
    )
    threshold: float = option(
        "--threshold", metavar="PERCENT", default=20.0, above=0, help="Growth that is marked."
    )

    def check(self) -> None:
        """Refuse to compare nothing.

        Raises
        ------
        UsageError
            If there are no runs.
        """
        if not self.runs:
            raise UsageError(
                "there is nothing to compare: name summary files, run directories, or output runs of recent runs."
            )


@dataclass(frozen=True, kw_only=True)
class AggregateReportsCommand:
    """Add up reports on disjoint groups of data IDs.

    FILENAMES are reports on several graphs, or with --force-v2, that 'pipetask report --full-output-filename FILE' has
    written.
    """

    filenames: tuple[str | Path, ...] = argument("Reports (JSON).", default=(), complete="files")
    full_output_filename: str = option(
        "--full-output-filename",
        metavar="FILE",
        default="",
        help="Write the whole report, as JSON.",
        new_file=True,
    )
    brief: bool = option("--brief", default=False, help="Show counts only.")

    def check(self) -> None:
        """Refuse to add up nothing.

        Raises
        ------
        UsageError
            If there are no reports.
        """
        if not self.filenames:
            raise UsageError("there is nothing to add up: name one or more reports (JSON).")
