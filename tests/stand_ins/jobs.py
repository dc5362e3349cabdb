"""Jobs of stand-ins for queueing systems, as files in a folder.

These are no batch systems, and tell nothing about how real ones behave beyond their manuals.  A command such as
``qsub`` is a short program that writes files here; a scheduler, which a test has started, runs what they say as
processes of this machine.

Commands are called several times a second, so what they import is little.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

__all__ = ["FOLDER_VARIABLE", "Job", "Jobs"]

FOLDER_VARIABLE = "STAND_IN_FOLDER"


class Job(NamedTuple):
    """A job, or an array of them."""

    key: str
    """What the files of the job are called."""

    name: str
    script: str
    cwd: str
    out: str
    """Where its output goes; for arrays with ``{task}`` in it."""

    err: str | None = None
    """`None` if both go to the same file."""

    stats: str | None = None
    count: int | None = None
    """Number of elements; `None` if it is no array."""

    needs: tuple[str, ...] = ()
    """What it waits for, if that was not changed later."""

    held: bool = False
    mark: str = ""
    """The value of a variable that the listing shows."""

    seconds: float = 3600.0
    order: int = 0

    @property
    def tasks(self) -> range:
        """The indices of its elements."""
        return range(1 if self.count is None else self.count)


class Jobs:
    """The folder with all jobs."""

    def __init__(self, folder: Path):
        self.folder = folder / "jobs"
        self.folder.mkdir(exist_ok=True)
        self._known: dict[str, Job] = {}

    @classmethod
    def here(cls) -> Jobs:
        """Return those of the stand-in that a command belongs to."""
        return cls(Path(os.environ[FOLDER_VARIABLE]))

    @contextmanager
    def counted(self) -> Iterator[int]:
        """Yield another number at each call, to one process at a time."""
        with (self.folder / "count").open("a+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0)
            number = int(file.read() or "0") + 1
            yield number
            file.truncate(0)
            file.write(str(number))
            file.flush()

    def add(self, job: Job) -> None:
        """Put a job into the queue."""
        draft = self.folder / f"{job.key}.new"
        draft.write_text(json.dumps(job))
        draft.rename(self.folder / f"{job.key}.json")

    def all(self) -> list[Job]:
        """Return all jobs there have been, in the order of their submission."""
        keys = (path.stem for path in self.folder.iterdir() if path.suffix == ".json")
        return sorted(map(self._read, keys), key=lambda job: job.order)

    def _read(self, key: str) -> Job:
        if key not in self._known:
            self._known[key] = Job(*json.loads((self.folder / f"{key}.json").read_text()))
        return self._known[key]

    def find(self, key: str) -> Job | None:
        """Return a job that is in the queue."""
        if not self.has(key, "json"):
            return None
        job = self._read(key)
        return None if self.is_over(job) else job

    def flag(self, key: str, what: str, text: str = "") -> None:
        """Note that something is to be done with a job, or was done."""
        draft = self.folder / f"{key}.{what}.{os.getpid()}.new"
        draft.write_text(text)
        draft.rename(self.folder / f"{key}.{what}")

    def has(self, key: str, what: str) -> bool:
        """Return whether that was noted."""
        return (self.folder / f"{key}.{what}").exists()

    def text(self, key: str, what: str) -> str:
        """Return what was noted with it; empty if it was not."""
        path = self.folder / f"{key}.{what}"
        return path.read_text() if path.exists() else ""

    def needs(self, job: Job) -> list[str]:
        """Return what a job waits for."""
        return self.text(job.key, "needs").split() if self.has(job.key, "needs") else list(job.needs)

    def state(self, job: Job, task: int) -> str:
        """Return the state of an element: held, waits, idle, runs or over."""
        if self.has(f"{job.key}.{task}", "ended"):
            return "over"
        if self.has(f"{job.key}.{task}", "started"):
            return "runs"
        if job.held and not self.has(job.key, "released"):
            return "held"
        return "idle" if all(self.is_over(self._read(key)) for key in self.needs(job)) else "waits"

    def is_over(self, job: Job) -> bool:
        """Return whether all elements have ended."""
        return all(self.has(f"{job.key}.{task}", "ended") for task in job.tasks)

    def was_deleted(self, job: Job, task: int) -> bool:
        """Return whether somebody has asked for the end of an element, or of all."""
        return self.has(job.key, "deleted") or self.has(f"{job.key}.{task}", "deleted")
