"""Settings for PBS: the shipped ``config/pbs.yaml``, a site's file over it, and single values over both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from ...errors import UsageError
from ..queueing.configuration import JobSettings, QueueConfiguration, RunSettings, queue_shape

__all__ = ["OPENPBS", "TORQUE", "PbsConfiguration", "PbsJobSettings", "PbsRunSettings", "is_torque"]

OPENPBS, TORQUE = "openpbs", "torque"

_OURS = {
    "q": "queue",
    "A": "account",
    "P": "project",
    "r": "requeue",
    "V": "pass_environment",
    "v": "environment",
}
_TAKEN = frozenset("CDIJNSXZdefhjkotwxz")


@dataclass(frozen=True)
class PbsJobSettings(JobSettings):
    """What holds for the jobs of one kind; ``config/pbs.yaml`` says what each means."""

    queue: str
    account: str
    project: str
    select: str
    throttle: int
    requeue: bool
    qsub: Mapping[str, str]


@dataclass(frozen=True)
class PbsRunSettings(RunSettings):
    """What holds for the run as a whole."""

    flavour: str


def is_torque(run: RunSettings) -> bool:
    """Return whether a run is for Torque."""
    return isinstance(run, PbsRunSettings) and run.flavour == TORQUE


@dataclass(frozen=True)
class PbsConfiguration(QueueConfiguration[PbsJobSettings]):
    """All settings of a run, in the form of ``config/pbs.yaml``, checked."""

    shape = replace(queue_shape("pbs", "qsub"), choices={"flavour": (OPENPBS, TORQUE)})
    job_settings = PbsJobSettings
    run_settings = PbsRunSettings
    submits = "qsub"
    own_options = _OURS
    taken_options = _TAKEN
    option_form = r"[A-Za-z]"

    def _check(self, settings: Mapping[str, Any]) -> None:
        super()._check(settings)
        if "depend=" in str(settings.get("qsub", {}).get("W", "")):
            raise UsageError("qsub.W cannot set depend: the graph says what a job waits for.")
