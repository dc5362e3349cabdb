"""Clean up after tasks that have run in the process of the command."""

from __future__ import annotations

import os
import sys
import threading

__all__ = ["end_process_despite_tasks"]


def end_process_despite_tasks(code: int) -> None:
    """End the child processes of this process, and exit without waiting if threads are left.

    Workers do this themselves.

    Parameters
    ----------
    code
        The exit code.
    """
    if _has_children():
        from ..executors.pool.process_tree import kill_descendants

        kill_descendants()
    others = [thread for thread in threading.enumerate() if thread is not threading.main_thread()]
    if not all(thread.daemon for thread in others):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _has_children() -> bool:
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True
