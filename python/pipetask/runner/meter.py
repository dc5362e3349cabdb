"""Measure what a quantum uses, in the process that runs it.

The kernel counts for a whole process: processor time and bytes since its start, and the largest resident size since
that was last reset.  So a meter reads these counters before and after each quantum.  If the process dies in between,
its parent reads them at the end (see `pipetask.executors.pool.ending`).  The parent then needs what they were before:
the *marks*, which meters leave in shared memory if `leave_marks` has named some.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import struct
import sys
import time
from pathlib import Path
from resource import RUSAGE_CHILDREN, RUSAGE_SELF, getrusage, struct_rusage
from typing import NamedTuple

from ..outcome import Usage

__all__ = ["Marks", "Meter", "bytes_moved", "leave_marks", "new_marks", "read_marks", "resident_size"]

_UNKNOWN = -1
"""Stands for a number of bytes that is not known."""

_MAXRSS_UNIT = 1 if sys.platform == "darwin" else 1024
"""Bytes in the unit of getrusage(2) for resident sizes."""

_IO_SIZE = 64
"""Bytes to read of ``/proc/self/io``: the first two lines, "rchar: …" and "wchar: …", however large the numbers are."""


class Marks(NamedTuple):
    """What the counters of a process were when a quantum began."""

    start: float
    """The moment, in seconds since 1970-01-01 UTC."""

    clock: float
    """The same as `time.monotonic`, which all processes of a machine share."""

    cpu_seconds: float
    bytes_read: int
    bytes_written: int
    memory_floor: int
    """The kernel will not tell less than this as the peak of the process, whatever that is; see `_Memory`."""

    id: int
    """The quantum.  It comes last: marks that are not written to their end are those of another quantum."""


_MARKS = struct.Struct("=dddqqqq")

_shared_marks: mmap.mmap | None = None
"""Where the meters of this process leave their marks."""


class Meter:
    """Measures what this process uses from `start` to `read`.

    Notes
    -----
    Processor time is that of getrusage(2), in user and system mode, of all threads and of the children that were waited
    for.

    Bytes are ``rchar`` and ``wchar`` of ``/proc/self/io``, described in :manpage:`proc_pid_io(5)`: all that went
    through read(2), write(2) and the like, whether it came from a disk or from the page cache.  These tell how much
    input and output a task asks for, and are the same for each run of it.  The other pair there, ``read_bytes`` and
    ``write_bytes``, counts what reached the storage layer.  That depends on what happens to be cached, and some network
    file systems do not count it.  What a task reads through a memory map is not in ``rchar``.

    The files in ``/proc`` stay open: opening one costs as much as all the rest.
    """

    def __init__(self) -> None:
        self._memory = _Memory()
        self._io = _opened("/proc/self/io", os.O_RDONLY)
        self.start_time = self._clock = self._cpu = 0.0
        """`start_time` is when the quantum began, in seconds since 1970-01-01 UTC."""
        self._read, self._written = _UNKNOWN, _UNKNOWN

    def start(self, id: int) -> None:
        """Begin to measure a quantum."""
        self._memory.reset()
        own, children = getrusage(RUSAGE_SELF), getrusage(RUSAGE_CHILDREN)
        self._cpu = own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime
        self.start_time, self._clock = time.time(), time.monotonic()
        read, self._written, size = self._bytes()
        self._read = read + size
        if _shared_marks is not None:
            floor = max(self._memory.floor, children.ru_maxrss * _MAXRSS_UNIT)
            times = self.start_time, self._clock, self._cpu
            _MARKS.pack_into(_shared_marks, 0, *times, self._read, self._written, floor, id)

    def read(self) -> Usage:
        """Return what was used since `start`."""
        wall = time.monotonic() - self._clock
        read, written, _ = self._bytes()
        own, children = getrusage(RUSAGE_SELF), getrusage(RUSAGE_CHILDREN)
        cpu = own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime - self._cpu
        peak = self._memory.peak(own)
        if read < 0:
            return Usage(wall, cpu, peak)
        return Usage(wall, cpu, peak, read - self._read, written - self._written)

    def close(self) -> None:
        """Close the files."""
        self._memory.close()
        if self._io is not None:
            os.close(self._io)

    def _bytes(self) -> tuple[int, int, int]:
        """Return the bytes read and written so far, and how many bytes it took to learn that."""
        if self._io is not None:
            try:
                content = os.pread(self._io, _IO_SIZE, 0)
                words = content.split(None, 4)
                return int(words[1]), int(words[3]), len(content)
            except (
                OSError,
                ValueError,
            ):  # the task has closed the file, or something else has its number now
                self._io = None
        return _UNKNOWN, _UNKNOWN, 0


class _Memory:
    """Measures the largest resident size of this process since the last `reset`.

    Notes
    -----
    Linux resets the high-water mark of a process when ``5`` is written to ``/proc/self/clear_refs``
    (:manpage:`proc_pid_clear_refs(5)`).  Where that is not possible the figure is the peak since the process began,
    which never falls.

    getrusage(2) tells that mark ten times as fast as ``/proc/self/status`` does, but never less than the peak that the
    process had before it became this program (it may have shared the memory of its parent then): here the `floor`.
    What is not above it is looked up in the file.
    """

    def __init__(self) -> None:
        self._clear = _opened("/proc/self/clear_refs", os.O_WRONLY)
        self._status = _opened("/proc/self/status", os.O_RDONLY)
        self.floor = 0
        self.reset()
        told = resident_size(getrusage(RUSAGE_SELF))
        if (mark := self._high_water_mark()) is not None and told > mark:
            self.floor = told

    def reset(self) -> None:
        if self._clear is not None:
            try:
                os.write(self._clear, b"5")
            except OSError:
                self._clear = None

    def peak(self, own: struct_rusage) -> int:
        peak = own.ru_maxrss * _MAXRSS_UNIT
        if peak > self.floor:
            return peak
        mark = self._high_water_mark()
        return peak if mark is None else mark

    def _high_water_mark(self) -> int | None:
        if self._clear is None or self._status is None:
            return None
        with contextlib.suppress(OSError):
            _, _, rest = os.pread(self._status, 4096, 0).partition(b"VmHWM:")
            if rest:
                return int(rest.split(maxsplit=1)[0]) * 1024
        return None

    def close(self) -> None:
        for file in (self._clear, self._status):
            if file is not None:
                os.close(file)


def resident_size(usage: struct_rusage) -> int:
    """Return the largest resident size that getrusage(2) tells, in bytes."""
    return usage.ru_maxrss * _MAXRSS_UNIT


def bytes_moved(pid: int) -> tuple[int, int] | None:
    """Return how many bytes a process has read and written so far; it may be dead, but not yet waited for."""
    try:
        words = Path(f"/proc/{pid}/io").read_bytes().split(None, 4)
        return int(words[1]), int(words[3])
    except (OSError, ValueError, IndexError):
        return None


def new_marks() -> int:
    """Return a descriptor of memory for marks; where the system has no such thing, one that takes none."""
    with contextlib.suppress(AttributeError, OSError):
        file = os.memfd_create("pipetask-marks")
        os.write(file, bytes(_MARKS.size))  # there has to be memory before it is mapped
        return file
    return os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)


def leave_marks(file: int) -> None:
    """Let meters of this process leave marks in memory that `new_marks` has made."""
    global _shared_marks
    with contextlib.suppress(OSError, ValueError):
        _shared_marks = mmap.mmap(file, _MARKS.size)


def read_marks(file: int) -> Marks | None:
    """Return the marks that another process has left last, if it has."""
    with contextlib.suppress(OSError, struct.error):
        marks = Marks(*_MARKS.unpack(os.pread(file, _MARKS.size, 0)))
        return marks if marks.start else None
    return None


def _opened(path: str, flags: int) -> int | None:
    try:
        return os.open(path, flags | os.O_CLOEXEC)
    except OSError:
        return None
