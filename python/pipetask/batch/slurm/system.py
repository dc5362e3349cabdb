"""Slurm as a batch system."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Collection, Sequence
from copy import copy
from pathlib import Path
from typing import Self

from ...executors.resources import Resources
from ...executors.retries import RetryPolicy
from ...options.declaration import check_group
from ...options.slurm import SlurmOptions
from ..job_settings import retried_in_jobs
from ..run_directory import RunDirectory
from ..system import BatchSystem, Restarted, RunPlan, SystemWatch
from .configuration import SlurmConfiguration
from .control import cancel, restart, submit_new
from .in_place import END_VARIABLE
from .watch import SlurmWatch
from .writer import check_run, write_run

__all__ = ["SlurmSystem"]


class SlurmSystem(BatchSystem):
    """Has Slurm run the nodes as elements of arrays.

    Parameters
    ----------
    options
        A site's file with settings, and single settings.

    Raises
    ------
    UsageError
        If a setting means nothing.
    """

    name = "slurm"
    title = "Slurm"
    options_group = SlurmOptions

    def __init__(self, options: SlurmOptions | None = None):
        self._options = options or SlurmOptions()
        check_group(self._options, SlurmOptions)
        # At once, so that a wrong setting is refused before anything is read.
        self._loaded = self._load() if options is not None else None

    @classmethod
    def how_to_ask_for_cpus(cls, number: int) -> str:
        """Return the option that does."""
        return f"use --slurm cpus={number}"

    @staticmethod
    def requested_memory() -> int | None:
        """Return the memory that this job has asked for."""
        if "SLURM_JOB_ID" not in os.environ:
            return None
        if (whole := _number("SLURM_MEM_PER_NODE")) is not None:
            return whole
        each = _number("SLURM_MEM_PER_CPU")
        return None if each is None else each * (_number("SLURM_CPUS_ON_NODE") or 1)

    @staticmethod
    def walltime_left() -> float | None:
        """Return what the script of this job has found out."""
        end = os.environ.get(END_VARIABLE)
        return float(end) - time.time() if end else None

    def for_run(self, labels: Sequence[str], retries: RetryPolicy) -> Self:
        """Let what the run itself asks for go before the settings for Slurm."""
        system = copy(self)
        system._loaded = self._load(labels).with_retries(retries, labels)
        return system

    def with_resources(self, resources: Resources) -> tuple[Self, Collection[str]]:
        """Let jobs ask for memory and GPUs; their CPUs are as many as the quanta that run at the same time in a job."""
        system = copy(self)
        system._loaded = self._configuration.with_resources(resources)
        return system, resources.asked() - {"memory", "gpus"}

    def retried_in_jobs(self, retries: RetryPolicy, labels: Collection[str]) -> RetryPolicy:
        """Return what jobs try again: what has raised, and, where asked for, what took too long."""
        settings = {label: self._configuration.for_labels([label]) for label in labels}
        allowed = {label: (each.retries, each.error_retries) for label, each in settings.items()}
        return retried_in_jobs(retries, allowed, labels)

    def check(self, labels: Sequence[str], path: Path, *, submit: bool) -> None:
        """Ask Slurm whether it takes the settings."""
        if submit:
            check_run(self._configuration, labels)

    def write(self, plan: RunPlan) -> None:
        """Write the scripts of all arrays."""
        write_run(self._configuration, plan)

    def submit(self, directory: RunDirectory) -> str:
        """Submit the arrays held, and release them."""
        return submit_new(directory)

    def watch(self, directory: RunDirectory) -> SystemWatch:
        """Return what reads outcomes and the queue."""
        return SlurmWatch(directory)

    def cancel(self, directory: RunDirectory) -> bool:
        """Remove all jobs, and wait until they have left the queue."""
        return cancel(directory)

    def restart(self, directory: RunDirectory) -> Restarted:
        """Submit what is missing as another round."""
        return restart(directory)

    @property
    def _configuration(self) -> SlurmConfiguration:
        self._loaded = self._loaded or self._load()
        return self._loaded

    def _load(self, labels: Collection[str] | None = None) -> SlurmConfiguration:
        return SlurmConfiguration.load(self._options.slurm_config, self._options.slurm, labels)


def _number(variable: str) -> int | None:
    found = re.fullmatch(r"(\d+)M?", os.environ.get(variable, ""))
    return int(found[1]) if found else None
