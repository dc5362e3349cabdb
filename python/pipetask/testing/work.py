"""Work for quanta of tests: it writes down that it was done, and misbehaves where it is told to."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

__all__ = ["Misbehaviour", "NotedWork", "TalkingWork", "UnpicklableError"]


class Misbehaviour(Enum):
    """What a quantum does besides."""

    FAIL = "fail"
    """Raise an error each time; it has a cause."""

    FAIL_TWICE = "fail twice"
    """Raise an error at the first two attempts."""

    FAIL_UNTIL_MENDED = "fail until mended"
    """Raise an error until `NotedWork.mend` has been called."""

    HANG_UNTIL_MENDED = "hang until mended"
    """Take until `NotedWork.mend` has been called."""

    KILL_PROCESS_ONCE = "kill process once"
    """Kill the process that runs it, the first time."""

    RUN_OUT_OF_MEMORY_ONCE = "run out of memory once"
    """Raise `MemoryError`, the first time."""

    RAISE_UNPICKLABLE = "raise an exception that can neither be pickled nor printed"
    RAISE_HUGE = "raise an exception with 50 MB of text"
    EXIT = "call sys.exit"
    RAISE_INTERRUPT = "raise KeyboardInterrupt"
    CATCH_INTERRUPT = "raise KeyboardInterrupt, and catch it"
    LOG_MUCH = "log 20 MB"


class UnpicklableError(Exception):
    """Cannot go through a pickle, and cannot be printed either."""

    def __init__(self) -> None:
        super().__init__(threading.Lock())

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("no pickle of this exception")

    def __str__(self) -> str:
        raise ValueError("no text of this exception")


@dataclass(frozen=True)
class NotedWork:
    """A function for `~pipetask.testing.CallSpec` that notes in files when a quantum begins and ends.

    Parameters
    ----------
    folder
        Where to write; every process has to see it.
    misbehaviours
        What some quanta do besides, by id.
    seconds
        How long each quantum takes besides, in seconds.
    """

    folder: Path
    misbehaviours: Mapping[int, Misbehaviour] = field(default_factory=dict)
    seconds: float = 0.0

    def __call__(self, id: int) -> None:
        """Do the work of a quantum."""
        with self._beginnings(id).open("a") as file:
            file.write(f"{time.time()}\n")
        if (misbehaviour := self.misbehaviours.get(id)) is not None:
            self._misbehave(misbehaviour, self.attempts(id))
        time.sleep(self.seconds)
        # In one piece, as tests wait for the file and read it at once.
        draft = self.folder / f"{id}.ended.{os.getpid()}"
        draft.write_text(f"{time.time()}")
        draft.replace(self._end(id))

    def started(self) -> set[int]:
        """Return the ids of the quanta that have begun."""
        return {int(path.stem) for path in self.folder.glob("*.begun")}

    def mend(self) -> None:
        """Let what misbehaves until then behave."""
        (self.folder / "mended").touch()

    def attempts(self, id: int) -> int:
        """Return how often a quantum has begun."""
        path = self._beginnings(id)
        return len(path.read_text().splitlines()) if path.exists() else 0

    def began(self, id: int) -> float:
        """Return when a quantum began last, in seconds since 1970-01-01 UTC."""
        return float(self._beginnings(id).read_text().splitlines()[-1])

    def ended(self, id: int) -> float | None:
        """Return when a quantum ended well, if it did."""
        path = self._end(id)
        return float(path.read_text()) if path.exists() else None

    def _beginnings(self, id: int) -> Path:
        return self.folder / f"{id}.begun"

    def _end(self, id: int) -> Path:
        return self.folder / f"{id}.ended"

    def _misbehave(self, misbehaviour: Misbehaviour, attempt: int) -> None:
        mended = self.folder / "mended"
        match misbehaviour:
            case Misbehaviour.FAIL:
                _fail_with_cause()
            case Misbehaviour.FAIL_TWICE:
                if attempt <= 2:
                    raise ValueError(f"attempt {attempt}")
            case Misbehaviour.FAIL_UNTIL_MENDED:
                if not mended.exists():
                    raise ValueError("it is not mended")
            case Misbehaviour.HANG_UNTIL_MENDED:
                while not mended.exists():
                    time.sleep(0.05)
            case Misbehaviour.KILL_PROCESS_ONCE:
                if attempt == 1:
                    os.kill(os.getpid(), signal.SIGKILL)
            case Misbehaviour.RUN_OUT_OF_MEMORY_ONCE:
                if attempt == 1:
                    raise MemoryError
            case strange:
                _be_strange(strange)


def _fail_with_cause() -> None:
    try:
        raise KeyError("cause")
    except KeyError as cause:
        raise ValueError("it misbehaves") from cause


def _be_strange(misbehaviour: Misbehaviour) -> None:
    match misbehaviour:
        case Misbehaviour.RAISE_UNPICKLABLE:
            raise UnpicklableError
        case Misbehaviour.RAISE_HUGE:
            raise ValueError("x" * 50_000_000)
        case Misbehaviour.EXIT:
            sys.exit(7)
        case Misbehaviour.RAISE_INTERRUPT:
            raise KeyboardInterrupt
        case Misbehaviour.CATCH_INTERRUPT:
            with contextlib.suppress(KeyboardInterrupt):
                raise KeyboardInterrupt
        case Misbehaviour.LOG_MUCH:
            for _ in range(2000):
                _LOG.error("y" * 10_000)
        case other:
            raise AssertionError(f"what does {other} do?")


_LOG = logging.getLogger(__name__)

_talking: set[int] = set()
_others = threading.Condition()
_waited: set[Path] = set()
"""Folders of runs in which a quantum of this process has waited for another one."""


@dataclass(frozen=True)
class TalkingWork:
    """A function for `~pipetask.testing.CallSpec` that logs, and meanwhile waits for other quanta in its process.

    Parameters
    ----------
    folder
        A folder for each run.
    patience
        Seconds that the first quantum of a process waits for another one to begin in the same process.
    """

    folder: Path
    patience: float

    def __call__(self, id: int) -> None:
        """Log, wait, and log."""
        _LOG.error("quantum %d begins", id)
        with _others:
            _talking.add(id)
            _others.notify_all()
            try:
                _others.wait_for(lambda: self.folder in _waited or len(_talking) > 1, self.patience)
                _waited.add(self.folder)
            finally:
                _talking.remove(id)
        _LOG.error("quantum %d ends", id)
