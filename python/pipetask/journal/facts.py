"""What a journal says of its run as a whole: at the beginning, and at the end."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from importlib import metadata
from pathlib import Path
from typing import Any, Self

from ..executors.process_identity import boot_id, process_start

__all__ = ["RunBegin", "RunEnd"]


class _Record:
    """A dataclass as a record: fields that a reader does not know are left out, and missing ones have their default."""

    word = ""

    def to_record(self) -> dict[str, Any]:
        """Return it as a record of plain values."""
        return {"record": self.word, **asdict(self)}  # type: ignore[call-overload]

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        """Return what `to_record` was called on."""
        known = {each.name for each in fields(cls)}  # type: ignore[arg-type]
        return cls(**{name: value for name, value in record.items() if name in known})


@dataclass(frozen=True, kw_only=True)
class RunBegin(_Record):
    """What is known when a run begins; the first record of a journal."""

    word = "run"

    command: Sequence[str] = ()
    folder: str = ""
    """Working directory of the command."""

    options: Mapping[str, str] = field(default_factory=dict)
    """Options that were typed, as text, by name."""

    graph: str | None = None
    repository: str | None = None
    output_run: str | None = None
    resume: str | None = None
    """Command that goes on with the run if it ends early."""

    version: str = ""
    """Of pipetask."""

    start: float = 0.0
    """In seconds since 1970-01-01 UTC."""

    host: str = ""
    pid: int = 0
    boot: str | None = None
    """Identifies the time since the host was booted."""

    process: str | None = None
    """When the process was started, as its host counts since it was booted; process IDs are used again."""

    labels: Mapping[str, int] = field(default_factory=dict)
    """Number of quanta that take part, by label, in pipeline order."""

    dimensions: Sequence[Sequence[str]] = ()
    """Names of the required dimensions of each label."""

    @classmethod
    def here(cls, start: float, **facts: Any) -> Self:
        """Return the facts of a run of this process."""
        return cls(
            start=start,
            folder=_working_directory(),
            version=metadata.version("pipetask"),
            host=socket.gethostname(),
            pid=os.getpid(),
            boot=boot_id(),
            process=process_start(os.getpid()),
            **facts,
        )


@dataclass(frozen=True, kw_only=True)
class RunEnd(_Record):
    """How a run ended; the last record of its journal."""

    word = "end"

    end: float = 0.0
    """In seconds since 1970-01-01 UTC."""

    outcome: str = ""
    """``succeeded``, ``cancelled`` or ``failed``."""

    exit_code: int = 1
    signal: int | None = None
    stopped: str | None = None
    """Why the run was stopped early, if it was."""

    error: str | None = None
    """An error of the run itself."""

    unregistered: int = 0
    """Number of quanta whose outputs could not be registered."""

    counts: Mapping[str, int] = field(default_factory=dict)
    """Number of quanta by the word of their status."""


def _working_directory() -> str:
    try:
        return str(Path.cwd())
    except OSError:  # it was removed
        return ""
