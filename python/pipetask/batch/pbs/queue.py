"""What the queue of PBS says of the jobs of a run.

The full listing is read as text: all versions of PBS Professional, OpenPBS and Torque print it in the same form, and
its JSON has not always been valid.  The name of the server is left out of what jobs are called, because commands do
not agree about it.  A job counts as ours by an environment variable that it was submitted with.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ...errors import PipetaskError
from ..queueing.client import QueueUnknownError
from ..queueing.queue import Element, Stage
from .client import CLIENT, is_gone

__all__ = ["VARIABLE", "elements_of", "jobs_of", "look", "mark"]

VARIABLE = "PIPETASK_JOB"
"""Tells in the queue which array of which run a job is."""

_TRIES = 3
_ID = re.compile(r"(?P<number>\d+)(?P<array>\[(?P<task>\d*)\])?(\..*)?")
_OVER, _RUNS = frozenset("XFCM"), frozenset("RESUB")

_HISTORY = ["-x"]
"""The option with which commands also list what has ended.  That of Torque's qstat means something else."""

_TERMINATED = "91"
"""The substate of a job that was deleted, by a person or by the scheduler."""

_ENDED_BY_SIGTERM = ("271", "143")
"""What Torque has of a job that was asked to end: 256 or 128 and the number of the signal."""


def mark(run: str, round: int, array: int) -> str:
    """Return the value of `VARIABLE` for the jobs of an array."""
    return f"{run}/{round}/{array}"


def look(name: str, run: str, patience: float, *, ended: bool = False) -> list[Element]:
    """Return the jobs of a run that are in the queue.

    Parameters
    ----------
    name
        The name of its jobs.
    run
        The run's id.
    patience
        Seconds that PBS may take for an answer.
    ended
        Whether also those that have ended, if the server keeps a history of them.

    Raises
    ------
    pipetask.errors.PipetaskError
        If it does not answer.
    """
    history = _HISTORY if ended and _has_history(name, patience) else []
    for attempt in range(_TRIES):
        ids = CLIENT.call("qselect", [*history, "-N", name], patience=patience).split()
        if not ids:
            return []
        try:
            text = CLIENT.call("qstat", [*history, "-t", "-f", *ids], patience=patience)
        except PipetaskError as error:
            # One of them has just ended.
            if not is_gone(error) or attempt == _TRIES - 1:
                raise
        else:
            return list(elements_of(jobs_of(text), run))
    raise AssertionError("unreachable")


def _has_history(name: str, patience: float) -> bool:
    """Return whether commands know that option.  Those of Torque do not, and list for a while what has ended."""
    try:
        CLIENT.call("qselect", [*_HISTORY, "-N", name], patience=patience)
    except QueueUnknownError:
        raise
    except PipetaskError:
        return False
    return True


@dataclass(frozen=True)
class _Job:
    number: str
    is_array: bool
    task: int | None
    """`None` for the whole of an array."""

    attributes: Mapping[str, str]

    @property
    def state(self) -> str:
        return self.attributes.get("job_state", "")

    @property
    def called(self) -> str:
        """What the array is called, or a job that is none."""
        return f"{self.number}[]" if self.is_array else self.number

    @property
    def id(self) -> str:
        index = "" if self.task is None else self.task
        return f"{self.number}[{index}]" if self.is_array else self.number

    @property
    def mark(self) -> str | None:
        found = re.search(rf"(?:^|,){VARIABLE}=([^,]*)", self.attributes.get("Variable_List", ""))
        return found[1] if found else None

    @property
    def how(self) -> str:
        """How it has ended, if it was ended by a request."""
        exit_status = self.attributes.get("exit_status")  # with a capital letter elsewhere than in Torque
        if self.attributes.get("substate") == _TERMINATED:
            return "preempted" if "sched_preempted" in self.attributes else "cancelled"
        return "cancelled" if exit_status in _ENDED_BY_SIGTERM else ""

    @property
    def stage(self) -> Stage:
        if self.state in _OVER:
            return Stage.OVER
        if self.state in _RUNS:
            return Stage.RUNNING
        if self.state != "H":
            return Stage.IDLE
        if "u" in self.attributes.get("Hold_Types", ""):
            return Stage.AS_SUBMITTED
        return Stage.WAITING if "depend" in self.attributes else Stage.HELD


def jobs_of(text: str) -> list[_Job]:
    """Read a full listing.

    Parameters
    ----------
    text
        What ``qstat -t -f`` has printed; long lines are continued after a tab.
    """
    found: list[_Job] = []
    attributes: dict[str, str] = {}
    key = ""
    for line in text.splitlines():
        if line.startswith("Job Id:"):
            attributes, key = {}, ""
            found += _job(line.partition(":")[2].strip(), attributes)
        elif line.startswith("\t"):
            attributes[key] = attributes.get(key, "") + line[1:]
        elif " = " in line:
            key, _, value = line.strip().partition(" = ")
            attributes[key] = value
    return found


def _job(id: str, attributes: Mapping[str, str]) -> Iterator[_Job]:
    if match := _ID.fullmatch(id):
        is_array, task = match["array"] is not None, match["task"]
        yield _Job(match["number"], is_array, int(task) if task else None, attributes)


def elements_of(jobs: Sequence[_Job], run: str) -> Iterator[Element]:
    """Yield the elements of a run among the jobs of a listing.

    Parameters
    ----------
    jobs
        The jobs.
    run
        The run's id.
    """
    wholes = {job.number: job for job in jobs if job.is_array and job.task is None}
    listed = {job.number for job in jobs if job.task is not None}
    for job in _alone(jobs, listed):
        whole = wholes.get(job.number)
        found = re.fullmatch(r"(.+)/(\d+)/(\d+)", job.mark or (whole.mark if whole else None) or "")
        if found is None or found[1] != run:
            continue
        stage, reason = job.stage, job.attributes.get("comment", "")
        if stage is Stage.IDLE and whole is not None and whole.state == "H":
            stage = whole.stage  # elements of an array that is held are listed as if they were not
        if stage in (Stage.HELD, Stage.AS_SUBMITTED):
            reason = reason or f"Hold_Types = {job.attributes.get('Hold_Types', '?')}"
        task = (-1 if job.task is None else job.task) if job.is_array else 0
        how = job.how if stage is Stage.OVER else ""
        yield Element(job.called, task, int(found[2]), int(found[3]), stage, reason, job.id, how)


def _alone(jobs: Iterable[_Job], listed: set[str]) -> Iterator[_Job]:
    """Yield jobs without arrays whose elements are listed."""
    return (job for job in jobs if job.task is not None or job.number not in listed)
