"""What a run writes about itself."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from .declaration import option

__all__ = ["ExportOptions", "RecordOptions", "SummaryOptions"]


@dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """Files that show a run, while it goes on or afterwards."""

    html: str | None = option(
        "--html",
        metavar="FILE",
        help="Write a page that explains the run: timeline, critical path, failures.  It needs no network.",
        new_file=True,
    )
    trace: str | None = option(
        "--trace",
        metavar="FILE",
        help="Write the timeline as Chrome trace events, for Perfetto; compressed if FILE ends with .gz.",
        new_file=True,
    )


@dataclass(frozen=True, kw_only=True)
class SummaryOptions:
    """Output for other programs."""

    summary: str | None = option(
        "--summary",
        metavar="FILE",
        help="Write a summary of the graph and its quanta, as JSON.",
        new_file=True,
    )


@dataclass(frozen=True, kw_only=True)
class RecordOptions(SummaryOptions, ExportOptions):
    """Files about a run, for people and for other programs, and the command to call at its end."""

    on_end: str | None = option(
        "--on-end",
        metavar="COMMAND",
        help="Shell command to call when the run has ended, with verdict and paths in its environment.",
    )

    journal: str | None = option(
        "--journal",
        metavar="DIR",
        help="Folder for the journal of the run, which pipetask watch, status, report, log and explain read.",
        default_text="a new folder in the user's state folder",
        complete="folders",
    )
    no_journal: bool = option("--no-journal", default=False, help="Write no journal.")

    def at_submission(self) -> RecordOptions:
        """Return what the command that submits a batch run writes: the last job does the rest."""
        return RecordOptions(summary=self.summary)

    def at_end(self) -> RecordOptions:
        """Return what the last job of a batch run does, from any working directory.

        Its summary is in the run directory.
        """
        return replace(self, summary=None, html=_absolute(self.html), trace=_absolute(self.trace))


def _absolute(file: str | None) -> str | None:
    return file if file is None or "://" in file else str(Path(file).absolute())
