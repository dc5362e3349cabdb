"""Settings for Slurm: the shipped ``config/slurm.yaml``, a site's file over it, and single values over both."""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from ...errors import UsageError
from ...executors.resources import Resources
from ...executors.retries import RetryPolicy
from ...settings.layers import Layers, Shape, megabytes
from ..job_settings import requests

__all__ = ["JobSettings", "RunSettings", "SlurmConfiguration", "minutes"]

_UNITS = {"s": 1 / 60, "min": 1, "m": 1, "h": 60, "d": 24 * 60}


def minutes(duration: object) -> int:
    """Return a walltime in minutes, rounded up.

    Raises
    ------
    ValueError
        If it has no unit, and is not written with colons.
    """
    text = str(duration).strip()
    if found := re.fullmatch(r"(\d+(?:\.\d+)?)\s*(s|min|m|h|d)", text):
        return -int(-float(found[1]) * _UNITS[found[2]] // 1)
    if found := re.fullmatch(r"(?:(\d+)-)?(\d+):(\d+)(?::(\d+))?", text):
        # As sbatch reads it: with days, hours come first; without, two numbers are minutes and seconds.
        days, first, second, third = (int(part or 0) for part in found.groups())
        if found[1] is None and found[4] is None:
            return first + (second > 0)
        return days * 24 * 60 + first * 60 + second + (third > 0)
    raise ValueError(f"{duration!r} is not a walltime such as 90min, 2h, 1d or '1:30:00'")


_SHAPE = Shape(
    shipped="slurm.yaml",
    option="--slurm",
    whole="slurm",
    largest=("cpus", "memory", "memory_limit", "time", "time_limit", "gpus", "retries"),
    free=("environment", "sbatch"),
    measures={"memory": megabytes, "memory_limit": megabytes, "time": minutes, "time_limit": minutes},
    least={"cpus": 1, "memory_factor": 1, "time_factor": 1, "columns": 1, "patience": 1},
    verbatim=("time", "time_limit"),
)

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
"""Options of sbatch that have a setting of their own."""

_TAKEN = {
    "array", "chdir", "comment", "dependency", "error", "export-file", "get-user-env", "help", "hold", "input",
    "job-name", "kill-on-invalid-dep", "mem-per-cpu", "ntasks", "open-mode", "output", "parsable", "quiet", "signal",
    "test-only", "time-min", "usage", "version", "wait", "wrap",
}  # fmt: skip
"""Options of sbatch that a run needs itself."""


@dataclass(frozen=True)
class JobSettings:
    """What holds for the jobs of one kind; ``config/slurm.yaml`` says what each means."""

    partition: str
    account: str
    qos: str
    time: int
    """Minutes."""

    time_factor: float
    time_limit: int
    memory: int
    """Megabytes."""

    memory_factor: float
    memory_limit: int
    cpus: int
    gpus: int
    gres: str
    constraint: str
    reservation: str
    throttle: int
    requeue: bool
    retries: int
    error_retries: int
    python: str
    container: str
    pass_environment: tuple[str, ...]
    environment: Mapping[str, str]
    sbatch: Mapping[str, str]

    def more_memory(self, megabytes: int) -> int:
        """Return the memory to ask for after a request was too small."""
        return max(megabytes, min(self.memory_limit, int(megabytes * self.memory_factor)))

    def more_time(self, minutes: int) -> int:
        """Return the walltime to ask for after a request was too small."""
        return max(minutes, min(self.time_limit, int(minutes * self.time_factor)))


@dataclass(frozen=True)
class RunSettings:
    """What holds for the run as a whole."""

    name: str
    columns: int
    max_submit: int
    max_array: int
    rounds: int
    patience: int


@dataclass(frozen=True)
class SlurmConfiguration:
    """All settings of a run, checked.

    Parameters
    ----------
    layers
        What the files and the command line say, in the shape of ``config/slurm.yaml``.
    """

    layers: Layers

    @classmethod
    def load(
        cls, path: str | None = None, overrides: Sequence[str] = (), labels: Collection[str] | None = None
    ) -> SlurmConfiguration:
        """Read the shipped settings, a site's file, and overrides.

        Parameters
        ----------
        path
            The site's file.
        overrides
            Texts of the form ``KEY=VALUE``.
        labels
            The task labels there are; others are refused in overrides.

        Raises
        ------
        UsageError
            If the file cannot be read, or if a key or a value means nothing.
        """
        layers = Layers.load(_SHAPE, path, overrides, labels)
        content = layers.content
        for where in (content["jobs"], *content["labels"].values(), *content["nodes"].values()):
            _check(where)
        return cls(layers)

    @property
    def run(self) -> RunSettings:
        """Settings of the run as a whole."""
        return RunSettings(**self.layers.whole)

    def for_labels(self, labels: Sequence[str]) -> JobSettings:
        """Return what holds for a job that runs these tasks: of each request the largest."""
        return _job_settings(self.layers.for_labels(labels))

    def for_node(self, kind: str) -> JobSettings:
        """Return what holds for the ``first`` or the ``final`` job."""
        return _job_settings(self.layers.for_node(kind))

    def with_retries(self, policy: RetryPolicy, labels: Iterable[str]) -> SlurmConfiguration:
        """Return settings in which a policy's numbers of other attempts stand, where it has some."""
        return SlurmConfiguration(
            self.layers.with_label_settings({label: policy.rule(label).numbers() for label in labels})
        )

    def with_resources(self, resources: Resources) -> SlurmConfiguration:
        """Return settings in which jobs ask for the memory and the GPUs that quanta need."""
        return SlurmConfiguration(self.layers.with_label_settings(requests(resources, "memory", "gpus")))

    def dump(self) -> str:
        """Return all settings as YAML."""
        return self.layers.dump()


def _check(settings: Mapping[str, Any]) -> None:
    for name, value in settings.get("sbatch", {}).items():
        if (own := _OURS.get(str(name))) is not None:
            raise UsageError(f"sbatch.{name} is set by a setting of its own: use {own}.")
        if not re.fullmatch(r"[a-z][a-z0-9-]*", str(name)) or name in _TAKEN:
            raise UsageError(
                f"sbatch.{name} cannot be set: the run needs that option itself, or there is none."
            )
        if "\n" in str(value) or "\0" in str(value):
            raise UsageError(f"sbatch.{name} cannot be {value!r}: an option is one line.")
    try:
        shlex.split(settings.get("container", ""))
    except ValueError as error:
        raise UsageError(f"container cannot be {settings['container']!r}: {error}.") from error


def _job_settings(values: dict[str, Any]) -> JobSettings:
    values["pass_environment"] = tuple(values["pass_environment"])
    return JobSettings(**{field.name: values[field.name] for field in fields(JobSettings)})
