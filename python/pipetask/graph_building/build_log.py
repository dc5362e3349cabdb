"""Messages of pipe_base's graph builder."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from typing import Any

from lsst.utils.logging import getLogger

__all__ = ["BuildLog"]

_DROPPED = re.compile(r"Dropping task (\S+) because no quanta remain(?: \((.*)\))?\.")


class BuildLog(logging.Handler):
    """Records the messages of a builder, and passes them on to its original logger.

    The builder logs only at level INFO why a task has no quanta.  To receive that at any log level of the user, the
    builder gets a private logger.

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
        """Record a message, and pass it on."""
        self._messages.append(record.getMessage())
        if self._usual.isEnabledFor(record.levelno):
            self._usual.handle(record)

    @property
    def dropped(self) -> Iterator[tuple[str, str]]:
        """Labels of tasks without quanta, each with the builder's reason, which may be empty."""
        for message in self._messages:
            if found := _DROPPED.fullmatch(message):
                yield found[1], found[2] or ""
