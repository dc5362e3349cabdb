"""The file of a bundle in a shared folder: who runs it, and what has ended."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import pickle
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...errors import reason_of
from ...outcome import QuantumOutcome
from ..process_identity import ProcessIdentity
from ..stop import StopLevel

__all__ = ["BEAT", "BundleFile", "BundleTakenError", "BundleWriter", "Watch"]

BEAT = 2.0
"""Seconds after which a process that has to give signs of life touches its file again."""


class BundleTakenError(Exception):
    """A bundle was begun before: the engine has given it out twice."""


@dataclass(frozen=True)
class BundleFile:
    """What the file of a bundle says.

    Its first record says which process runs which quanta.  Then comes an outcome for each that has ended, and at last a
    mark of the end.  The process touches the file as long as it runs the bundle.  Where there is no room for the mark,
    the file is as old as can be.
    """

    process: ProcessIdentity | None = None
    """What drives the bundle; `None` if the first record is not there or not complete."""

    quanta: tuple[bytes, ...] = ()
    """The UUIDs of its quanta."""

    outcomes: list[QuantumOutcome] = field(default_factory=list)
    ended: bool = False

    @classmethod
    def read(cls, path: Path) -> BundleFile | None:
        """Return what is in a file, up to what was being written when the writer died; `None` if it is not there.

        Parameters
        ----------
        path
            The file.
        """
        try:
            with path.open("rb") as file:
                records = list(_records(file.read()))
                is_marked = os.fstat(file.fileno()).st_mtime_ns == 0
        except OSError:
            return None
        head: dict[str, Any] = next((each for each in records if isinstance(each, dict)), {})
        process = head.get("process")
        return cls(
            None if process is None else ProcessIdentity(*process),
            tuple(head.get("quanta", ())),
            [QuantumOutcome.from_wire(each) for each in records if isinstance(each, tuple)],
            ended=is_marked or records[-1:] == [None],
        )


def _records(data: bytes) -> Iterator[Any]:
    stream = io.BytesIO(data)
    # The writer may have died in the middle of the last one, and then any of these can happen.
    with contextlib.suppress(EOFError, pickle.UnpicklingError, ValueError, IndexError, KeyError, TypeError):
        while True:
            yield pickle.load(stream)


class BundleWriter:
    """Writes the file of a bundle, while it runs.

    Each record is written in one piece, since an engine may run a bundle twice at once.  A full disk costs the record
    and not the quantum: the answer has the outcome, too.

    Parameters
    ----------
    path
        The file.
    quanta
        The UUIDs of its quanta.

    Raises
    ------
    BundleTakenError
        If another process has begun this bundle.
    """

    def __init__(self, path: Path, quanta: Sequence[bytes]):
        self._path = path
        self._file: io.FileIO | None = None
        self._is_ours = False
        self._is_revoked = False
        self._is_closed = False
        self.fault: str | None = None
        """Why something could not be written, if so."""

        head = {"process": tuple(ProcessIdentity.here()), "quanta": tuple(quanta)}
        try:
            # It is closed once, so that other machines see who runs the bundle.
            with path.open("xb", buffering=0) as file:
                self._is_ours = True
                self._write(file, head)
        except FileExistsError:
            found = BundleFile.read(path)
            if found is not None and found.process is not None:
                raise BundleTakenError(
                    f"the engine has given out again what process {found.process.pid} had begun"
                ) from None
        except OSError as error:
            self._note_fault(error)
        if self.fault is None:
            try:
                self._file = path.open("ab", buffering=0)
            except OSError as error:
                self._note_fault(error)
        if self._is_ours:
            _HEART.add(self)

    @property
    def is_first(self) -> bool:
        """Whether it is certain that the bundle has not been begun before, and will not be begun again."""
        return self._is_ours and self._file is not None

    def note(self, outcome: QuantumOutcome) -> None:
        """Write down an outcome."""
        self._note(outcome.to_wire())

    def _note(self, record: object) -> None:
        if self._file is not None and not self._write(self._file, record):
            self._close_file()  # what came behind half a record could not be read

    def _write(self, file: io.FileIO, record: object) -> bool:
        data = pickle.dumps(record, pickle.HIGHEST_PROTOCOL)
        try:
            if file.write(data) == len(data):
                return True
            self.fault = os.strerror(errno.ENOSPC)
        except OSError as error:
            self._note_fault(error)
        return False

    def _close_file(self) -> None:
        file, self._file = self._file, None
        try:
            if file is not None:
                file.close()
        except OSError as error:  # a file on another machine tells of a full disk only now
            self._note_fault(error)

    def _note_fault(self, error: OSError) -> None:
        self.fault = error.strerror or reason_of(error)

    def beat(self) -> None:
        """Give a sign of life, or notice that the bundle was given up."""
        if self._is_closed:
            return
        try:
            os.utime(self._path)
        except FileNotFoundError:
            self._is_revoked = True
        except OSError:
            pass  # a disk that does not answer for a moment

    def level(self) -> StopLevel:
        """Return whether the bundle was given up."""
        return StopLevel.KILL if self._is_revoked else StopLevel.GO_ON

    def close(self) -> None:
        """Write that it has ended."""
        self._is_closed = True
        _HEART.remove(self)
        self._note(None)
        self._close_file()
        if self._is_ours and self.fault is not None:
            with contextlib.suppress(OSError):
                os.utime(self._path, ns=(0, 0))  # this needs no room


class _Heart:
    """Lets all bundles that this process runs give signs of life, from a thread: starting a worker may take long."""

    def __init__(self) -> None:
        self._begin_anew()
        os.register_at_fork(after_in_child=self._begin_anew)

    def _begin_anew(self) -> None:
        """Have no thread: a child has none of those of its parent."""
        self._lock = threading.Lock()
        self._writers: set[BundleWriter] = set()
        self._thread: threading.Thread | None = None

    def add(self, writer: BundleWriter) -> None:
        """Let a bundle give signs of life."""
        with self._lock:
            self._writers.add(writer)
            if self._thread is None:
                self._thread = threading.Thread(target=self._go_on, daemon=True, name="pipetask-heart")
                self._thread.start()

    def remove(self, writer: BundleWriter) -> None:
        """Let a bundle give none."""
        with self._lock:
            self._writers.discard(writer)

    def _go_on(self) -> None:
        while True:
            time.sleep(BEAT)
            with self._lock:
                writers = list(self._writers)
                if not writers:
                    self._thread = None
                    return
            for writer in writers:
                writer.beat()


_HEART = _Heart()


class Watch:
    """Knows how long it is since files were touched, as this process has seen it: clocks of machines differ."""

    def __init__(self) -> None:
        self._seen: dict[Path, tuple[int, float]] = {}

    def silence(self, path: Path) -> float | None:
        """Return the seconds since a file was touched, as far as was seen; `None` if it is not there.

        Parameters
        ----------
        path
            The file.
        """
        now = time.monotonic()
        mark, since = self._seen.get(path, (-1, now))
        try:
            with path.open("rb") as file:  # by which a folder of another machine is asked anew
                touched = os.fstat(file.fileno()).st_mtime_ns
        except FileNotFoundError:
            self._seen.pop(path, None)
            return None
        except OSError:
            return now - since
        if touched != mark:
            since = now
        self._seen[path] = touched, since
        return now - since

    def forget(self, path: Path) -> None:
        """Forget a file that is not looked at any more."""
        self._seen.pop(path, None)
