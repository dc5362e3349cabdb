"""HTCondor as a batch system."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Sequence
from copy import copy
from pathlib import Path
from typing import Self

from ...executors.resources import Resources
from ...executors.retries import RetryPolicy
from ...options.condor import CondorOptions
from ...options.declaration import check_group
from ..run_directory import RunDirectory
from ..system import BatchSystem, Restarted, RunPlan, SystemWatch
from .configuration import CondorConfiguration
from .control import cancel, restart, submit_new
from .descriptions import retried_by_jobs
from .watch import CondorWatch
from .writer import check_run, write_run

__all__ = ["CondorSystem"]


class CondorSystem(BatchSystem):
    """Has HTCondor's DAGMan run the nodes.

    Parameters
    ----------
    options
        A site's file with settings, and single settings.

    Raises
    ------
    UsageError
        If a setting means nothing.
    """

    name = "condor"
    title = "HTCondor"
    options_group = CondorOptions

    def __init__(self, options: CondorOptions | None = None):
        self._options = options or CondorOptions()
        check_group(self._options, CondorOptions)
        # At once, so that a wrong setting is refused before anything is read.  Commands about a run that has been
        # written need none of this, and to read the YAML takes longer than to read their logs.
        self._loaded = self._load() if options is not None else None

    @classmethod
    def how_to_ask_for_cpus(cls, number: int) -> str:
        """Return the option that does."""
        return f"use --condor request_cpus={number}"

    @staticmethod
    def requested_memory() -> int | None:
        """Return the memory of the slot that this job runs in."""
        path = os.environ.get("_CONDOR_MACHINE_AD")
        if path is None or not Path(path).is_file():
            return None
        found = re.search(r"^Memory\s*=\s*(\d+)", Path(path).read_text(errors="replace"), re.MULTILINE)
        return int(found.group(1)) if found else None

    def for_run(self, labels: Sequence[str], retries: RetryPolicy) -> Self:
        """Let what the run itself asks for go before the settings for HTCondor."""
        system = copy(self)
        system._loaded = self._load(labels).with_retries(retries, labels)
        return system

    def with_resources(self, resources: Resources) -> tuple[Self, Collection[str]]:
        """Let jobs ask for memory and GPUs; their CPUs are as many as the quanta that run at the same time in a job."""
        system = copy(self)
        system._loaded = self._configuration.with_resources(resources)
        return system, resources.asked() - {"memory", "gpus"}

    def shares_files(self, labels: Collection[str]) -> bool:
        """Return whether ``file_system`` is ``shared``."""
        return self._configuration.for_labels(list(labels)).file_system == "shared"

    def retried_in_jobs(self, retries: RetryPolicy, labels: Collection[str]) -> RetryPolicy:
        """Return what jobs try again: what has raised, and, where asked for, what took too long."""
        return retried_by_jobs(retries, self._configuration, labels)

    def check(self, labels: Sequence[str], path: Path, *, submit: bool) -> None:
        """Ask HTCondor whether it takes the settings, and the pool whether it has such slots."""
        check_run(self._configuration, labels, path, submit=submit)

    def write(self, plan: RunPlan) -> None:
        """Write the DAG and the submit descriptions."""
        write_run(self._configuration, plan)

    def submit(self, directory: RunDirectory) -> str:
        """Submit the DAG, and return the number of DAGMan's job."""
        return str(submit_new(directory))

    def watch(self, directory: RunDirectory) -> SystemWatch:
        """Return what reads the logs of a run."""
        return CondorWatch(directory)

    def cancel(self, directory: RunDirectory) -> bool:
        """Remove DAGMan, which removes its jobs, and wait until all have left the queue."""
        return cancel(directory)

    def restart(self, directory: RunDirectory) -> Restarted:
        """Submit the DAG again, with a rescue file that names what is done."""
        return restart(directory)

    @property
    def _configuration(self) -> CondorConfiguration:
        self._loaded = self._loaded or self._load()
        return self._loaded

    def _load(self, labels: Collection[str] | None = None) -> CondorConfiguration:
        return CondorConfiguration.load(self._options.condor_config, self._options.condor, labels)
