"""Files of outcomes: one for each attempt at a node.  A job appends a record whenever a quantum ends.

The files are journals (see `pipetask.journal.records`).  Each record is written in one call, so no outcome is lost when
a job is killed.  The file's name contains the node's number and the nanosecond at which the attempt began, so that
attempts on different machines use different files.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Collection, Container, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import PipetaskError
from ..journal.outcome_record import from_record, to_record
from ..journal.records import FIRST_LINE, Started, TailOfRecords, packed
from ..outcome import QuantumOutcome
from ..storage.durability import sync_files

__all__ = [
    "Attempt",
    "AttemptTails",
    "AttemptWriter",
    "attempt_files",
    "attempt_of",
    "attempts_by_node",
    "attempts_of",
    "span",
]

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

    running: dict[int, Started] = field(default_factory=dict)
    """What has started and has no outcome yet, by id; quanta that end soon are not recorded when they start."""

    @property
    def began(self) -> int:
        """When it began, in nanoseconds since 1970-01-01 UTC, as the name of its file says."""
        return _began(self.path)


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
        self._ended: set[int] = set()
        self._lock = threading.Lock()
        begin: dict[str, Any] = {"record": "begin", "start": time.time(), "host": host, "memory": memory}
        if lost:
            begin["lost"] = sorted(lost)
        self._write(begin, before=FIRST_LINE)

    def outcome(self, outcome: QuantumOutcome) -> None:
        """Record how a quantum ended."""
        with self._lock:
            self._ended.add(outcome.id)
            self._write(to_record(outcome))

    def started(self, started: Started) -> None:
        """Record that a quantum runs; another thread may do that, after the quantum has ended."""
        with self._lock:
            if started.id not in self._ended:
                self._write(started.to_record())

    def end(self, exit_code: int) -> None:
        """Record the end of the attempt, close the file, and return when it is on disk."""
        self._write({"record": "end", "exit_code": int(exit_code)})
        os.close(self._file)
        sync_files([str(self._path)])

    def _write(self, record: dict[str, Any], before: bytes = b"") -> None:
        content = before + packed(record)
        try:
            if os.write(self._file, content) != len(content):
                raise OSError(28, "no space is left")
        except OSError as error:
            raise PipetaskError(
                f"{self._path} cannot be written ({error.strerror}): make room; what had ended is in it."
            ) from error


def attempt_files(folder: Path, known: Container[str] = ()) -> Iterator[os.DirEntry[str]]:
    """Iterate over the files of a run's attempts.

    Parameters
    ----------
    folder
        Folder with all outcomes of the run.
    known
        Names of files to leave out.
    """
    for shard in sorted(folder.iterdir()):
        for entry in os.scandir(shard):
            if entry.name not in known and entry.name.endswith(_SUFFIX):
                yield entry


def attempt_of(name: str) -> tuple[int, int]:
    """Return the number of the node, and the nanosecond at which the attempt began, from the name of its file."""
    path = Path(name)
    return _number(path), _began(path)


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


def span(folder: Path) -> tuple[float, float] | None:
    """Return when the first attempt began, and when any was last written to, without reading one; `None` without any.

    Parameters
    ----------
    folder
        Folder with all outcomes of the run.
    """
    paths = list(folder.glob(f"*/*{_SUFFIX}"))
    if not paths:
        return None
    return min(map(_began, paths)) / 1e9, max(path.stat().st_mtime for path in paths)


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
    """

    def __init__(self, folder: Path):
        self._folder = folder
        self._open: dict[str, _AttemptReader] = {}
        self._closed: set[str] = set()
        self._newest: dict[int, int] = {}

    def news(self) -> Iterator[tuple[Attempt, list[QuantumOutcome]]]:
        """Yield each attempt that has grown, with its new outcomes, which are not kept."""
        # One that has ended does not grow, and in the end nearly all have ended.
        for entry in attempt_files(self._folder, known=self._closed):
            yield from self._news_of(entry)

    def _news_of(self, entry: os.DirEntry[str]) -> Iterator[tuple[Attempt, list[QuantumOutcome]]]:
        reader = self._open.get(entry.name) or _AttemptReader(Path(entry.path))
        attempt = reader.attempt
        if entry.stat().st_size > reader.offset:
            reader.read()
            self._newest[attempt.number] = max(self._newest.get(attempt.number, 0), _began(attempt.path))
            self._open[entry.name] = reader
            if attempt.exit_code is not None:
                del self._open[entry.name]
                self._closed.add(entry.name)
            fresh, attempt.outcomes = attempt.outcomes, []
            yield attempt, fresh

    def running(self) -> list[Attempt]:
        """Return the attempts that have begun, have no end record, and were not followed by another.

        One that was followed by another was killed, although nothing in its file says so.
        """
        attempts = (reader.attempt for reader in self._open.values())
        return [each for each in attempts if _began(each.path) == self._newest[each.number]]


def _read(path: Path) -> Attempt:
    reader = _AttemptReader(path)
    reader.read()
    return reader.attempt


class _AttemptReader:
    """Reads one attempt as far as it has got."""

    def __init__(self, path: Path):
        self.attempt = Attempt(_number(path), path, _began(path) / 1e9, "", None)
        self._tail = TailOfRecords(path)

    @property
    def offset(self) -> int:
        return self._tail.offset

    def read(self) -> None:
        """Add what is new."""
        for record in self._tail.news():
            self._add(record)

    def _add(self, record: dict[str, Any]) -> None:
        attempt = self.attempt
        match record:
            case {"record": "started"}:
                started = Started.from_record(record)
                attempt.running[started.id] = started
            case {"id": id}:
                attempt.running.pop(id, None)
                attempt.outcomes.append(from_record(record, attempt.path))
            case {"record": "begin", "start": start, "host": host, "memory": memory}:
                attempt.start, attempt.host, attempt.memory = start, host, memory
                attempt.lost = frozenset(record.get("lost", ()))
            case {"record": "end", "exit_code": code}:
                attempt.exit_code = code
                attempt.running.clear()
            case other:
                raise PipetaskError(
                    f"{attempt.path} has a record that this pipetask does not know ({list(other)}): "
                    "go on with the version of pipetask that has written the run."
                )
