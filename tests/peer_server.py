"""Run LSST's command again and again in forks of one process that has imported it; run by LSST's own interpreter.

Each line of standard input is a JSON list: a file for the messages, and the arguments.  The answer is the exit code.
"""

from __future__ import annotations

import gc
import json
import os
import sys

import lsst.ctrl.mpexec.cli.script  # imported before the fork
import lsst.pipe.base.tests.mocks  # noqa: F401
from lsst.ctrl.mpexec.cli.pipetask import cli


def be_the_command(messages: str, arguments: list[str]) -> None:
    gc.freeze()  # what is there already stays; to look through it would copy most of the memory
    descriptor = os.open(messages, os.O_WRONLY)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    sys.argv = ["pipetask", *arguments]
    cli(arguments, prog_name="pipetask")  # raises SystemExit


for line in sys.stdin:
    messages, *arguments = json.loads(line)
    pid = os.fork()
    if pid == 0:
        be_the_command(messages, arguments)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
