"""What a queueing system says of the jobs of a run."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

__all__ = ["Element", "Stage"]


class Stage(Enum):
    """How far a job has got."""

    WAITING = auto()
    """It waits for other jobs."""

    AS_SUBMITTED = auto()
    """It is held as all jobs are when they are submitted, or was held later by its owner."""

    HELD = auto()
    """The system holds it, or it waits for something that will not come by itself."""

    IDLE = auto()
    """It waits for a machine."""

    RUNNING = auto()
    OVER = auto()
    """It has ended and will not start again."""


@dataclass(frozen=True, slots=True)
class Element:
    """An element of an array, or a job that runs a whole array."""

    job: str
    """The array, as the system calls it."""

    task: int | None
    """Its index; `None` for a job that runs all of the array's nodes."""

    round: int
    array: int
    """Number of the array in its round."""

    stage: Stage
    reason: str = ""
    """Why it waits or is held, in the system's words."""

    id: str = ""
    """What commands of the system call it."""

    how: str = ""
    """How it has ended, if the queue shows that: a key of `~pipetask.batch.queueing.dialect.HOW_JOBS_END`."""

    advice: str = ""
    """What to do if it is held, as the end of a sentence, if that is known."""

    @property
    def is_over(self) -> bool:
        """Whether it has ended and will not start again."""
        return self.stage is Stage.OVER
