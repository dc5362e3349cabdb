"""Run the command in a fork of the test process, which has imported everything: ten times as fast as a new one."""

from __future__ import annotations

import gc
import io
import logging
import os
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Sequence
from typing import IO, NoReturn

import lsst.pipe.base.tests.mocks  # noqa: F401  imported before the fork
from lsst.daf.butler.cli.cliLog import CliLog

from pipetask.cli import main

from conftest import Finished  # isort: skip


def run_forked(*arguments: str, stdin: str = "") -> Finished:
    """Run the command, serially; its modules, and nothing else, are those of the test process."""
    start = time.monotonic()
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
            pid = os.fork()
        if pid == 0:
            sys.stdin = io.StringIO(stdin)
            _be_the_command(out, err, arguments)
        _, status = os.waitpid(pid, 0)
        out.seek(0)
        err.seek(0)
        return Finished(os.waitstatus_to_exitcode(status), out.read(), err.read(), time.monotonic() - start)


def _forget_logging() -> None:
    """Take the handlers of the test framework away, and what earlier tests have left, such as jobs that ran here."""
    CliLog.resetLog()
    logging.root.handlers.clear()
    logging.root.setLevel(logging.WARNING)
    for logger in logging.root.manager.loggerDict.values():
        if isinstance(logger, logging.Logger):
            logger.setLevel(logging.NOTSET)


def _be_the_command(out: IO[str], err: IO[str], arguments: Sequence[str]) -> NoReturn:
    gc.freeze()  # what is there already stays; to look through it would copy most of the memory
    code = 99
    try:
        _forget_logging()
        sys.stdout, sys.stderr, sys.argv = out, err, ["pipetask", *arguments]
        os.dup2(out.fileno(), 1)
        os.dup2(err.fileno(), 2)
        os.environ["COLUMNS"] = "200"
        code = main(list(arguments))
    except BaseException:
        traceback.print_exc(file=err)
    finally:
        out.flush()
        err.flush()
        os._exit(code)
