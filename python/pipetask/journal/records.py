"""The format of journals: a first line that says what the file is, and in which version; then records.

A record is its length, a checksum, and a pickled dictionary of plain values.  So a record that was cut off, because its
writer was killed or a disk was full, is recognised, and everything before it counts.
"""

from __future__ import annotations

import io
import os
import pickle
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import PipetaskError

__all__ = [
    "FIRST_LINE",
    "VERSION",
    "Started",
    "TailOfRecords",
    "first",
    "last",
    "packed",
    "plain_loads",
]

VERSION = 3
"""Of the records: a change of what a name in one means makes another version."""

_TITLE = "pipetask journal, version "
FIRST_LINE = f"{_TITLE}{VERSION}\n".encode()

_HEAD = struct.Struct("<II")
_BEGINNING = 1 << 22
"""Bytes that are read for the first record, which has a command and the labels of a pipeline."""

_END = 1 << 14
"""Bytes that are searched for the last record."""


@dataclass(frozen=True, slots=True)
class Started:
    """A quantum that runs.  The record may be missing for quanta that run for less than a second."""

    id: int
    """Position in the enumeration of the graph."""

    attempt: int
    """Which attempt in this run this is, counted from 1."""

    start: float
    """When it started, in seconds since 1970-01-01 UTC; when it was first seen running if the former is not known."""

    host: str | None = None
    pid: int | None = None

    def to_record(self) -> dict[str, Any]:
        """Return it as a record."""
        return {
            "record": "started",
            "id": self.id,
            "attempt": self.attempt,
            "start": self.start,
            "host": self.host,
            "pid": self.pid,
        }

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> Started:
        """Return what `to_record` was called on."""
        return cls(record["id"], record["attempt"], record["start"], record["host"], record["pid"])


def packed(record: dict[str, Any]) -> bytes:
    """Return a record as it is in a file."""
    body = pickle.dumps(record, protocol=5)
    return _HEAD.pack(len(body), zlib.crc32(body)) + body


def plain_loads(body: bytes) -> Any:
    """Unpickle plain values only: a journal may be another user's, and must not make this process run anything."""
    return _PlainUnpickler(io.BytesIO(body)).load()


class _PlainUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError(f"{module}.{name} is no plain value")


class TailOfRecords:
    """Reads records from a file that may still be growing.

    Parameters
    ----------
    path
        The file.
    loads
        Unpickles the body of a record.
    """

    def __init__(self, path: Path, loads: Callable[[bytes], Any] = pickle.loads):
        self.path = path
        self.offset = 0
        """Bytes that have been read, up to the end of the last complete record."""
        self._loads = loads

    def news(self) -> Iterator[dict[str, Any]]:
        """Yield the complete records that are new since the last call.

        Raises
        ------
        PipetaskError
            If the file is of another version.
        OSError
            If it cannot be read.
        """
        with self.path.open("rb") as file:
            file.seek(self.offset)
            content = file.read()
        at = 0
        if not self.offset:
            if not _has_first_line(self.path, content):
                return
            at = self.offset = len(FIRST_LINE)
        before = self.offset - at
        for begin, end in _bodies(content, at):
            self.offset = before + end
            yield self._loads(content[begin:end])


def first(path: Path) -> dict[str, Any] | None:
    """Return the first record of a journal, without reading all of it; `None` if it is not complete.

    Raises
    ------
    PipetaskError
        If the file is of another version.
    OSError
        If it cannot be read.
    """
    with path.open("rb") as file:
        content = file.read(_BEGINNING)
    place = next(_bodies(content, len(FIRST_LINE)), None) if _has_first_line(path, content) else None
    return None if place is None else plain_loads(content[slice(*place)])


def last(path: Path, loads: Callable[[bytes], Any] = plain_loads) -> dict[str, Any] | None:
    """Return the last record of a journal, without reading all of it; `None` if it is not complete, or is a large one.

    Parameters
    ----------
    path
        The journal.
    loads
        Unpickles the body of the record.

    Raises
    ------
    OSError
        If it cannot be read.
    """
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(len(FIRST_LINE), size - _END))
        content = file.read()
    for at in range(len(content) - _HEAD.size, -1, -1):
        length, checksum = _HEAD.unpack_from(content, at)
        body = content[at + _HEAD.size :]
        if length == len(body) and zlib.crc32(body) == checksum:
            return loads(body) if body else None
    return None


def _bodies(content: bytes, at: int) -> Iterator[tuple[int, int]]:
    """Yield where complete records begin and end, up to one that is being written or was cut off."""
    while (begin := at + _HEAD.size) <= len(content):
        length, checksum = _HEAD.unpack_from(content, at)
        at = begin + length
        if at > len(content) or zlib.crc32(memoryview(content)[begin:at]) != checksum:
            return
        yield begin, at


def _has_first_line(path: Path, content: bytes) -> bool:
    """Return whether the first line is there; raise if it is that of another version."""
    line, end, _ = content[:100].partition(b"\n")
    if not end and FIRST_LINE.startswith(line):
        return False  # it is being written, or its writer was killed then
    if line + end == FIRST_LINE:
        return True
    text = line.decode(errors="replace")
    version = text.removeprefix(_TITLE) if text.startswith(_TITLE) else "1, 2 or unknown"
    raise PipetaskError(
        f"{path} has outcomes of version {version}, and this pipetask reads version {VERSION}: go on with the version "
        "of pipetask that has written the run, or write the run again with this one."
    )
