"""Slurm as a batch system."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Sequence
from pathlib import Path

from ...errors import UsageError
from ...options.slurm import SlurmOptions
from ..queueing.arrays import JobArray
from ..queueing.configuration import RunSettings
from ..queueing.dialect import Request, Written
from ..queueing.layout import Layout, RunRecord
from ..queueing.limits import Limits
from ..queueing.queue import Element
from ..queueing.system import QueueingSystem
from ..run_directory import RunDirectory
from .accounting import Billing, room_for_user
from .client import CLIENT
from .configuration import SlurmConfiguration, SlurmJobSettings
from .in_place import NOT_STARTED, SPENT
from .job_script import asked_for, script, submit_options
from .limits import SHIPPED, limits_now
from .queue import comment, look
from .said import said_by_slurm

__all__ = ["SlurmSystem"]


class SlurmSystem(QueueingSystem[SlurmJobSettings]):
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
    configuration_type = SlurmConfiguration
    client = CLIENT
    remover = "scancel"
    shipped_limits = SHIPPED

    @staticmethod
    def requested_memory() -> int | None:
        """Return the memory that this job has asked for."""
        if "SLURM_JOB_ID" not in os.environ:
            return None
        if (whole := _number("SLURM_MEM_PER_NODE")) is not None:
            return whole
        each = _number("SLURM_MEM_PER_CPU")
        return None if each is None else each * (_number("SLURM_CPUS_ON_NODE") or 1)

    def script(self, written: Written[SlurmJobSettings]) -> str:
        """Return the script that an element runs."""
        return script(written)

    def options(self, written: Written[SlurmJobSettings]) -> list[str]:
        """Return options of sbatch."""
        return submit_options(written)

    def check(self, labels: Sequence[str], path: Path, *, submit: bool) -> None:
        """Refuse a path that Slurm cannot write to, and ask whether the settings are taken."""
        if "\\" in str(path):
            raise UsageError(
                f"Slurm writes no output to a path with a backslash ({path}): choose another --run-dir."
            )
        super().check(labels, path, submit=submit)

    def try_settings(self, settings: SlurmJobSettings, patience: float) -> None:
        """Ask Slurm whether it takes them."""
        words = asked_for(settings, settings.memory, settings.time)
        CLIENT.call("sbatch", ["--test-only", "--array=0-0", *words, "--wrap=true"], patience=patience)

    def limits(self, patience: float, wanted: int) -> Limits:
        """Return what Slurm's configuration says."""
        return limits_now(patience, wanted)

    def room_for_user(self, patience: float, kinds: Collection[SlurmJobSettings]) -> int | None:
        """Return what Slurm's accounting says, if there is any."""
        return room_for_user(patience, {Billing(each.account, each.qos) for each in kinds})

    def submit_array(self, request: Request, patience: float) -> str:
        """Submit an array held, to be released with all others."""
        words = [
            "--parsable",
            "--hold",
            f"--job-name={request.record.name}",
            f"--comment={comment(request.record.id, request.round, request.array.number)}",
            *([f"--dependency=afterany:{':'.join(request.needs)}"] if request.needs else []),
            *request.options,
            str(request.script),
        ]
        printed = CLIENT.call("sbatch", words, patience=patience, environment=request.environment)
        # With several clusters, the name of one follows.
        return printed.strip().partition(";")[0]

    def look(self, layout: Layout, record: RunRecord, patience: float) -> list[Element]:
        """Return the elements of a run that Slurm still knows."""
        return look(record.name, record.id, patience)

    def release(self, layout: Layout, round: int, jobs: Sequence[str], patience: float) -> None:
        """Release all arrays in one call."""
        CLIENT.call("scontrol", ["release", ",".join(jobs)], patience=patience)

    def let_wait(self, job: str, needs: Sequence[str], run: RunSettings) -> None:
        """Change what the final job waits for."""
        dependency = f"dependency=afterany:{':'.join(needs)}"
        CLIENT.call("scontrol", ["update", f"jobid={job}", dependency], patience=run.patience)

    @classmethod
    def how_pilot_ended(cls, directory: RunDirectory, job: str) -> str:
        """Return what Slurm's daemon has written into the error file of a pilot."""
        array, _, task = job.partition("_")
        if not task.isdecimal():
            return ""
        layout = Layout(directory.path, cls.configuration_type.shape.whole)
        return said_by_slurm(layout.error_file(array, int(task)))

    def how_ended(self, layout: Layout, round: int, array: JobArray, task: int, job: str) -> str:
        """Return what Slurm's daemon has written into the error file of an element."""
        asked = layout.asked(job, task)
        if asked.with_name(f"{asked.name}{SPENT}").exists():
            return "restarts"
        said = said_by_slurm(layout.error_file(job, task))
        return said or ("not started" if asked.with_name(f"{asked.name}{NOT_STARTED}").exists() else "")


def _number(variable: str) -> int | None:
    found = re.fullmatch(r"(\d+)M?", os.environ.get(variable, ""))
    return int(found[1]) if found else None
