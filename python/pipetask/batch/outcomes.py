"""Files of outcomes: one for each attempt at a node.  A job appends a record whenever a quantum ends.

A file begins with a line that says what it is, and in which version (`VERSION`); then come records.  A record is its
length, a checksum, and a pickled dictionary, written in one call.  So no outcome is lost when a job is killed, and a
half-written record is recognised.  The file's name contains the node's number and the nanosecond at which the attempt
began, so that attempts on different machines use different files.
"""

from __future__ import annotations

import os
import pickle
import struct
import time
import zlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import PipetaskError
from ..outcome import QuantumOutcome
from ..storage.durability import sync_files
from .outcome_record import from_record, to_record

__all__ = ["Attempt", "AttemptTails", "AttemptWriter", "attempts_by_node", "attempts_of"]

VERSION = 2
"""Of the records: a change of what a name in one means makes another version."""

_TITLE = "pipetask outcomes, version "
_FIRST_LINE = f"{_TITLE}{VERSION}\n".encode()

_HEAD = struct.Struct("<II")
_SUFFIX = ".outcomes"
_SHARD = 1000
"""Number of nodes whose files share a folder."""


@dataclass
class Attempt:
    """One attempt at a node, as far as it has got."""

    number: int
    """Number of the node."""

    path: Path
    start: float
    host: str
    memory: int | None
    """Memory that the job had requested, in megabytes."""

    exit_code: int | None = None
    """`None` if it is running or was killed."""

    outcomes: list[QuantumOutcome] = field(default_factory=list)

    lost: frozenset[int] = frozenset()
    """Ids of quanta that an earlier attempt had done, and whose files this one found lost."""


class AttemptWriter:
    """Writes the outcomes of one attempt.

    Parameters
    ----------
    folder
        Folder with all outcomes of the run.
    number
        Number of the node.
    host, memory
        Host that it runs on, and memory that the job has requested, in megabytes.
    lost
        Ids of quanta that an earlier attempt had done, and whose files are lost: they are done no more.

    Raises
    ------
    PipetaskError
        If the file cannot be written.
    """

    def __init__(self, folder: Path, number: int, host: str, memory: int | None, lost: Collection[int] = ()):
        shard = _shard(folder, number)
        path = shard / f"{number:06}-{time.time_ns():x}{_SUFFIX}"
        try:
            shard.mkdir(parents=True, exist_ok=True)
            self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644)
        except OSError as error:
            raise PipetaskError(
                f"{path} cannot be written ({error.strerror}): make room or give permission."
            ) from error
        self._path = path
        begin: dict[str, Any] = {"record": "begin", "start": time.time(), "host": host, "memory": memory}
        if lost:
            begin["lost"] = sorted(lost)
        self._write(begin, before=_FIRST_LINE)

    def outcome(self, outcome: QuantumOutcome) -> None:
        """Record how a quantum ended."""
        self._write(to_record(outcome))

    def end(self, exit_code: int) -> None:
        """Record the end of the attempt, close the file, and return when it is on disk."""
        self._write({"record": "end", "exit_code": exit_code})
        os.close(self._file)
        sync_files([str(self._path)])

    def _write(self, record: dict[str, Any], before: bytes = b"") -> None:
        body = pickle.dumps(record, protocol=5)
        content = before + _HEAD.pack(len(body), zlib.crc32(body)) + body
        try:
            if os.write(self._file, content) != len(content):
                raise OSError(28, "no space is left")
        except OSError as error:
            raise PipetaskError(
                f"{self._path} cannot be written ({error.strerror}): make room; what had ended is in it."
            ) from error


def attempts_of(folder: Path, number: int) -> list[Attempt]:
    """Read all attempts at a node, oldest first."""
    return [
        _read(path) for path in sorted(_shard(folder, number).glob(f"{number:06}-*{_SUFFIX}"), key=_began)
    ]


def attempts_by_node(folder: Path, numbers: Collection[int] | None = None) -> Iterator[list[Attempt]]:
    """Read the attempts of a run: a list for each node that has any, by number, oldest first.

    Parameters
    ----------
    folder
        Folder with all outcomes of the run.
    numbers
        The only nodes to read; all if `None`.
    """
    shards = folder.iterdir() if numbers is None else {_shard(folder, number) for number in numbers}
    for shard in sorted(shards, key=lambda shard: int(shard.name)):
        paths: dict[int, list[Path]] = {}
        for path in shard.glob(f"*{_SUFFIX}"):
            if numbers is None or _number(path) in numbers:
                paths.setdefault(_number(path), []).append(path)
        for _, attempts in sorted(paths.items()):
            yield [_read(path) for path in sorted(attempts, key=_began)]


