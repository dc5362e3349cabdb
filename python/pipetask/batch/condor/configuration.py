"""Settings for HTCondor: the shipped ``config/condor.yaml``, a site's file over it, and single values over both."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from ...errors import UsageError
from ...settings.layers import Shape, megabytes
from ..layered import LayeredConfiguration

__all__ = ["CondorConfiguration", "DagmanSettings", "JobSettings"]

_SIZES = ("request_memory", "request_disk", "memory_limit")

_SHAPE = Shape(
    shipped="condor.yaml",
    option="--condor",
    whole="dagman",
    largest=("request_cpus", "request_memory", "request_disk", "request_gpus", "memory_limit", "retries"),
    free=("environment", "submit", "attributes", "settings"),
    choices={"universe": ("vanilla", "local", "container"), "file_system": ("shared", "transfer")},
    measures=dict.fromkeys(_SIZES, megabytes),
    least={"request_cpus": 1, "memory_factor": 1, "priority": -math.inf},
)


@dataclass(frozen=True)
class JobSettings:
    """What holds for the jobs of one kind; ``config/condor.yaml`` says what each means."""

    universe: str
    request_cpus: int
    request_memory: int
    """Megabytes, like the two others below."""

    request_disk: int
    request_gpus: int
    memory_factor: float
    memory_limit: int
    enforce_memory: bool
    retries: int
    error_retries: int
    release_delay: int
    job_lease_duration: int
    file_system: str
    python: str
    requirements: str
    accounting_group: str
    accounting_group_user: str
    priority: int
    concurrency_limits: str
    container_image: str
    pass_environment: tuple[str, ...]
    environment: Mapping[str, str]
    submit: Mapping[str, str]
    attributes: Mapping[str, str]


@dataclass(frozen=True)
class DagmanSettings:
    """What holds for the DAG as a whole."""

    max_idle: int
    max_jobs: int
    priority: int
    batch_name: str
    settings: Mapping[str, str]


@dataclass(frozen=True)
class CondorConfiguration(LayeredConfiguration[JobSettings]):
    """All settings of a run, in the form of ``config/condor.yaml``, checked."""

    shape = _SHAPE
    job_settings = JobSettings
    memory_setting = "request_memory"
    gpus_setting = "request_gpus"

    @property
    def dagman(self) -> DagmanSettings:
        """Settings of the DAG."""
        return DagmanSettings(**self.layers.whole)

    def check(self) -> None:
        """Refuse to run those jobs elsewhere that look at the whole run."""
        for kind, settings in self.layers.content["nodes"].items():
            if settings["file_system"] == "transfer":
                raise UsageError(
                    f"nodes.{kind}.file_system cannot be 'transfer': the {kind} job needs all of the run directory."
                )
