"""Settings for HTCondor: the shipped ``config/condor.yaml``, a site's file over it, and single values over both."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from ...errors import UsageError
from ...executors.resources import Resources
from ...executors.retries import RetryPolicy
from ...settings.layers import Layers, Shape, megabytes
from ..job_settings import requests

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
class CondorConfiguration:
    """All settings of a run, checked.

    Parameters
    ----------
    layers
        What the files and the command line say, in the shape of ``config/condor.yaml``.
    """

    layers: Layers

    @classmethod
    def load(
        cls, path: str | None = None, overrides: Sequence[str] = (), labels: Collection[str] | None = None
    ) -> CondorConfiguration:
        """Read the shipped settings, a site's file, and overrides.

        Parameters
        ----------
        path
            The site's file.
        overrides
            Texts of the form ``KEY=VALUE``.
        labels
            The task labels there are; others are refused in overrides.  A site's file may have more, for other
            pipelines.

        Raises
        ------
        UsageError
            If the file cannot be read, or if a key or a value means nothing.
        """
        layers = Layers.load(_SHAPE, path, overrides, labels)
        _check_nodes(layers.content["nodes"])
        return cls(layers)

    @property
    def dagman(self) -> DagmanSettings:
        """Settings of the DAG."""
        return DagmanSettings(**self.layers.whole)

    def for_labels(self, labels: Sequence[str]) -> JobSettings:
        """Return what holds for a job that runs these tasks: of each request the largest."""
        return _job_settings(self.layers.for_labels(labels))

    def for_node(self, kind: str) -> JobSettings:
        """Return what holds for the ``first`` or the ``final`` job."""
        return _job_settings(self.layers.for_node(kind))

    def with_retries(self, policy: RetryPolicy, labels: Iterable[str]) -> CondorConfiguration:
        """Return settings in which a policy's numbers of other attempts stand, where it has some."""
        return CondorConfiguration(
            self.layers.with_label_settings({label: policy.rule(label).numbers() for label in labels})
        )

    def with_resources(self, resources: Resources) -> CondorConfiguration:
        """Return settings in which jobs ask for the memory and the GPUs that quanta need."""
        more = requests(resources, "request_memory", "request_gpus")
        return CondorConfiguration(self.layers.with_label_settings(more))

    def dump(self) -> str:
        """Return all settings as YAML."""
        return self.layers.dump()


def _check_nodes(nodes: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuse to run those jobs elsewhere that look at the whole run."""
    for kind, settings in nodes.items():
        if settings["file_system"] == "transfer":
            raise UsageError(
                f"nodes.{kind}.file_system cannot be 'transfer': the {kind} job needs all of the run directory."
            )


def _job_settings(values: dict[str, Any]) -> JobSettings:
    values["pass_environment"] = tuple(values["pass_environment"])
    return JobSettings(**{field.name: values[field.name] for field in fields(JobSettings)})
