"""Processes of engines on this machine, which would otherwise stay for ever after a command that was killed.

``python -m pipetask.executors.futures.engines.outliving PID MODULE …`` runs a module as ``python -m MODULE …`` does.
The process, with all that it has started, ends some time after its parent, which has this ID.
"""

from __future__ import annotations

import contextlib
import os
import runpy
import sys
import threading
import time

import psutil

from ..warm_workers import WARM_WORKERS

__all__ = ["end_after_parent"]

LOOK = 1.0
"""Seconds between two looks at whether the parent lives, and whether anything is run."""


def end_after_parent(parent: int, *, with_children: bool = False) -> None:
    """Let this process end when its parent has, and when what it runs then has ended, too.

    Parameters
    ----------
    parent
        The process ID of the parent, which may have ended before this is called.
    with_children
        Whether to kill what this process has started, too.
    """

    def wait() -> None:
        while os.getppid() == parent:
            time.sleep(LOOK)
        while WARM_WORKERS.are_busy:
            time.sleep(LOOK)
        WARM_WORKERS.end_all()
        for process in psutil.Process().children(recursive=True) if with_children else ():
            with contextlib.suppress(psutil.Error):
                process.kill()
        os._exit(1)

    threading.Thread(target=wait, daemon=True, name="pipetask-parent").start()


if __name__ == "__main__":
    end_after_parent(int(sys.argv[1]), with_children=True)
    del sys.argv[:2]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
