"""Watch any run."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from ..batch.run_directory import RunDirectory
from .batch import BatchWatch
from .local import LocalWatch
from .view import RunView

__all__ = ["Watcher", "watch_run"]


class Watcher(Protocol):
    """Looks at a run as often as it is asked to."""

    def look(self) -> RunView:
        """Return where the run stands now."""


def watch_run(found: RunDirectory | Path) -> Watcher:
    """Return what watches a run that `~pipetask.monitor.find.find_run` has found.

    Parameters
    ----------
    found
        The run.

    Raises
    ------
    PipetaskError
        If the batch system of a run directory is not installed here.
    """
    return BatchWatch(found) if isinstance(found, RunDirectory) else LocalWatch(found)
