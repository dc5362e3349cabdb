"""Settings for Slurm: the shipped ``config/slurm.yaml``, a site's file over it, and single values over both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..queueing.configuration import JobSettings, QueueConfiguration, queue_shape

__all__ = ["SlurmConfiguration", "SlurmJobSettings"]

_OURS = {
    "partition": "partition",
    "account": "account",
    "qos": "qos",
    "time": "time",
    "mem": "memory",
    "cpus-per-task": "cpus",
    "gres": "gres",
    "gpus": "gpus",
    "constraint": "constraint",
    "reservation": "reservation",
    "requeue": "requeue",
    "no-requeue": "requeue",
    "export": "pass_environment",
    "container": "container",
}

_TAKEN = {
    "array", "chdir", "comment", "dependency", "error", "export-file", "get-user-env", "help", "hold", "input",
    "job-name", "kill-on-invalid-dep", "mem-per-cpu", "ntasks", "open-mode", "output", "parsable", "quiet", "signal",
    "test-only", "time-min", "usage", "version", "wait", "wrap",
}  # fmt: skip


@dataclass(frozen=True)
class SlurmJobSettings(JobSettings):
    """What holds for the jobs of one kind; ``config/slurm.yaml`` says what each means."""

    partition: str
    account: str
    qos: str
    gres: str
    constraint: str
    reservation: str
    throttle: int
    requeue: bool
    restarts: int
    sbatch: Mapping[str, str]


@dataclass(frozen=True)
class SlurmConfiguration(QueueConfiguration[SlurmJobSettings]):
    """All settings of a run, in the form of ``config/slurm.yaml``, checked."""

    shape = queue_shape("slurm", "sbatch", largest=("restarts",))
    submits = "sbatch"
    job_settings = SlurmJobSettings
    own_options = _OURS
    taken_options = frozenset(_TAKEN)
