"""Work for quanta of tests: it writes down that it was done, and misbehaves where it is told to."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

__all__ = ["Misbehaviour", "NotedWork"]


class Misbehaviour(Enum):
    """What a quantum does besides."""

    FAIL = "fail"
    """Raise an error each time."""

    FAIL_UNTIL_MENDED = "fail until mended"
    """Raise an error until `NotedWork.mend` has been called."""

    HANG_UNTIL_MENDED = "hang until mended"
    """Take until `NotedWork.mend` has been called."""

    KILL_PROCESS_ONCE = "kill process once"
    """Kill the process that runs it, the first time."""

    RUN_OUT_OF_MEMORY_ONCE = "run out of memory once"
    """Raise `MemoryError`, the first time."""


@dataclass(frozen=True)
class NotedWork:
    """A function for `~pipetask.testing.CallSpec` that notes in files when a quantum begins and ends.

    Parameters
    ----------
    folder
        Where to write; every process has to see it.
    misbehaviours
        What some quanta do besides, by id.
    """

    folder: Path
    misbehaviours: Mapping[int, Misbehaviour] = field(default_factory=dict)

    def __call__(self, id: int) -> None:
        """Do the work of a quantum."""
        with self._beginnings(id).open("a") as file:
            file.write(f"{time.time()}\n")
        if (misbehaviour := self.misbehaviours.get(id)) is not None:
            self._misbehave(misbehaviour, self.attempts(id))
        self._end(id).write_text(f"{time.time()}")

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
                raise ValueError("it misbehaves")
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
