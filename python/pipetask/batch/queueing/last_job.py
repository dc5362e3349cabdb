"""The last job of a round: ``python -m pipetask.batch.queueing.last_job RUN_DIR ROUND``.

It submits what has to run again, with a last job of its own.  When nothing has to, it registers what is done and writes
the summary, in a process of the command ``pipetask run-node``.
"""

from __future__ import annotations

import subprocess
import sys
import time
from itertools import chain, repeat

from ...errors import PipetaskError
from ..exit_codes import ExitCode
from ..names import FINAL
from ..node_commands import job_arguments
from ..run_directory import RunDirectory
from ..systems import system_of
from .client import QueueLimitError
from .control import Run, continue_run
from .dialect import Dialect

__all__ = ["main"]

_PAUSES = (10.0, 60.0)
"""Seconds to wait before something is tried again that may help then."""


def main(path: str, number: int) -> int:
    """Continue a run after a round, or end it.

    Parameters
    ----------
    path
        The run directory.
    number
        Number of the round.
    """
    directory = RunDirectory(path)
    system = system_of(directory)
    assert isinstance(system, Dialect), system
    run = Run.open(directory, system)
    try:
        if _continue(run, number):
            print("Nodes have to run again, and were submitted.", file=sys.stderr)
            return ExitCode.DONE
    except PipetaskError as error:
        why = f"what has to run again was not submitted from a job ({error}); submit it with: pipetask restart {path}"
        print(why, file=sys.stderr)
        run.journal.note("trouble", number, why=why)
    code = _register(path)
    if not run.journal.read().cancelled:
        run.journal.note("ended", number, code=code)
    return code


def _continue(run: Run, number: int) -> bool:
    """Submit what has to run again; while there is no room in the queue, wait for half of the walltime."""
    deadline = time.monotonic() + 60 * run.configuration.for_node(FINAL).time / 2
    for pause in chain(_PAUSES, repeat(_PAUSES[-1])):
        try:
            return continue_run(run, number)
        except QueueLimitError:
            if time.monotonic() + pause > deadline or run.journal.read().cancelled:
                raise
        time.sleep(pause)
    raise AssertionError("it waits for ever")


def _register(path: str) -> int:
    """Run the final step, more than once if something around it is broken."""
    for pause in _PAUSES:
        code = subprocess.call([sys.executable, *job_arguments(path, FINAL)])
        if code != ExitCode.INFRASTRUCTURE:
            return code
        time.sleep(pause)
    return subprocess.call([sys.executable, *job_arguments(path, FINAL)])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2])))
