"""What pipe_base's builder says while it builds."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from typing import Any

from lsst.utils.logging import getLogger

__all__ = ["BuildLog"]

_DROPPED = re.compile(r"Dropping task (\S+) because no quanta remain(?: \((.*)\))?\.")


class BuildLog(logging.Handler):
    """Listens to a builder, and passes on what it says to where it would have gone.

    Why a task has no quanta is said at level INFO, and nowhere else.  To hear that, whatever the user wants to be
    logged, the builder gets a logger that nobody else knows.

    Parameters
    ----------
    builder
        The builder, before it builds.
    """

    def __init__(self, builder: Any):
        super().__init__(logging.INFO)
        self._messages: list[str] = []
        self._usual: logging.Logger = builder.log.logger
        own = logging.Logger(self._usual.name, min(logging.INFO, self._usual.getEffectiveLevel()))
        own.addHandler(self)
        builder.log = getLogger(logger=own)

    def emit(self, record: logging.LogRecord) -> None:
        """Take note of a message, and pass it on."""
        self._messages.append(record.getMessage())
        if self._usual.isEnabledFor(record.levelno):
            self._usual.handle(record)

    @property
    def dropped(self) -> Iterator[tuple[str, str]]:
        """Labels of tasks without quanta, each with the builder's reason, which may be empty."""
        for message in self._messages:
            if found := _DROPPED.fullmatch(message):
                yield found[1], found[2] or ""
