"""What is in the folder that the local batch system has in a run directory."""

from __future__ import annotations

import fcntl
import json
import os
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .losses import Loss, LossKind

__all__ = ["Journal", "RunSettings", "acquire"]

FOLDER = "local"

_PATIENCE = 30.0
"""Seconds in which a process number is written after the lock was taken."""


@dataclass(frozen=True)
class RunSettings:
    """How the nodes of a run are run."""

    slots: int
    """Nodes that run at the same time."""

    attempts: int
    """Most attempts at a node in one submission."""

    memory: int
    """Megabytes that a job asks for at first."""

    walltime: float | None
    """Seconds that a job may take at first."""

    losses: tuple[Loss, ...]
    first: bool
    """Whether there is a node before all others."""

    shared: bool
    """Whether jobs run in the run directory; otherwise each has a copy of what it needs."""

    parts: Mapping[str, str]
    """Name of the part of the graph that a node's job needs, where they do not."""

    pilots: int = 0
    """Number of pilots; 0 if each node has a job."""


class Journal:
    """The folder: settings, what happens as lines of JSON, and a lock that the driver holds as long as it lives.

    Parameters
    ----------
    run_directory
        The run directory, or its draft.
    """

    def __init__(self, run_directory: Path):
        self.folder = run_directory / FOLDER
        self.lock = self.folder / "lock"
        self._settings = self.folder / "settings.json"
        self._events = self.folder / "events.jsonl"
        self._offset = 0

    def create(self, settings: RunSettings) -> None:
        """Make the folder."""
        self.added.mkdir(parents=True)
        content = asdict(settings)
        content["losses"] = [{**asdict(loss), "kind": loss.kind.value} for loss in settings.losses]
        self._settings.write_text(json.dumps(content, indent=1))
        self.lock.touch()
        self._events.touch()

    @property
    def added(self) -> Path:
        """The folder with requests for more pilots."""
        return self.folder / "added"

    def add_pilot(self, memory: int | None) -> None:
        """Ask for one more, with so many megabytes if they are given."""
        name = uuid.uuid4().hex
        draft = self.folder / f"added-{name}"
        draft.write_text("" if memory is None else str(memory))
        draft.rename(self.added / name)  # the driver may look at any moment

    def settings(self) -> RunSettings:
        """Read the settings."""
        content = json.loads(self._settings.read_text())
        losses = [Loss(**{**each, "kind": LossKind(each["kind"])}) for each in content.pop("losses")]
        return RunSettings(**content, losses=tuple(losses))

    def note(self, **event: Any) -> None:
        """Write down that something has happened."""
        line = json.dumps({"time": time.time(), **event}) + "\n"
        with self._events.open("a", encoding="utf-8") as events:
            events.write(line)

    def news(self) -> Iterator[dict[str, Any]]:
        """Yield what has been written down since the last call."""
        with self._events.open("rb") as events:
            events.seek(self._offset)
            for line in events:
                if not line.endswith(b"\n"):
                    return  # the rest of it comes later
                self._offset += len(line)
                yield json.loads(line)

    def is_driven(self) -> bool:
        """Return whether there is a process that runs nodes."""
        with acquire(self.lock, fcntl.LOCK_SH) as lock:
            return lock is None

    def process(self) -> int:
        """Return the number of the process that runs nodes, or did so last."""
        deadline = time.monotonic() + _PATIENCE
        while not (text := self.lock.read_text().strip()) and time.monotonic() < deadline:
            time.sleep(0.01)  # it has just been started, and its number is about to be written
        return int(text)


@contextmanager
def acquire(path: Path, how: int = fcntl.LOCK_EX, patience: float = 0.0) -> Iterator[int | None]:
    """Try to lock a file, and yield its descriptor, or `None` if another process keeps the lock.

    A process that inherits the descriptor keeps the lock until it ends.

    Parameters
    ----------
    path
        The file.
    how
        Exclusively, or with others.
    patience
        Seconds to go on trying.
    """
    descriptor = os.open(path, os.O_RDWR)
    try:
        deadline = time.monotonic() + patience
        while not (locked := _lock(descriptor, how)) and time.monotonic() < deadline:
            time.sleep(0.01)
        yield descriptor if locked else None
    finally:
        os.close(descriptor)


def _lock(descriptor: int, how: int) -> bool:
    try:
        fcntl.flock(descriptor, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
