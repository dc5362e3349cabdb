"""What Slurm's queue says of the jobs of a run.

An element of an array is known by the number of its array and its own index.  Numbers come again after a crash of the
controller, so a job counts as ours only by its comment.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from .client import call

__all__ = ["Element", "comment", "look", "number_of_jobs"]

_ENDED = {
    "BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED", "REVOKED",
    "TIMEOUT",
}  # fmt: skip
_WAITS = {"PENDING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "SPECIAL_EXIT", "RESV_DEL_HOLD"}
_COMMENT = re.compile(r"pipetask (?P<run>\S+) (?P<round>\d+) (?P<array>\d+)")


@dataclass(frozen=True, slots=True)
class Element:
    """An element of an array, as Slurm knows it."""

    job: str
    """Number of the array."""

    task: int
    round: int
    array: int
    """Number of the array in its round."""

    state: str
    reason: str

    @property
    def is_over(self) -> bool:
        """Whether it has ended and will not start again."""
        return self.state in _ENDED

    @property
    def waits(self) -> bool:
        """Whether it does not run yet."""
        return self.state in _WAITS

    @property
    def id(self) -> str:
        """What commands of Slurm call it; never by its own number, which may be that of the whole array."""
        return f"{self.job}_{self.task}"


def comment(run: str, round: int, array: int) -> str:
    """Return the comment of the jobs of an array."""
    return f"pipetask {run} {round} {array}"


def look(name: str, run: str, patience: float) -> list[Element]:
    """Return all elements of a run that Slurm still knows.

    Parameters
    ----------
    name
        The name of its jobs.
    run
        The run's id.
    patience
        Seconds that Slurm may take.

    Raises
    ------
    pipetask.errors.PipetaskError
        If Slurm does not answer.
    """
    words = ["-h", "-r", "-a", "-t", "all", "-n", name, "-o", "%F|%K|%T|%k|%r"]
    return list(_elements(call("squeue", words, patience=patience).splitlines(), run))


def _elements(lines: Iterable[str], run: str) -> Iterator[Element]:
    for line in lines:
        job, task, state, text, reason = (*line.split("|", 4), "", "", "", "")[:5]
        found = _COMMENT.fullmatch(text)
        if found is None or found["run"] != run:
            continue
        # An array that was cancelled while it waited is one line; its elements are over, whichever they are.
        index = int(task) if task.isdecimal() else -1
        yield Element(job, index, int(found["round"]), int(found["array"]), state, reason)


def number_of_jobs(patience: float) -> int:
    """Return how many jobs of all users are in the queue, as far as that can be seen."""
    return len(call("squeue", ["-h", "-r", "-a", "-o", "%F"], patience=patience).splitlines())
