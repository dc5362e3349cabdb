"""How a worker process ended, and what it has used until then, as its parent learns it from the kernel."""

from __future__ import annotations

import contextlib
import os
import struct
import time
from typing import NamedTuple

from ...outcome import Usage
from ...runner.meter import Marks, bytes_moved, resident_size

__all__ = ["Ending", "Totals", "reap", "reap_any", "receive_ending", "send_ending"]

_FORM = struct.Struct("=qdqqq")
_UNKNOWN = -1


class Totals(NamedTuple):
    """What a process that has ended has used since it began."""

    cpu_seconds: float
    """Its own, and that of its children that were waited for."""

    peak_memory: int
    """The largest resident size since that was last reset, or of such a child ever, in bytes."""

    bytes_read: int
    """Negative: not known."""

    bytes_written: int


class Ending(NamedTuple):
    """How a worker ended."""

    exit_code: int | None
    """Negative: a signal; `None`: the server that had started the worker is gone, and so is the answer."""

    totals: Totals | None = None
    marks: Marks | None = None
    """What its counters were when it last began a quantum."""

    def start_and_usage(self, id: int, started: float) -> tuple[float, Usage]:
        """Return when the quantum began that ran until this end, and what it has used.

        Parameters
        ----------
        id
            The quantum.
        started
            About when it began, in seconds since 1970-01-01 UTC, for a runner that does not measure.
        """
        marks = self.marks
        if marks is None or marks.id != id:
            return started, Usage(max(0.0, time.time() - started))
        wall = time.monotonic() - marks.clock
        if self.totals is None:
            return marks.start, Usage(wall)
        cpu, peak, read, written = self.totals
        moved = read >= 0 and marks.bytes_read >= 0
        return marks.start, Usage(
            wall,
            max(0.0, cpu - marks.cpu_seconds),
            peak if peak > marks.memory_floor else None,
            max(0, read - marks.bytes_read) if moved else None,
            max(0, written - marks.bytes_written) if moved else None,
        )


def reap(pid: int) -> Ending:
    """Wait for the end of a child."""
    moved = None
    if hasattr(os, "waitid"):
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        moved = bytes_moved(pid)  # the kernel forgets these when the child has been waited for
    _, how, used = os.wait4(pid, 0)
    totals = Totals(used.ru_utime + used.ru_stime, resident_size(used), *(moved or (_UNKNOWN, _UNKNOWN)))
    return Ending(os.waitstatus_to_exitcode(how), totals)


def reap_any() -> tuple[int, Ending] | None:
    """Return a child that has ended, and how; `None` if all live."""
    if hasattr(os, "waitid"):
        found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        return (found.si_pid, reap(found.si_pid)) if found is not None else None
    pid, how, _ = os.wait4(-1, os.WNOHANG)
    return (pid, Ending(os.waitstatus_to_exitcode(how))) if pid else None


def send_ending(descriptor: int, ending: Ending) -> None:
    """Write how a process ended, unless the reader is gone."""
    totals = ending.totals or Totals(_UNKNOWN, _UNKNOWN, _UNKNOWN, _UNKNOWN)
    with contextlib.suppress(BrokenPipeError):
        os.write(descriptor, _FORM.pack(ending.exit_code, *totals))


def receive_ending(descriptor: int) -> Ending:
    """Return what was sent, which may be nothing if the writer is gone."""
    data = os.read(descriptor, _FORM.size)  # so little is written and read as a whole
    if not data:
        return Ending(None)
    exit_code, *rest = _FORM.unpack(data)
    totals = Totals(*rest)
    return Ending(exit_code, totals if totals.cpu_seconds >= 0 else None)
