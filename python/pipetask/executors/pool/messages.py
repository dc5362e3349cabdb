"""What foreman and workers say to each other.

Orders go through a `multiprocessing` connection.  Tokens are four bytes each.  Results are frames: four bytes of
length, then a pickle.
"""

from __future__ import annotations

import pickle
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from ...outcome import QuantumError, QuantumOutcome
from ...runner import Ticket

__all__ = [
    "TOKEN",
    "Bundle",
    "FrameBuffer",
    "InDebugger",
    "Order",
    "Ready",
    "Report",
    "StartFailure",
    "Stop",
    "frame",
]

TOKEN = struct.Struct("=I")
"""A token: the id of a quantum."""

_LENGTH = struct.Struct("=I")


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
    """Report: the quantum that runs has failed and is looked at, which may take any time."""


@dataclass(frozen=True, slots=True)
class StartFailure:
    """Report: the runner could not be opened."""

    error: QuantumError


Report = Ready | InDebugger | StartFailure | QuantumOutcome


def frame(report: Report) -> bytes:
    """Return a report as it goes through the results pipe."""
    content = report.to_wire() if isinstance(report, QuantumOutcome) else report
    body = pickle.dumps(content, pickle.HIGHEST_PROTOCOL)
    return _LENGTH.pack(len(body)) + body


class FrameBuffer:
    """Puts the bytes that come from a pipe together to reports."""

    def __init__(self) -> None:
        self._bytes = bytearray()

    def feed(self, data: bytes) -> Iterator[Report]:
        """Add bytes; yield the reports that are complete."""
        buffer = self._bytes
        buffer += data
        start = 0
        with memoryview(buffer) as view:
            while start + 4 <= len(buffer):
                end = start + 4 + _LENGTH.unpack_from(view, start)[0]
                if end > len(buffer):
                    break
                content = pickle.loads(view[start + 4 : end])
                yield QuantumOutcome.from_wire(content) if type(content) is tuple else content
                start = end
        del buffer[:start]
