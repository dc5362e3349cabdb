"""What a run writes about itself."""

from __future__ import annotations

from dataclasses import dataclass

from .declaration import option

__all__ = ["RecordOptions"]


@dataclass(frozen=True, kw_only=True)
class RecordOptions:
    """Files about a run, for people and for other programs."""

    summary: str | None = option(
        "--summary",
        metavar="FILE",
        help="Write a summary of the graph and its quanta, as JSON.",
        new_file=True,
    )

    on_end: str | None = option(
        "--on-end",
        metavar="COMMAND",
        help="Shell command to call when the run has ended, with verdict and paths in its environment.",
    )
