"""The journal of submissions: what is about to be submitted, what was, and what became of it.

A line is written before and after each request, so that a submission that was interrupted at any point can be
continued: what has a line before and none after is looked for in the queue.
"""

from __future__ import annotations

import errno
import json
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["NO_ROOM", "Journal", "Progress", "State"]

NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
"""Numbers of errors that mean that a disk is full."""


@dataclass
class Progress:
    """How far the submission of a round has got."""

    jobs: dict[int, str] = field(default_factory=dict)
    """What the system calls arrays."""

    left_out: set[int] = field(default_factory=set)
    """Arrays for which there was no room."""

    releasing: bool = False
    """Whether jobs may have begun."""

    released: float | None = None
    """When all jobs were free to begin."""

    ended: int | None = None
    """What the final job has exited with."""

    trouble: str | None = None
    """Why what has to run again was not submitted."""

    waits: str | None = None
    """Why the final job waits before it submits what has to run again."""

    told: dict[str, str] = field(default_factory=dict)
    """How jobs of nodes ended, by name, as the queue showed when the round had ended; see `verdicts`."""

    added: dict[int, str | None] = field(default_factory=dict)
    """Arrays of pilots that were added while the round went on, as the system calls them if that is known."""

    @property
    def final(self) -> str | None:
        """The array with the final node, which comes last."""
        return self.jobs[max(self.jobs)] if self.jobs else None


@dataclass
class State:
    """What a journal says."""

    rounds: dict[int, Progress] = field(default_factory=dict)
    started: set[int] = field(default_factory=set)
    """Rounds that a person has asked for; the others are submitted by the final job of the one before."""

    cancelled: bool = False
    """Whether a person has cancelled the run, and it was not started since."""

    changed: float = 0.0

    @property
    def over(self) -> Progress | None:
        """The round that the run has ended with, if it has ended by itself."""
        progress, before = self.rounds.get(self.last), self.rounds.get(self.last - 1)
        if progress is None or progress.ended is not None:
            return progress
        # The final job could not submit all of the next round, and gave up.
        given_up = before is not None and before.ended is not None and self.last not in self.started
        return before if given_up and not progress.releasing else None

    @property
    def last(self) -> int:
        """Number of the last round that anything is known of; 0 if there is none."""
        return max(self.rounds, default=0)


class Journal:
    """A journal; it may be written on several machines.

    Parameters
    ----------
    path
        The file.
    """

    def __init__(self, path: Path):
        self._path = path

    def note(self, step: str, round: int = 0, **more: Any) -> None:
        """Append a line, and return when it is on disk."""
        # A line that was cut off before must not swallow this one.
        line = "\n" + json.dumps({"time": time.time(), "step": step, "round": round, **more}) + "\n"
        file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            if os.write(file, line.encode()) != len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._path))
            os.fsync(file)
        finally:
            os.close(file)

    def read(self) -> State:
        """Return what it says; a line that was cut off counts as not written."""
        state = State()
        try:
            text = self._path.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return state
        for line in text.splitlines():
            try:
                event = json.loads(line)
            except ValueError:
                continue
            _take(state, event)
        return state


def _take(state: State, event: dict[str, Any]) -> None:
    state.changed = event["time"]
    if event["step"] in ("cancelled", "started"):
        state.cancelled = event["step"] == "cancelled"
        state.started |= set() if state.cancelled else {event["round"]}
        return
    if event["step"] == "withdrawn":
        state.rounds.pop(event["round"], None)
        return
    progress = state.rounds.setdefault(event["round"], Progress())
    match event:
        case {"step": "submitting"}:
            pass
        case {"step": "submitted", "array": array, "job": job}:
            progress.jobs[array] = job
            progress.left_out.discard(array)
        case {"step": "adding", "array": array}:
            progress.added[array] = None
        case {"step": "added", "array": array, "job": job}:
            progress.added[array] = job
        case {"step": "left out", "array": array}:
            progress.left_out.add(array)
            progress.jobs.pop(array, None)
        case {"step": "releasing"}:
            progress.releasing = True
        case {"step": "released", "time": when}:
            progress.releasing, progress.released = True, when
        case {"step": "ended", "code": code}:
            progress.ended = code
        case {"step": "told", "how": how}:
            progress.told |= how
        case {"step": "waits", "why": why}:
            progress.waits = why
        case {"step": "trouble", "why": why}:
            progress.trouble = why
        case other:
            raise ValueError(f"unknown step {other}")
