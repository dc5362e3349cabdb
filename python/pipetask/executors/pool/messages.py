"""What foreman and workers say to each other.

Orders go through a `multiprocessing` connection.  Tokens are four bytes each.  Results are frames: who wrote it (a
process ID) and the length, four bytes each, then a pickle.
"""

from __future__ import annotations

import os
import pickle
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from ...outcome import QuantumError, QuantumOutcome
from ...runner import Ticket
from ...runner.process_state import LeftBehind

__all__ = [
    "TOKEN",
    "Bundle",
    "ForeignBytesError",
    "FrameBuffer",
    "InDebugger",
    "Order",
    "Ready",
    "Report",
    "StartFailure",
    "Stop",
    "Unreadable",
    "Untidy",
    "frame",
]

TOKEN = struct.Struct("=I")
"""A token: the id of a quantum."""

_HEADER = struct.Struct("=II")

_LONGEST = 1 << 28
"""Bytes of a frame; no outcome is nearly as long."""


class ForeignBytesError(Exception):
    """What came out of a worker's pipe is nothing that the worker has written."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """Order: these are yours to run, as far as you get their tokens; the tokens come in this order."""

    tickets: list[Ticket]


@dataclass(frozen=True, slots=True)
class Stop:
    """Order: finish."""


Order = Bundle | Stop


@dataclass(frozen=True, slots=True)
class Ready:
    """Report: the runner is open."""


@dataclass(frozen=True, slots=True)
class InDebugger:
    """Report: the quantum that runs has failed, and is looked at, which may take any time."""

    error: QuantumError


@dataclass(frozen=True, slots=True)
class StartFailure:
    """Report: the runner could not be opened."""

    error: QuantumError


@dataclass(frozen=True, slots=True)
class Untidy:
    """Report: the quantum whose outcome follows has left something behind; if it stays, the worker ends itself."""

    id: int
    left: LeftBehind


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Stands for something that came out of a worker's pipe and is no report."""


Report = Ready | InDebugger | StartFailure | Untidy | Unreadable | QuantumOutcome


def frame(report: Report) -> bytes:
    """Return a report as it goes through the results pipe."""
    content = report.to_wire() if isinstance(report, QuantumOutcome) else report
    body = pickle.dumps(content, pickle.HIGHEST_PROTOCOL)
    return _HEADER.pack(os.getpid(), len(body)) + body


class FrameBuffer:
    """Puts the bytes that come from a pipe together to reports.

    Parameters
    ----------
    writer
        The process that may write into the pipe.
    unpack
        Whether to unpack outputs of quanta; otherwise they can be passed on only.
    """

    def __init__(self, writer: int, *, unpack: bool = True) -> None:
        self._writer = writer
        self._unpack = unpack
        self._bytes = bytearray()

    def feed(self, data: bytes) -> Iterator[Report]:
        """Add bytes; yield the reports that are complete.

        Raises
        ------
        ForeignBytesError
            If they are no reports of this writer.
        """
        buffer = self._bytes
        buffer += data
        start = 0
        with memoryview(buffer) as view:
            while (body := start + _HEADER.size) <= len(buffer):
                writer, length = _HEADER.unpack_from(view, start)
                if writer != self._writer or length > _LONGEST:
                    raise ForeignBytesError
                if body + length > len(buffer):
                    break
                yield _report(view[body : body + length], self._unpack)
                start = body + length
        del buffer[:start]


def _report(body: memoryview, unpack: bool) -> Report:
    try:
        content = pickle.loads(body)
        return QuantumOutcome.from_wire(content, unpack=unpack) if type(content) is tuple else content
    except Exception as error:  # bytes that a task has written can raise anything here
        raise ForeignBytesError from error
