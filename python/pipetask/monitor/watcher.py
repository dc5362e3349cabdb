"""Watch any run."""

from __future__ import annotations

from typing import Protocol

from ..batch.run_directory import RunDirectory
from .batch import BatchWatch
from .find import find_run
from .local import LocalWatch
from .view import RunView

__all__ = ["Watcher", "watch_run"]


class Watcher(Protocol):
    """Looks at a run as often as it is asked to."""

    def look(self) -> RunView:
        """Return where the run stands now."""


def watch_run(name: str) -> Watcher:
    """Return what watches a run; see `find_run`.

    Parameters
    ----------
    name
        The run.

    Raises
    ------
    PipetaskError
        If there is no such run.
    """
    found = find_run(name)
    return BatchWatch(found) if isinstance(found, RunDirectory) else LocalWatch(found)
