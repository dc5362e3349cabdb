"""How messages are logged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from .declaration import option

__all__ = ["LEVELS", "LogLabel", "LogLevel", "LogOptions"]


LEVELS = ("CRITICAL", "ERROR", "WARNING", "INFO", "VERBOSE", "DEBUG", "TRACE")


class LogLevel(NamedTuple):
    """``[COMPONENT=]LEVEL``."""

    component: str | None
    """Name of a logger; `None`: the root logger."""

    level: str

    @classmethod
    def parse(cls, text: str) -> LogLevel:
        """Read the value of ``--log-level``."""
        component, _, level = text.rpartition("=")
        if level.upper() not in LEVELS:
            raise ValueError(f"{level!r} is not a level; there are {', '.join(LEVELS)}")
        return cls(component or None, level.upper())


class LogLabel(NamedTuple):
    """``KEY=VALUE``."""

    key: str
    value: str

    @classmethod
    def parse(cls, text: str) -> LogLabel:
        """Read the value of ``--log-label``."""
        key, sign, value = text.partition("=")
        if not (key and sign):
            raise ValueError(f"{text!r} is not of the form KEY=VALUE")
        return cls(key, value)


@dataclass(frozen=True, kw_only=True)
class LogOptions:
    """How messages are logged."""

    levels: tuple[LogLevel, ...] = option(
        "--log-level",
        metavar="[COMPONENT=]LEVEL",
        default=(),
        parse=LogLevel.parse,
        help="Level of messages of LSST's packages and of the graph's tasks in the log of each quantum; COMPONENT is a "
        "logger, such as the package of a task.  DEBUG also shows tracebacks.",
        default_text="INFO",
        complete="levels",
    )
    long: bool = option(
        "--long-log", default=False, help="Write log messages with time, data ID and source line."
    )
    files: tuple[str, ...] = option(
        "--log-file",
        metavar="FILE",
        default=(),
        split=False,
        new_file=True,
        help="Also write messages to FILE; as JSON if its name ends in .json.",
    )
    tty: bool = option("--log-tty/--no-log-tty", default=False, help="Also write messages to the terminal.")
    labels: tuple[LogLabel, ...] = option(
        "--log-label",
        metavar="KEY=VALUE",
        default=(),
        parse=LogLabel.parse,
        help="Add a field to JSON log records.",
    )
