"""A job event log of HTCondor's, read as it grows.

A large run has several hundred thousand events, for which the bindings take many seconds, and nearly all of them say in
their first lines all that there is to know.  So those lines, of a form that HTCondor's manual lays down, are read here,
and the bindings get the rest: what was held, and what ended in another way than well.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from enum import IntEnum
from io import BytesIO
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, BinaryIO, NamedTuple

from ...errors import PipetaskError
from .bindings import condor, says_condor

__all__ = ["BEGINNING", "EventKind", "EventLog", "JobEvent"]

_END = b"\n...\n"
_HEAD = re.compile(rb"(\d{3}) \((-?\d+)\.")
_NODE = re.compile(rb"\n    DAG Node: (\S+)")
_WELL = b"\n\t(1) Normal termination (return value 0)\n"

_CHUNK = 1 << 21
"""Bytes that are read at a time: more than any event has."""

BEGINNING = 100
"""Bytes that tell one log from another: the first event has its job's number and the time."""


class EventKind(IntEnum):
    """Kinds of events that change the state of a job, by HTCondor's numbers for them."""

    SUBMIT = 0
    EXECUTE = 1
    EVICTED = 4
    TERMINATED = 5
    ABORTED = 9
    HELD = 12
    RELEASED = 13
    POST_SCRIPT_TERMINATED = 16
    DISCONNECTED = 22
    RECONNECTED = 23
    RECONNECT_FAILED = 24


_KINDS = {b"%03d" % kind: kind for kind in EventKind}


class JobEvent(NamedTuple):
    """Something that happened to a job."""

    kind: EventKind

    cluster: int
    """The job's; negative where a node of a DAG got none."""

    node: str | None
    """The node of the DAG, where the event names it."""

    ad: Any
    """What the bindings read in it; `None`, for a job that has ended well and for what needs no more than the above."""

    @property
    def exit_code(self) -> int | None:
        """Of a job that has ended; `None` for one that was killed."""
        if self.ad is None:
            return 0
        return int(self.ad["ReturnValue"]) if self.ad.get("TerminatedNormally") else None


class EventLog:
    """A log, and how far it has been read.

    Parameters
    ----------
    path
        The file, which need not exist yet.
    """

    def __init__(self, path: Path):
        self._path = path
        self._offset = 0
        self._beginning = b""

    def begins_anew(self) -> bool:
        """Return whether the log is another than was read so far: DAGMan empties it when a run is submitted again.

        What has been read is void then, and `news` starts from the beginning.
        """
        with self._open() as file:
            beginning = file.read(BEGINNING)
        if beginning.startswith(self._beginning):
            return False
        self._offset, self._beginning = 0, b""
        return True

    def news(self) -> Iterator[JobEvent]:
        """Yield the events, of the kinds in `EventKind`, that have come since the last call.

        One that is half written comes next time.  The first and the last have an ad in any case, which has their
        times.

        Raises
        ------
        PipetaskError
            If the log cannot be read.
        """
        with self._open() as file:
            for texts in self._whole_events(file):
                yield from self._parsed(texts)

    def _open(self) -> BinaryIO:
        try:
            return self._path.open("rb")
        except FileNotFoundError:
            return BytesIO()  # nothing has happened yet
        except OSError as error:
            raise PipetaskError(
                f"{self._path} cannot be read ({error.strerror}): get permission to read the run directory."
            ) from error

    def _whole_events(self, file: BinaryIO) -> Iterator[list[bytes]]:
        while True:
            file.seek(self._offset)
            whole, end, _ = file.read(_CHUNK).rpartition(_END)
            if not end:
                return
            if self._offset == 0:
                self._beginning = (whole + end)[:BEGINNING]
            self._offset += len(whole) + len(end)
            yield whole.split(_END)

    def _parsed(self, texts: Sequence[bytes]) -> Iterator[JobEvent]:
        heads = list(map(_HEAD.match, texts))
        if None in heads:
            raise PipetaskError(
                f"{self._path} has an event that begins with {texts[heads.index(None)][:20]!r}: set HTCondor's "
                "DEFAULT_USERLOG_FORMAT_OPTIONS so that logs are written as text."
            )
        events = [
            (kind, head[2], text)
            for head, text in zip(heads, texts, strict=True)
            if head is not None and (kind := _KINDS.get(head[1])) is not None
        ]
        last = len(events) - 1
        wanted = {n for n, (kind, _, text) in enumerate(events) if n in (0, last) or _says_more(kind, text)}
        ads = iter(self._ads([events[n][2] for n in sorted(wanted)]))
        for n, (kind, cluster, text) in enumerate(events):
            yield JobEvent(kind, int(cluster), _node(kind, text), next(ads) if n in wanted else None)

    def _ads(self, texts: Sequence[bytes]) -> list[Any]:
        """Let the bindings read events; they do so only from a file."""
        with says_condor(f"{self._path} cannot be read"), NamedTemporaryFile(prefix="pipetask-") as file:
            file.writelines(text + _END for text in texts)
            file.flush()
            with condor().JobEventLog(file.name) as source:
                ads = list(source.events(stop_after=0))
        if len(ads) != len(texts):
            raise PipetaskError(
                f"HTCondor's bindings read {len(ads)} of {len(texts)} events of {self._path}: is it damaged, or does "
                "a newer HTCondor write it?"
            )
        return ads


def _says_more(kind: EventKind, text: bytes) -> bool:
    """Return whether an event has to be read whole."""
    return kind is EventKind.HELD or (kind is EventKind.TERMINATED and _WELL not in text)


def _node(kind: EventKind, text: bytes) -> str | None:
    if kind is not EventKind.SUBMIT and kind is not EventKind.POST_SCRIPT_TERMINATED:
        return None
    named = _NODE.search(text)
    return named[1].decode() if named else None
