"""Batch systems whose settings are in layers: what they have in common, on top of the contract."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from copy import copy
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Generic, Self, TypeVar, cast

from ..executors.resources import Resources
from ..executors.retries import RetryPolicy
from ..options.declaration import check_group
from ..settings.layers import Layers, Shape
from .job_settings import requests, retried_in_jobs
from .system import BatchSystem

__all__ = ["LayeredConfiguration", "LayeredSystem"]


Settings = TypeVar("Settings")


@dataclass(frozen=True)
class LayeredConfiguration(Generic[Settings]):
    """All settings of a run, checked.

    A subclass says what they look like, in class attributes.

    Parameters
    ----------
    layers
        What the files and the command line say, in the form of the shipped file.
    """

    layers: Layers

    shape: ClassVar[Shape]
    job_settings: ClassVar[type[Any]]
    """A dataclass with what holds for the jobs of one kind; its fields are the settings in the section ``jobs``."""

    memory_setting: ClassVar[str] = "memory"
    gpus_setting: ClassVar[str] = "gpus"
    """Names of the settings with the memory and the GPUs that a job asks for."""

    @classmethod
    def load(
        cls, path: str | None = None, overrides: Sequence[str] = (), labels: Collection[str] | None = None
    ) -> Self:
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
        loaded = cls(Layers.load(cls.shape, path, overrides, labels))
        loaded.check()
        return loaded

    def check(self) -> None:
        """Refuse settings that are valid one by one, and mean nothing."""

    def for_labels(self, labels: Sequence[str]) -> Settings:
        """Return what holds for a job that runs these tasks: of each request the largest."""
        return self._job_settings(self.layers.for_labels(labels))

    def for_node(self, kind: str) -> Settings:
        """Return what holds for the ``first`` or the ``final`` job."""
        return self._job_settings(self.layers.for_node(kind))

    def with_retries(self, policy: RetryPolicy, labels: Iterable[str]) -> Self:
        """Return settings in which a policy's numbers of other attempts stand, where it has some."""
        numbers = {label: policy.rule(label).numbers() for label in labels}
        return type(self)(self.layers.with_label_settings(numbers))

    def with_resources(self, resources: Resources) -> Self:
        """Return settings in which jobs ask for the memory and the GPUs that quanta need."""
        more = requests(resources, self.memory_setting, self.gpus_setting)
        return type(self)(self.layers.with_label_settings(more))

    def retried_in_jobs(self, policy: RetryPolicy, labels: Collection[str]) -> RetryPolicy:
        """Return what jobs try again themselves."""
        settings: dict[str, Any] = {label: self.for_labels([label]) for label in labels}
        allowed = {label: (each.retries, each.error_retries) for label, each in settings.items()}
        return retried_in_jobs(policy, allowed, labels)

    def dump(self) -> str:
        """Return all settings as YAML."""
        return self.layers.dump()

    def _job_settings(self, values: dict[str, Any]) -> Settings:
        values["pass_environment"] = tuple(values["pass_environment"])
        kept = {field.name: values[field.name] for field in fields(self.job_settings)}
        made: Settings = self.job_settings(**kept)
        return made


Configuration = TypeVar("Configuration", bound=LayeredConfiguration[Any])


class LayeredSystem(BatchSystem, Generic[Configuration]):
    """A batch system with layered settings.

    Its group of options has a field for single settings, named like their option, such as ``slurm``, and one for a
    site's file, such as ``slurm_config``.

    Parameters
    ----------
    options
        A site's file with settings, and single settings.

    Raises
    ------
    UsageError
        If a setting means nothing.
    """

    configuration_type: ClassVar[type[LayeredConfiguration[Any]]]

    def __init__(self, options: Any = None):
        assert self.options_group is not None
        self._options = self.options_group() if options is None else options
        check_group(self._options, self.options_group)
        # At once, so that a wrong setting is refused before anything is read.  Commands about a run that has been
        # written need none of this, and to read the YAML takes longer than what they do.
        self._loaded: Configuration | None = self._load() if options is not None else None

    def for_run(self, labels: Sequence[str], retries: RetryPolicy) -> Self:
        """Let what the run itself asks for go before the settings for the batch system."""
        system = copy(self)
        system._loaded = self._load(labels).with_retries(retries, labels)
        return system

    def with_resources(self, resources: Resources) -> tuple[Self, Collection[str]]:
        """Let jobs ask for memory and GPUs; their CPUs are as many as the quanta that run at the same time in a job."""
        system = copy(self)
        system._loaded = self._configuration.with_resources(resources)
        return system, resources.asked() - {"memory", "gpus"}

    def retried_in_jobs(self, retries: RetryPolicy, labels: Collection[str]) -> RetryPolicy:
        """Return what jobs try again: what has raised, and, where asked for, what took too long."""
        return self._configuration.retried_in_jobs(retries, labels)

    @property
    def _configuration(self) -> Configuration:
        self._loaded = self._loaded or self._load()
        return self._loaded

    def _load(self, labels: Collection[str] | None = None) -> Configuration:
        single = self.configuration_type.shape.option.removeprefix("--")
        file, overrides = getattr(self._options, f"{single}_config"), getattr(self._options, single)
        loaded: Any = self.configuration_type.load(file, overrides, labels)
        return cast("Configuration", loaded)
