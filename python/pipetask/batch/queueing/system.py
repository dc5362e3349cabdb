"""Queueing systems as batch systems."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from ...errors import PipetaskError
from ..layered import LayeredSystem
from ..run_directory import RunDirectory
from ..system import Restarted, RunPlan, SystemWatch
from .configuration import JobSettings, QueueConfiguration
from .control import Run, cancel, restart, submit_new
from .dialect import Dialect
from .journal import NO_ROOM
from .more_pilots import add_pilots, remove_waiting_pilots
from .told import memory_told, seconds_left
from .watch import QueueWatch
from .writer import check_run, write_run

__all__ = ["QueueingSystem"]

Settings = TypeVar("Settings", bound=JobSettings)


class QueueingSystem(LayeredSystem[QueueConfiguration[Any]], Dialect[Settings]):
    """Has a queueing system run the nodes; a subclass says what is special about it.

    Parameters
    ----------
    options
        A site's file with settings, and single settings.

    Raises
    ------
    UsageError
        If a setting means nothing.
    """

    configuration_type: ClassVar[type[QueueConfiguration[Any]]]

    @classmethod
    def how_to_ask_for_cpus(cls, number: int) -> str:
        """Return the option that does."""
        return f"use {cls.configuration_type.shape.option} cpus={number}"

    @staticmethod
    def requested_memory() -> int | None:
        """Return what the script of this job has told."""
        return memory_told()

    @staticmethod
    def walltime_left() -> float | None:
        """Return what the script of this job has told."""
        return seconds_left()

    def check(self, labels: Sequence[str], path: Path, *, submit: bool) -> None:
        """Ask whether the settings are taken."""
        if submit:
            check_run(self, self._configuration, labels)

    def write(self, plan: RunPlan) -> None:
        """Write the scripts of all arrays."""
        write_run(self, self._configuration, plan)

    def submit(self, directory: RunDirectory) -> str:
        """Submit the arrays held, and release them."""
        with _room_on_disk(directory):
            return submit_new(Run.open(directory, self))

    def watch(self, directory: RunDirectory) -> SystemWatch:
        """Return what reads outcomes and the queue."""
        return QueueWatch(directory, self)

    def add_pilots(
        self, directory: RunDirectory, number: int, memory: str | None, walltime: str | None
    ) -> str:
        """Submit another array of pilots."""
        return add_pilots(Run.open(directory, self), number, memory, walltime)

    def remove_waiting_pilots(self, directory: RunDirectory, number: int) -> int:
        """Remove pilots that have not begun."""
        return remove_waiting_pilots(Run.open(directory, self), number)

    def cancel(self, directory: RunDirectory) -> bool:
        """Remove all jobs, and wait until they have left the queue."""
        with _room_on_disk(directory):
            return cancel(Run.open(directory, self))

    def restart(self, directory: RunDirectory) -> Restarted:
        """Submit what is missing as another round."""
        with _room_on_disk(directory):
            return restart(Run.open(directory, self))


@contextmanager
def _room_on_disk(directory: RunDirectory) -> Iterator[None]:
    """Name the run directory if there is no room in it for what is noted."""
    try:
        yield
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        raise PipetaskError(
            f"{directory.path} cannot be written ({os.strerror(error.errno)}): make room there, and use pipetask "
            "restart, which continues a submission that was interrupted."
        ) from error
