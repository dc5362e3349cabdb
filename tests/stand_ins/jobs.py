"""Jobs of stand-ins for queueing systems, as files in a folder.

These are no batch systems, and tell nothing about how real ones behave beyond their manuals.  A command such as
``qsub`` is a short program that writes files here; a scheduler, which a test has started, runs what they say as
processes of this machine.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

__all__ = ["FOLDER_VARIABLE", "Job", "Jobs"]

FOLDER_VARIABLE = "STAND_IN_FOLDER"


@dataclass(frozen=True)
class Job:
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

    needs: list[str] = field(default_factory=list)
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
        draft.write_text(json.dumps(asdict(job)))
        draft.rename(self.folder / f"{job.key}.json")

    def all(self) -> list[Job]:
        """Return all jobs there have been, in the order of their submission."""
        found = [Job(**json.loads(path.read_text())) for path in self.folder.glob("*.json")]
        return sorted(found, key=lambda job: job.order)

    def find(self, key: str) -> Job | None:
        """Return a job that is in the queue."""
        path = self.folder / f"{key}.json"
        job = Job(**json.loads(path.read_text())) if path.exists() else None
        return None if job is None or self.is_over(job) else job

    def flag(self, key: str, what: str, text: str = "") -> None:
        """Note that something is to be done with a job, or was done."""
        draft = self.folder / f"{key}.{what}.{os.getpid()}.new"
        draft.write_text(text)
        draft.rename(self.folder / f"{key}.{what}")

    def has(self, key: str, what: str) -> bool:
        """Return whether that was noted."""
        return (self.folder / f"{key}.{what}").exists()

    def state(self, job: Job, task: int) -> str:
        """Return the state of an element: held, waits, idle, runs or over."""
        if self.has(f"{job.key}.{task}", "ended"):
            return "over"
        if self.has(f"{job.key}.{task}", "started"):
            return "runs"
        if job.held and not self.has(job.key, "released"):
            return "held"
        needs = (each for each in self.all() if each.key in job.needs)
        return "idle" if all(self.is_over(each) for each in needs) else "waits"

    def is_over(self, job: Job) -> bool:
        """Return whether all elements have ended."""
        return all(self.has(f"{job.key}.{task}", "ended") for task in job.tasks)
