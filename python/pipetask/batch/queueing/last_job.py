"""The last job of a round: ``python -m pipetask.batch.queueing.last_job RUN_DIR ROUND``.

It submits what has to run again, with a last job of its own.  When nothing has to, it registers what is done and writes
the summary, in a process of the command ``pipetask run-node``.
"""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import suppress
from itertools import chain, repeat

from ...errors import PipetaskError
from ..exit_codes import ExitCode
from ..names import FINAL
from ..node_commands import job_arguments
from ..pilots.departures import ask_to_leave
from ..pilots.look import look_at_pilots
from ..run_directory import RunDirectory
from ..systems import system_of
from .client import QueueLimitError, QueueUnknownError
from .control import Run, continue_run, withdraw
from .dialect import Dialect
from .journal import NO_ROOM
from .more_pilots import ADDED

__all__ = ["main"]

_PAUSES = (10.0, 60.0)
"""Seconds to wait before something is tried again that may help then."""

_WAITS = (10.0, 20.0, 40.0, 60.0)
"""Seconds to wait for room in the queue, or for an answer."""


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
        withdraw(run, number)
        run.journal.note("trouble", number, why=why)
    code = _register(path)
    if not run.journal.read().cancelled:
        run.journal.note("ended", number, code=code)
    return code


def _continue(run: Run, number: int) -> bool:
    """Submit what has to run again; while there is no room, or no answer, wait for half of the walltime.

    So the final job also waits for room on the disk.
    """
    deadline = time.monotonic() + 60 * run.configuration.for_node(FINAL).time / 2
    _wait_for_added(run, number, deadline)
    for pause in chain(_WAITS, repeat(_WAITS[-1])):
        try:
            return continue_run(run, number)
        except (QueueLimitError, QueueUnknownError) as error:
            if time.monotonic() + pause > deadline or run.journal.read().cancelled:
                raise
            print(f"Waits for {pause:.0f} s: {error}", file=sys.stderr)
            run.journal.note("waits", number, why=str(error))
        except OSError as error:  # of a disk that is full, on which that cannot be said
            if error.errno not in NO_ROOM or time.monotonic() + pause > deadline:
                raise
        time.sleep(pause)
    raise AssertionError("it waits for ever")


def _wait_for_added(run: Run, number: int, deadline: float) -> None:
    """Wait for pilots that were added, where the system has not let this job wait; in the end, ask them to leave."""
    progress = run.journal.read().rounds.get(number)
    pause, longest = 1.0, _PAUSES[0]
    while progress is not None and progress.added:
        with suppress(QueueUnknownError):
            if not any(each.round == number and each.array >= ADDED for each in run.in_queue()):
                return
        if time.monotonic() + pause > deadline:
            seen = look_at_pilots(run.directory)
            ask_to_leave(seen.round.leave, len(seen.there))
            return
        time.sleep(pause)
        pause = min(1.5 * pause, longest)


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
