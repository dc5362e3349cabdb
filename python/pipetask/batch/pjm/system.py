"""PJM as a batch system."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from ...errors import PipetaskError
from ...options.pjm import PjmOptions
from ..queueing.arrays import JobArray
from ..queueing.dialect import Request, Written
from ..queueing.layout import Layout, RunRecord
from ..queueing.limits import Limits
from ..queueing.queue import Element
from ..queueing.system import QueueingSystem
from .client import CLIENT, is_gone
from .configuration import PjmConfiguration, PjmJobSettings
from .files import begun_nodes, log, released
from .job_script import script, submit_options
from .queue import job_name, look
from .said import said_by_pjm

__all__ = ["PjmSystem"]


class PjmSystem(QueueingSystem[PjmJobSettings]):
    """Has PJM run the arrays of a round as sub-jobs of a step job.

    Parameters
    ----------
    options
        A site's file with settings, and single settings.

    Raises
    ------
    UsageError
        If a setting means nothing.
    """

    name = "pjm"
    title = "PJM"
    options_group = PjmOptions
    configuration_type = PjmConfiguration
    client = CLIENT
    remover = "pjdel"
    shipped_limits = Limits(array=500, submit=1_000_000)
    longest_name = 40

    def script(self, written: Written[PjmJobSettings]) -> str:
        """Return the script that a sub-job runs."""
        return script(written)

    def options(self, written: Written[PjmJobSettings]) -> list[str]:
        """Return options of pjsub."""
        return submit_options(written)

    def try_settings(self, settings: PjmJobSettings, patience: float) -> None:
        """Ask whether PJM answers; it cannot be asked about settings."""
        CLIENT.call("pjstat", [], patience=patience)

    def limits(self, patience: float, wanted: int) -> Limits:
        """Return the limits of the settings: the sub-jobs of a round are one job to PJM."""
        return self.shipped_limits

    def submit_array(self, request: Request, patience: float) -> str:
        """Add a sub-job to the step job of the round, or begin that with it."""
        number = f"sn={request.array.number}"
        step = [f"jid={request.before[0].partition('_')[0]}"] if request.before else []
        words = ["--step", "--sparam", ",".join([*step, number])]
        words += ["-N", job_name(request.record, request.round), *request.options, str(request.script)]
        # What the script sets itself has no need to be passed on.
        said = CLIENT.call("pjsub", words, patience=patience, folder=request.layout.run_directory)
        found = re.search(r"\b(\d+_\d+)\b", said)
        if found is None:
            raise PipetaskError(f"PJM does not say what it calls the job (pjsub: {said.strip()[:300]!r}).")
        return found[1]

    def look(self, layout: Layout, record: RunRecord, patience: float) -> list[Element]:
        """Return the sub-jobs of a run that are in the queue."""
        return look(record, patience)

    def release(self, layout: Layout, round: int, jobs: Sequence[str], patience: float) -> None:
        """Write the file for which all sub-jobs wait."""
        (layout.run_directory / released(round)).touch()

    def remove(self, jobs: Collection[str], patience: float) -> None:
        """Remove sub-jobs; of those that have ended PJM says so, and removes the others."""
        try:
            super().remove(jobs, patience)
        except PipetaskError as error:
            if not is_gone(error):
                raise

    def how_ended(self, layout: Layout, round: int, array: JobArray, task: int, job: str) -> str:
        """Return what the statistics of a sub-job say, if it has begun the node."""
        begun = begun_nodes(layout, round, array.number) if array.labels else frozenset(array.nodes)
        if begun and array.nodes[task] not in begun:
            return "not begun"
        return said_by_pjm(layout.run_directory / log(round, array.number, "stats"))
