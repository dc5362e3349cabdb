"""Run the command in the test process itself: quicker than a fork, for commands that start no processes."""

from __future__ import annotations

import io
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from unittest.mock import patch

from lsst.daf.butler.cli.cliLog import CliLog

from pipetask.cli import main

from conftest import Finished  # isort: skip


def run_here(*arguments: str) -> Finished:
    """Run the command, and leave logging as it was."""
    start, out, err = time.monotonic(), io.StringIO(), io.StringIO()
    with (
        logging_as_it_was(),
        redirect_stdout(out),
        redirect_stderr(err),
        patch.dict(os.environ, COLUMNS="200"),
        patch("sys.argv", ["pipetask", *arguments]),
    ):
        code = main(list(arguments))
    return Finished(code, out.getvalue(), err.getvalue(), time.monotonic() - start)


@contextmanager
def logging_as_it_was() -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in (None, "lsst", "pipetask")]
    before = [(logger, logger.level, list(logger.handlers)) for logger in loggers]
    try:
        yield
    finally:
        CliLog.resetLog()
        for logger, level, handlers in before:
            logger.setLevel(level)
            logger.handlers[:] = handlers
