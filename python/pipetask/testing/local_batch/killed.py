"""Run a command in a process that is killed when some quanta have ended: ``… .killed COUNT run-node RUN_DIR NODE``."""

from __future__ import annotations

import os
import runpy
import signal
import sys

from ...batch.outcomes import AttemptWriter
from ...outcome import QuantumOutcome

__all__ = ["kill_after"]


def kill_after(count: int) -> None:
    """Kill this process as soon as so many outcomes have been written; at once if that is none."""
    write, left = AttemptWriter.outcome, count

    def write_and_die(writer: AttemptWriter, outcome: QuantumOutcome) -> None:
        nonlocal left
        write(writer, outcome)
        left -= 1
        if left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)

    if not count:
        os.kill(os.getpid(), signal.SIGKILL)
    AttemptWriter.outcome = write_and_die  # type: ignore[method-assign,assignment]


if __name__ == "__main__":
    kill_after(int(sys.argv.pop(1)))
    runpy.run_module("pipetask.cli", run_name="__main__", alter_sys=True)
