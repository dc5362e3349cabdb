"""Logging options, which come before the subcommand."""

from __future__ import annotations

from dataclasses import dataclass

import click

__all__ = ["LogOptions"]


@dataclass(frozen=True)
class LogOptions:
    """How messages are logged."""

    levels: tuple[tuple[str | None, str], ...] = ()
    long: bool = False
    files: tuple[str, ...] = ()
    tty: bool = False
    labels: tuple[tuple[str, str], ...] = ()

    @classmethod
    def parse(
        cls, levels: tuple[str, ...], long: bool, files: tuple[str, ...], tty: bool, labels: tuple[str, ...]
    ) -> LogOptions:
        """Take apart what was given on the command line."""
        pairs = [_level(part) for level in levels for part in level.split(",")]
        return cls(tuple(pairs), long, files, tty, tuple(_label(label) for label in labels))

    def apply(self) -> None:
        """Configure logging in this process (imports the butler)."""
        import logging

        from lsst.daf.butler.cli.cliLog import CliLog

        CliLog.initLog(self.long, log_tty=self.tty, log_file=self.files, log_label=dict(self.labels))
        CliLog.setLogLevels(list(self.levels))
        if not self.tty:  # our own warnings are for the user in any case
            handler = logging.StreamHandler()
            handler.setLevel(logging.WARNING)
            handler.setFormatter(logging.Formatter("pipetask: %(message)s"))
            logging.getLogger("pipetask").addHandler(handler)


def _level(text: str) -> tuple[str | None, str]:
    component, _, level = text.rpartition("=")
    if level.upper() not in ("CRITICAL", "ERROR", "WARNING", "INFO", "VERBOSE", "DEBUG", "TRACE"):
        raise click.UsageError(f"--log-level {text}: {level!r} is not a level.")
    return component or None, level.upper()


def _label(text: str) -> tuple[str, str]:
    key, sign, value = text.partition("=")
    if not sign:
        raise click.UsageError(f"--log-label {text}: not of the form KEY=VALUE.")
    return key, value
