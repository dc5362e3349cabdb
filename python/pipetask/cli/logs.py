"""Configure logging; its options come before the subcommand."""

from __future__ import annotations

from ..options.logs import LogOptions

__all__ = ["configure_logging"]


def configure_logging(options: LogOptions) -> None:
    """Configure logging in this process (imports the butler)."""
    import logging

    from ..text import visible

    class OneLine(logging.Formatter):
        """Shows control characters of names and paths."""

        def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
            return visible(super().formatMessage(record))

    from lsst.daf.butler.cli.cliLog import CliLog

    CliLog.initLog(options.long, log_tty=options.tty, log_file=options.files, log_label=dict(options.labels))
    CliLog.setLogLevels([(level.component, level.level) for level in options.levels])
    if not options.tty:  # pipetask's own warnings are always shown
        handler = logging.StreamHandler()
        handler.setLevel(logging.WARNING)
        handler.setFormatter(OneLine("pipetask: %(message)s"))
        logging.getLogger("pipetask").addHandler(handler)
