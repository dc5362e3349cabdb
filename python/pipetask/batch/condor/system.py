"""HTCondor as a batch system."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Sequence
from pathlib import Path

from ...options.condor import CondorOptions
from ..layered import LayeredSystem
from ..run_directory import RunDirectory
from ..system import Restarted, RunPlan, SystemWatch
from .configuration import CondorConfiguration
from .control import cancel, restart, submit_new
from .watch import CondorWatch
from .writer import check_run, write_run

__all__ = ["CondorSystem"]


class CondorSystem(LayeredSystem[CondorConfiguration]):
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
    configuration_type = CondorConfiguration

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

    def shares_files(self, labels: Collection[str]) -> bool:
        """Return whether ``file_system`` is ``shared``."""
        return self._configuration.for_labels(list(labels)).file_system == "shared"

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