def _shard(folder: Path, number: int) -> Path:
    return folder / f"{number // _SHARD:03}"


def _number(path: Path) -> int:
    return int(path.stem.partition("-")[0])


def _began(path: Path) -> int:
    return int(path.stem.partition("-")[2], 16)


class AttemptTails:
    """Reads files of attempts while jobs append to them.

    Parameters
    ----------
    folder
        Folder with all outcomes of the run.
    since
        Leave out attempts that began before this moment, in seconds since 1970-01-01 UTC.
    """

    def __init__(self, folder: Path, since: float = 0.0):
        self._folder = folder
        self._since = since
        self._open: dict[str, tuple[Attempt, int]] = {}
        self._closed: set[str] = set()

    def news(self) -> Iterator[tuple[Attempt, list[QuantumOutcome]]]:
        """Yield each attempt that has grown, with its new outcomes, which are not kept."""
        for shard in sorted(self._folder.iterdir()):
            for entry in os.scandir(shard):
                # One that has ended does not grow, and in the end nearly all have ended.
                if entry.name not in self._closed and entry.name.endswith(_SUFFIX):
                    yield from self._news_of(entry)

    def _news_of(self, entry: os.DirEntry[str]) -> Iterator[tuple[Attempt, list[QuantumOutcome]]]:
        attempt, offset = self._open.get(entry.name) or (_new(Path(entry.path)), 0)
        if not offset and attempt.start < self._since:
            self._closed.add(entry.name)
        elif entry.stat().st_size > offset:
            offset = _grow(attempt, offset)
            self._open[entry.name] = attempt, offset
            if attempt.exit_code is not None:
                del self._open[entry.name]
                self._closed.add(entry.name)
            fresh, attempt.outcomes = attempt.outcomes, []
            yield attempt, fresh

    def running(self) -> list[Attempt]:
        """Return the attempts that have begun and have no end record yet."""
        return [attempt for attempt, _ in self._open.values()]


def _new(path: Path) -> Attempt:
    return Attempt(_number(path), path, _began(path) / 1e9, "", None)


def _read(path: Path) -> Attempt:
    attempt = _new(path)
    _grow(attempt, 0)
    return attempt


def _grow(attempt: Attempt, offset: int) -> int:
    """Read all complete records from an offset on, and return the offset after them."""
    with attempt.path.open("rb") as file:
        file.seek(offset)
        content = file.read()
    begin = 0
    if not offset:
        if not _has_first_line(attempt.path, content):
            return 0
        begin = offset = len(_FIRST_LINE)
    for record, size in _records(content, begin):
        offset += size
        match record:
            case {"id": _}:
                attempt.outcomes.append(from_record(record, attempt.path))
            case {"record": "begin", "start": start, "host": host, "memory": memory}:
                attempt.start, attempt.host, attempt.memory = start, host, memory
                attempt.lost = frozenset(record.get("lost", ()))
            case {"record": "end", "exit_code": code}:
                attempt.exit_code = code
            case other:
                raise PipetaskError(
                    f"{attempt.path} has a record that this pipetask does not know ({list(other)}): "
                    "go on with the version of pipetask that has written the run."
                )
    return offset


def _has_first_line(path: Path, content: bytes) -> bool:
    """Return whether the first line is there; raise if it is that of another version."""
    line, end, _ = content[:100].partition(b"\n")
    if not end and _FIRST_LINE.startswith(line):
        return False  # it is being written, or its job was killed then
    if line + end == _FIRST_LINE:
        return True
    text = line.decode(errors="replace")
    version = text.removeprefix(_TITLE) if text.startswith(_TITLE) else "1 or unknown"
    raise PipetaskError(
        f"{path} has outcomes of version {version}, and this pipetask reads version {VERSION}: go on with the version "
        "of pipetask that has written the run, or write the run again with this one."
    )


def _records(content: bytes, at: int) -> Iterator[tuple[dict[str, Any], int]]:
    """Yield complete records with their sizes; stop at a damaged one, which was cut off."""
    while at + _HEAD.size <= len(content):
        length, checksum = _HEAD.unpack_from(content, at)
        body = content[at + _HEAD.size : at + _HEAD.size + length]
        if len(body) < length or zlib.crc32(body) != checksum:
            return
        yield pickle.loads(body), _HEAD.size + length
        at += _HEAD.size + length
