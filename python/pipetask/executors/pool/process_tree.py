"""End a process and everything that it started."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Callable

import psutil

__all__ = [
    "adopt_orphans",
    "go_on_without_parent",
    "kill_descendants",
    "kill_session",
    "kill_tree",
    "lead_session",
]

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h


def lead_session() -> None:
    """Make this process the leader of a session, so that all it starts can be found by the session's ID."""
    with contextlib.suppress(PermissionError):  # it leads one already
        os.setsid()


def adopt_orphans() -> None:
    """Let processes below this one whose parent dies become its children (Linux), so that they can be found."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def go_on_without_parent() -> None:
    """Let this process go on when its parent dies (Linux), if `kill_tree` has stopped it and died before the kill."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGCONT, 0, 0, 0)


def kill_tree(pid: int, *, spare_root: bool = False) -> None:
    """Kill a living process, its descendants, and all of its session.

    Parameters
    ----------
    pid
        A process that called `lead_session`.
    spare_root
        Whether to leave that process itself alone.
    """
    if pid != os.getpid():
        _send(pid, signal.SIGSTOP)  # or it would report that what it had started has died
    _kill_all(lambda: (_descendants(pid) | _session(pid)) - {pid})
    if not spare_root:
        _kill(pid)


def kill_descendants() -> None:
    """Kill what this process has started, and what that has."""
    _kill_all(lambda: _descendants(os.getpid()))


def kill_session(sid: int) -> None:
    """Kill what is left of the session of a process that has died (its ID stays taken as long as anything is)."""
    _kill_all(lambda: _session(sid))


def _kill_all(find: Callable[[], set[int]]) -> None:
    # Repeat until none is found, because a process may start another during the search.
    for _ in range(10):
        try:
            found = find() - {os.getpid()}
        except OSError:  # no descriptor is left to look into /proc with
            return
        if not found:
            return
        for pid in found:
            _kill(pid)


def _descendants(pid: int) -> set[int]:
    with contextlib.suppress(psutil.Error):
        return {child.pid for child in psutil.Process(pid).children(recursive=True) if _alive(child)}
    return set()


def _session(sid: int) -> set[int]:
    members = set()
    for pid in psutil.pids():
        with contextlib.suppress(psutil.Error, OSError):
            if os.getsid(pid) == sid and _alive(psutil.Process(pid)):
                members.add(pid)
    return members


def _alive(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.Error):
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    return False


def _kill(pid: int) -> None:
    _send(pid, signal.SIGKILL)


def _send(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)
