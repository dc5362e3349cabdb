"""What Slurm's queue says of the jobs of a run.

An element of an array is known by the number of its array and its own index.  Numbers come again after a crash of the
controller, so a job counts as ours only by its comment.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from ..queueing.queue import Element, Stage
from .client import CLIENT
from .reasons import advice_on

__all__ = ["comment", "look", "number_of_jobs"]

_ENDED = {
    "BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED", "REVOKED",
    "TIMEOUT",
}  # fmt: skip
_WAITS = {"PENDING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "SPECIAL_EXIT", "RESV_DEL_HOLD"}
_HOW = {
    "CANCELLED": "cancelled",
    "NODE_FAIL": "node failure",
    "OUT_OF_MEMORY": "memory",
    "PREEMPTED": "preempted",
    "TIMEOUT": "time",
}
_COMMENT = re.compile(r"pipetask (?P<run>\S+) (?P<round>\d+) (?P<array>\d+)")


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
    return list(_elements(CLIENT.call("squeue", words, patience=patience).splitlines(), run))


def _elements(lines: Iterable[str], run: str) -> Iterator[Element]:
    for line in lines:
        job, task, state, text, reason = (*line.split("|", 4), "", "", "", "")[:5]
        found = _COMMENT.fullmatch(text)
        if found is None or found["run"] != run:
            continue
        # An array that was cancelled while it waited is one line; its elements are over, whichever they are.
        index = int(task) if task.isdecimal() else None
        # Never by its own number, which may be that of the whole array.
        id = job if index is None else f"{job}_{index}"
        advice, how = advice_on(reason, id), _HOW.get(state, "")
        stage = _stage(state, reason, held=advice is not None)
        yield Element(
            job, index, int(found["round"]), int(found["array"]), stage, reason, id, how, advice or ""
        )


def _stage(state: str, reason: str, *, held: bool) -> Stage:
    if state in _ENDED:
        return Stage.OVER
    if state not in _WAITS:
        return Stage.RUNNING
    match reason:
        case "JobHeldUser":
            return Stage.AS_SUBMITTED
        case "Dependency":
            return Stage.WAITING
        case _:
            return Stage.HELD if held else Stage.IDLE


def number_of_jobs(patience: float, *whose: str) -> int:
    """Return how many jobs are in the queue, of all users or of some, as far as that can be seen."""
    return len(CLIENT.call("squeue", ["-h", "-r", "-a", "-o", "%F", *whose], patience=patience).splitlines())
