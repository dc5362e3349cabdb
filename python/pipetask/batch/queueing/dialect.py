"""What differs between queueing systems: how jobs are written, submitted, listed, released and removed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

from .arrays import JobArray
from .client import Client
from .configuration import JobSettings, QueueConfiguration, RunSettings
from .layout import Layout, RunRecord
from .limits import Limits
from .queue import Element

__all__ = ["HOW_JOBS_END", "Dialect", "Request", "Written"]

HOW_JOBS_END = {
    "memory": "its job used more memory than it had asked for",
    "time": "its job reached its walltime",
    "preempted": "its job was preempted",
    "node failure": "the machine of its job failed",
    "requeued": "its job was put back into the queue",
    "cancelled": "its job was cancelled with {remover}",
    "restarts": "{title} has started its job again more often than it may (restarts)",
    "not begun": "its job ended before its turn came",
    "not started": "its job could not start the program (see its log): check the settings python and container",
    "": "its job was killed or has vanished; {title} does not say why (see its log)",
}
"""How the last job of a node has ended, in a word, with the clause that tells it."""

Settings = TypeVar("Settings", bound=JobSettings)


@dataclass(frozen=True)
class Written(Generic[Settings]):
    """An array that is being written."""

    array: JobArray
    round: int
    """Number of its round."""

    settings: Settings
    run: RunSettings
    run_directory: Path
    """Where the run directory will be."""

    record: RunRecord
    """The run."""

    since: int = 0
    """Failures of attempts that began later stand, in nanoseconds since 1970-01-01 UTC."""


@dataclass(frozen=True)
class Request:
    """An array that is to be submitted, held."""

    array: JobArray
    round: int
    """Number of its round."""

    needs: Sequence[str]
    """Arrays whose end it waits for, as the system calls them."""

    before: Sequence[str]
    """All arrays of the round that have been submitted."""

    run: RunSettings
    options: Sequence[str]
    """What `Dialect.options` has returned when it was written."""

    script: Path
    environment: Mapping[str, str]
    """Variables that its jobs get."""

    layout: Layout
    record: RunRecord


class Dialect(ABC, Generic[Settings]):
    """What differs between queueing systems.

    Everything else is the same for all of them: which nodes make an array and what it waits for, the journal, rounds,
    how a run is watched, cancelled and started again.
    """

    title: ClassVar[str]
    configuration_type: ClassVar[type[QueueConfiguration[Any]]]
    client: ClassVar[Client]
    remover: ClassVar[str]
    """The command that removes jobs."""

    shipped_limits: ClassVar[Limits]
    """How many jobs the system takes if its configuration does not say that."""

    longest_name: ClassVar[int | None] = None
    """Characters that a job's name may have."""

    @abstractmethod
    def script(self, written: Written[Settings]) -> str:
        """Return the script that the jobs of an array run."""

    @abstractmethod
    def options(self, written: Written[Settings]) -> list[str]:
        """Return the options with which an array is submitted, but for those that depend on other arrays."""

    @abstractmethod
    def try_settings(self, settings: Settings, patience: float) -> None:
        """Refuse settings for jobs that the system would not take, as far as it can be asked.

        Raises
        ------
        pipetask.errors.PipetaskError
            With the system's words.
        """

    @abstractmethod
    def limits(self, patience: float, wanted: int) -> Limits:
        """Ask how many jobs the system takes now; so many are wanted."""

    def room_for_user(self, patience: float, kinds: Collection[Settings]) -> int | None:
        """Ask how many more jobs with some settings this user may have in the queue; `None` if no limit is known."""
        return None

    @abstractmethod
    def submit_array(self, request: Request, patience: float) -> str:
        """Submit an array so that it does not begin before it is released, and return what the system calls it."""

    @abstractmethod
    def look(self, layout: Layout, record: RunRecord, patience: float) -> list[Element]:
        """Return what the system knows of the jobs of a run."""

    def look_at_ended(self, layout: Layout, record: RunRecord, patience: float) -> list[Element]:
        """Return what the system still knows of jobs of a run that have ended, also where `look` leaves them out."""
        return self.look(layout, record, patience)

    @abstractmethod
    def release(self, layout: Layout, round: int, jobs: Sequence[str], patience: float) -> None:
        """Let the arrays of a round begin; ones that have ended do not matter."""

    def let_wait(self, job: str, needs: Sequence[str], run: RunSettings) -> None:
        """Let the final job, which waits, wait for the end of all of these arrays, which are in the queue.

        Where a system cannot do that, this does nothing: the final job looks itself for arrays that were added.
        """

    def remove(self, jobs: Collection[str], patience: float) -> None:
        """Remove arrays from the queue; ones that are not there do not matter."""
        self.client.call(self.remover, sorted(jobs), patience=patience)

    @abstractmethod
    def how_ended(self, layout: Layout, round: int, array: JobArray, task: int, job: str) -> str:
        """Return how the last job of a node has ended: a key of `HOW_JOBS_END`.

        Parameters
        ----------
        layout
            Where the run is.
        round
            Number of the round.
        array, task
            The array with the node, and the node's position in it.
        job
            What the system calls the array.
        """

    def sentence(self, how: str) -> str:
        """Return a clause that tells how a job has ended."""
        return HOW_JOBS_END[how].format(remover=self.remover, title=self.title)
