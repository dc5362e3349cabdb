"""Capture the messages of tasks, whatever package they come from."""

from __future__ import annotations

import logging
from collections.abc import Iterable

__all__ = ["TaskLogs"]


class TaskLogs:
    """Gives the packages of tasks the level of the logger ``lsst``, until it is closed.

    LSST's command, and ours, sets INFO for ``lsst`` and WARNING for all others.  A task's logger is named after the
    package of the task, so messages of tasks from other packages would be lost.  A level that the user has set stays.

    Parameters
    ----------
    task_names
        Full names of the task classes.
    """

    def __init__(self, task_names: Iterable[str]):
        self._changed: list[logging.Logger] = []
        level = logging.getLogger("lsst").getEffectiveLevel()
        for package in sorted({name.partition(".")[0] for name in task_names} - {"lsst", "pipetask"}):
            logger = logging.getLogger(package)
            if logger.level == logging.NOTSET and level < logger.getEffectiveLevel():
                logger.setLevel(level)
                self._changed.append(logger)

    def close(self) -> None:
        """Leave the levels to their parents again."""
        for logger in self._changed:
            logger.setLevel(logging.NOTSET)
        self._changed.clear()
