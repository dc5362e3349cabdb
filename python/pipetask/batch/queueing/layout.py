"""Where the files of a queueing system are in a run directory."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

__all__ = ["ASKED", "Layout", "RunRecord", "number_of"]

ASKED = "asked"


def number_of(job: str) -> str:
    """Return the number in what a system calls a job; it names the job's files."""
    return job[: len(job) - len(job.lstrip("0123456789"))]


@dataclass(frozen=True)
class RunRecord:
    """What does not change in a run; stored as JSON."""

    id: str
    name: str
    """Of its jobs."""

    first: bool
    """Whether there is a node before all others."""

    environment: dict[str, str] = field(default_factory=dict)
    """Variables that were there when the run was written, and are passed on."""


@dataclass(frozen=True)
class Layout:
    """Names of the files in a run directory that belong to a queueing system."""

    run_directory: Path
    system: str
    """Name of the system, which is that of its folder."""

    @property
    def folder(self) -> Path:
        """The folder for all of this."""
        return self.run_directory / self.system

    @property
    def configuration(self) -> Path:
        """The settings that hold for this run."""
        return self.folder / f"{self.system}.yaml"

    @property
    def journal(self) -> Path:
        """What was submitted, and what became of it."""
        return self.folder / "journal.jsonl"

    @property
    def lock(self) -> Path:
        """Locked by the one process that submits."""
        return self.folder / "lock"

    @property
    def absent(self) -> Path:
        """When it was first seen that nothing is in the queue."""
        return self.folder / "absent"

    @property
    def logs(self) -> Path:
        """Standard output and error of jobs, by the numbers that the system gave to them."""
        return self.folder / "logs"

    def round(self, number: int) -> Path:
        """The folder with the arrays of a round."""
        return self.folder / f"round-{number:03}"

    def error_file(self, job: str, task: int) -> Path:
        """The standard error of an element."""
        return self.logs / f"{number_of(job)}_{task}.err"

    def asked(self, job: str, task: int) -> Path:
        """What an element asks for that has put itself back into the queue: megabytes, minutes, how often."""
        return self.folder / ASKED / f"{number_of(job)}_{task}"

    def record(self) -> RunRecord:
        """Read what does not change."""
        return RunRecord(**json.loads((self.folder / "run.json").read_text(encoding="utf-8")))

    def write_record(self, record: RunRecord) -> None:
        """Write what does not change."""
        text = json.dumps(asdict(record), indent=1)
        (self.folder / "run.json").write_text(text + "\n", encoding="utf-8")
