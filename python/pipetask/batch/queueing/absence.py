"""Whether nothing of a run is in the queue any more, and it is lost.

One look does not tell: the queue may be empty for a moment, and a shared file system may show the last words of a run
late.  So a run is lost if it was absent twice, a minute apart, and nothing of it has been written since the first look,
however long ago that was.  Whoever looked first leaves a file, so that it may be two commands that look.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

__all__ = ["APART", "Absence"]

APART = 60.0
"""Seconds between the two looks."""


class Absence:
    """Remembers when a run was first absent.

    Parameters
    ----------
    file
        What says so.
    """

    def __init__(self, file: Path):
        self._file = file
        self._since: float | None = None

    def ends(self) -> None:
        """Take note that something of the run is in the queue."""
        self._since = None
        with suppress(OSError):  # it is not there, or another user may only read
            self._file.unlink()

    def is_for_good(self, changed: Callable[[], float]) -> bool:
        """Take note that nothing is in the queue, and return whether that is so for good.

        Parameters
        ----------
        changed
            Returns when anything of the run was last written, by the clock of the file system.
        """
        try:
            return self._lasts(changed())
        except OSError:  # this user may only read, so only this process remembers
            now = time.monotonic()
            self._since = now if self._since is None else self._since
            return now - self._since > APART

    def _lasts(self, changed: float) -> bool:
        probe = self._file.with_name(f"{self._file.name}.{os.getpid()}")
        # Both times are of the file system's clock, whatever the one of this machine says.
        probe.touch()
        now = probe.stat().st_mtime
        try:
            first = self._file.stat().st_mtime
        except FileNotFoundError:
            first = None
        if first is None or changed > first:
            probe.rename(self._file)
            return False
        probe.unlink()
        return now - first > APART
