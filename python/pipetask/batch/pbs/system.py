"""PBS Professional, OpenPBS and Torque as batch systems."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import replace

from ...errors import PipetaskError
from ...options.pbs import PbsOptions
from ..queueing.arrays import JobArray
from ..queueing.configuration import RunSettings
from ..queueing.dialect import Request, Written
from ..queueing.layout import Layout, RunRecord
from ..queueing.limits import Limits
from ..queueing.queue import Element
from ..queueing.system import QueueingSystem
from ..run_directory import RunDirectory
from ..system import RunPlan
from .client import CLIENT, is_gone
from .configuration import PbsConfiguration, PbsJobSettings, is_torque
from .job_script import depend, script, submit_options
from .limits import SHIPPED, limits_now
from .queue import VARIABLE, look, mark
from .said import FOLDER as SAID
from .said import output_of, said_by_pbs

__all__ = ["PbsSystem"]


class PbsSystem(QueueingSystem[PbsJobSettings]):
    """Has PBS run the nodes as elements of arrays.

    Parameters
    ----------
    options
        A site's file with settings, and single settings.

    Raises
    ------
    UsageError
        If a setting means nothing.
    """

    name = "pbs"
    title = "PBS"
    options_group = PbsOptions
    configuration_type = PbsConfiguration
    client = CLIENT
    remover = "qdel"
    shipped_limits = SHIPPED
    longest_name = 15

    def write(self, plan: RunPlan) -> None:
        """Write the scripts of all arrays, and make the folder for what PBS says."""
        super().write(plan)
        (Layout(plan.draft, self.configuration_type.shape.whole).folder / SAID).mkdir()

    @classmethod
    def how_pilot_ended(cls, directory: RunDirectory, job: str) -> str:
        """Return what PBS has written into the output of a pilot."""
        found = re.fullmatch(r"(\d+)(\[(\d+)\])?", job)
        layout = Layout(directory.path, cls.configuration_type.shape.whole)
        return "" if found is None else _said(layout, found[1], int(found[3] or 0))

    def script(self, written: Written[PbsJobSettings]) -> str:
        """Return the script that an element runs."""
        return script(written)

    def options(self, written: Written[PbsJobSettings]) -> list[str]:
        """Return options of qsub."""
        return submit_options(written)

    def try_settings(self, settings: PbsJobSettings, patience: float) -> None:
        """Ask PBS whether there is the queue; it cannot be asked about anything else."""
        words = ["-Q", settings.queue] if settings.queue else ["-B"]
        CLIENT.call("qstat", words, patience=patience)
        CLIENT.call("qselect", ["-N", "pipetask"], patience=patience)

    def limits(self, patience: float, wanted: int) -> Limits:
        """Return what the server says."""
        return limits_now(patience)

    def submit_array(self, request: Request, patience: float) -> str:
        """Submit an array held, to be released with all others."""
        words = ["-h", "-N", request.record.name]
        words += ["-v", f"{VARIABLE}={mark(request.record.id, request.round, request.array.number)}"]
        if request.needs:
            words += ["-W", depend(request.needs, torque=is_torque(request.run))]
        words += [*request.options, str(request.script)]
        # What the script sets itself has no need to be passed on, and commas would be taken for ends of values.
        printed = CLIENT.call("qsub", words, patience=patience, folder=request.layout.run_directory)
        return printed.split()[-1].partition(".")[0]

    def look(self, layout: Layout, record: RunRecord, patience: float) -> list[Element]:
        """Return the elements of a run that are in the queue."""
        return look(record.name, record.id, patience)

    def look_at_ended(self, layout: Layout, record: RunRecord, patience: float) -> list[Element]:
        """Return the elements of a run that PBS has in its history; what it has written of their end counts more."""
        found = look(record.name, record.id, patience, ended=True)
        return [replace(each, how=_said(layout, each.job, each.task) or each.how) for each in found]

    def release(self, layout: Layout, round: int, jobs: Sequence[str], patience: float) -> None:
        """Release all arrays in one call."""
        CLIENT.call("qrls", ["-h", "u", *jobs], patience=patience)

    def let_wait(self, job: str, needs: Sequence[str], run: RunSettings) -> None:
        """Change what the final job waits for."""
        CLIENT.call("qalter", ["-W", depend(needs, torque=is_torque(run)), job], patience=run.patience)

    def remove(self, jobs: Collection[str], patience: float) -> None:
        """Remove arrays; of those that have ended PBS says so, and removes the others."""
        try:
            super().remove(jobs, patience)
        except PipetaskError as error:
            if not is_gone(error):
                raise

    def how_ended(self, layout: Layout, round: int, array: JobArray, task: int, job: str) -> str:
        """Return what PBS has written into the output of an element."""
        return _said(layout, job, task)


def _said(layout: Layout, job: str, task: int | None) -> str:
    path = output_of(layout.folder / SAID, job, task or 0)
    return "" if path is None else said_by_pbs(path)
