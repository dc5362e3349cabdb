"""Parsl's interchange, which ends some time after its command.

Parsl's own would stay for ever after a command that was killed, and with it the managers and the blocks of a batch
system.  This one then gives its managers nothing more, and sends each home when it has returned what it runs.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys
import threading
import time
from typing import Any

from parsl.executors.high_throughput.interchange import Interchange

__all__ = ["main"]

LOOK = 1.0
"""Seconds between two looks at whether the command lives, and at what managers still run."""

STARTING = 30.0
"""Seconds from its start in which managers may be about to connect.

A manager of Parsl 2026.10 that has seen the interchange, but does not reach it a moment later, stays for ever.
"""


def main(command: int) -> None:
    """Serve the command that has started this process.

    Parameters
    ----------
    command
        Its process ID; it may have ended by now.
    """
    # Ctrl-C is for the command, which needs us until it has stopped.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    interchange = Interchange(**pickle.load(sys.stdin.buffer))
    settled = time.monotonic() + STARTING
    threading.Thread(target=_outlive, args=(command, interchange, settled), daemon=True).start()
    interchange.start()


def _outlive(command: int, interchange: Any, settled: float) -> None:
    """Wait for the end of the command, and then for that of all managers, also of those that are starting."""
    while os.getppid() == command:
        time.sleep(LOOK)
    while (managers := list(interchange._ready_managers.values())) or time.monotonic() < settled:
        for manager in managers:
            manager["draining"] = True  # the interchange tells it to end when it has nothing more to run
        time.sleep(LOOK)
    time.sleep(LOOK)  # the last message is on its way
    os._exit(0)


if __name__ == "__main__":
    main(int(sys.argv[1]))
