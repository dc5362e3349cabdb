"""Settings for HTCondor: the shipped ``config/condor.yaml``, a site's file over it, and single values over both."""

from __future__ import annotations

import copy
import logging
import math
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import partial
from typing import Any

import yaml

from ...errors import UsageError, closest
from ...executors.resources import Resources
from ...executors.retries import RetryPolicy
from ...settings.yaml_file import check_key, read_sections, read_shipped, sections

__all__ = ["CondorConfiguration", "DagmanSettings", "JobSettings", "megabytes"]

_LOG = logging.getLogger(__name__)

_LARGEST = ("request_cpus", "request_memory", "request_disk", "request_gpus", "memory_limit", "retries")
"""Of these, a job that runs several tasks takes the largest."""

_FREE = ("environment", "submit", "attributes", "settings")
"""Mappings with keys of the user's own."""

_NAMED = ("labels", "nodes")
"""Sections with a level more: settings for each name."""

_CHOICES = {"universe": ("vanilla", "local", "container"), "file_system": ("shared", "transfer")}
_SIZES = ("request_memory", "request_disk", "memory_limit")
_LEAST = {"request_cpus": 1, "memory_factor": 1, "priority": -math.inf}
"""Smallest number allowed, where it is not 0."""


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
    content
        What the files and the command line say, in the shape of ``config/condor.yaml``.
    """

    content: Mapping[str, Any]

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
        content = read_shipped("condor.yaml")
        shipped = copy.deepcopy(content)
        if path is not None:
            _overlay(content, read_sections(path), shipped, path)
            _warn_of_labels(path, content["labels"], labels or ())
        for text in overrides:
            _overlay(content, _override(text), shipped, f"--condor {text}", labels)
        _check_nodes(content["nodes"])
        return cls(content)

    @property
    def dagman(self) -> DagmanSettings:
        """Settings of the DAG."""
        return DagmanSettings(**_texts(self.content["dagman"]))

    def for_labels(self, labels: Sequence[str]) -> JobSettings:
        """Return what holds for a job that runs these tasks: of each request the largest."""
        each = [_merged(self.content["jobs"], self.content["labels"].get(label, {})) for label in labels]
        values = dict(each[0])
        for other in each[1:]:
            for key, value in other.items():
                if key in _LARGEST:
                    values[key] = max(values[key], value, key=partial(_number, key))
                elif value != self.content["jobs"][key]:
                    values[key] = value
        return _job_settings(values)

    def for_node(self, kind: str) -> JobSettings:
        """Return what holds for the ``first`` or the ``final`` job."""
        return _job_settings(_merged(self.content["jobs"], self.content["nodes"][kind]))

    def with_retries(self, policy: RetryPolicy, labels: Iterable[str]) -> CondorConfiguration:
        """Return settings in which a policy's numbers of other attempts stand, where it has some."""
        content = copy.deepcopy(dict(self.content))
        for label in labels:
            rule = policy.rule(label)
            for key, number in (("retries", rule.retries), ("error_retries", rule.error_retries)):
                if number is not None:
                    content["labels"].setdefault(label, {})[key] = number
        return CondorConfiguration(content)

    def with_resources(self, resources: Resources) -> CondorConfiguration:
        """Return settings in which jobs ask for the memory and the GPUs that quanta need."""
        content = copy.deepcopy(dict(self.content))
        for label, needs in resources.needs.items():
            if memory := needs.get("memory"):
                content["labels"].setdefault(label, {})["request_memory"] = math.ceil(memory / 1024**2)
            if gpus := needs.get("gpus"):
                content["labels"].setdefault(label, {})["request_gpus"] = gpus
        return CondorConfiguration(content)

    def dump(self) -> str:
        """Return all settings as YAML."""
        return yaml.safe_dump(dict(self.content), sort_keys=False, allow_unicode=True)


def megabytes(size: object) -> int:
    """Return a size in megabytes, rounded up; a number without a unit is one.

    Raises
    ------
    ValueError
        If it is not a size.
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?)i?B?\s*", str(size), re.IGNORECASE)
    if not found:
        raise ValueError(f"{size!r} is not a size such as 2000 (megabytes) or 2GB")
    number, unit = float(found.group(1)), found.group(2).upper() or "M"
    return math.ceil(number * {"K": 1 / 1024, "M": 1, "G": 1024, "T": 1024**2}[unit])


def _override(text: str) -> dict[str, Any]:
    """Turn ``KEY=VALUE`` into what a file would hold."""
    key, sign, value = text.partition("=")
    if not sign or not key:
        raise UsageError(f"--condor {text}: not of the form KEY=VALUE.")
    keys = _keys(key)
    # What is the user's own is text, in which each quote counts.
    own = len(keys) == (4 if keys[0] in _NAMED else 3) and keys[-2] in _FREE
    return _nested(keys, value if own else _yaml(value))


def _keys(key: str) -> list[str]:
    """Return the keys that lead to a setting; labels, and what is the user's own, may have dots themselves."""
    head, _, rest = key.partition(".")
    match head:
        case "labels":
            label, dot, setting = rest.rpartition(".")
            outer, _, free = label.rpartition(".")
            if free in _FREE and outer:
                return ["labels", outer, free, setting]
            return ["labels", label, setting] if dot else ["labels", rest]
        case "nodes" | "dagman" | "jobs":
            return key.split(".", 3 if head == "nodes" else 2)
        case _:
            return ["jobs", *key.split(".", 1)]


def _yaml(text: str) -> Any:
    try:
        return yaml.safe_load(text) if text else ""
    except yaml.YAMLError:
        return text


def _nested(keys: Sequence[str], value: Any) -> dict[str, Any]:
    for key in reversed(keys):
        value = {key: value}
    return dict(value)


def _overlay(
    base: dict[str, Any],
    over: Mapping[str, Any],
    shipped: Mapping[str, Any],
    where: str,
    labels: Collection[str] | None = None,
) -> None:
    named = {"labels": labels, "nodes": shipped["nodes"]}
    for section, values in sections(over, shipped, f"{where}: section"):
        if section not in named:
            _lay(base[section], values, shipped[section], where)
            continue
        for name, settings in sections(values, named[section], f"{where}: {section.removesuffix('s')}"):
            _lay(base[section].setdefault(name, {}), settings, shipped["jobs"], where)


def _lay(base: dict[str, Any], settings: Mapping[str, Any], shipped: Mapping[str, Any], where: str) -> None:
    for key, value in settings.items():
        check_key(key, shipped, f"{where}: setting")
        if key in _FREE and isinstance(value, dict):
            base[key] = {**base.get(key, {}), **value}
        else:
            base[key] = _checked(key, value, shipped[key], where)


def _checked(key: str, value: Any, default: Any, where: str) -> Any:
    if not _fits(key, value, default):
        choices = f": choose one of {', '.join(_CHOICES[key])}" if key in _CHOICES else ""
        raise UsageError(f"{where}: {key} cannot be {value!r}{choices}.")
    return value


def _fits(key: str, value: Any, default: Any) -> bool:
    if key in _CHOICES:
        return value in _CHOICES[key]
    if key in _SIZES:
        try:
            return megabytes(value) > 0
        except ValueError:
            return False
    match default:
        case bool():
            return isinstance(value, bool)
        case int():
            return type(value) is int and value >= _LEAST.get(key, 0)
        case float():
            return type(value) in (int, float) and _LEAST.get(key, 0) <= value < math.inf
        case str():
            return isinstance(value, str | int | float)
        case list():
            return isinstance(value, list) and all(isinstance(item, str) for item in value)
        case _:
            return False


def _check_nodes(nodes: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuse to run those jobs elsewhere that look at the whole run."""
    for kind, settings in nodes.items():
        if settings["file_system"] == "transfer":
            raise UsageError(
                f"nodes.{kind}.file_system cannot be 'transfer': the {kind} job needs all of the run directory."
            )


def _warn_of_labels(path: str, given: Iterable[str], known: Collection[str]) -> None:
    """Warn of labels that may be misspelt; a file of a site may have some of other pipelines."""
    for label in given:
        if label not in known and (close := closest(str(label), known)):
            _LOG.warning("%s: the graph has no task %r: did you mean %r?", path, label, close)


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        merged[key] = {**base[key], **value} if key in _FREE else value
    return merged


def _number(key: str, value: Any) -> float:
    return megabytes(value) if key in _SIZES else value


def _job_settings(values: Mapping[str, Any]) -> JobSettings:
    plain = _texts(values)
    plain |= {key: megabytes(plain[key]) for key in _SIZES}
    plain["pass_environment"] = tuple(plain["pass_environment"])
    return JobSettings(**{field.name: plain[field.name] for field in fields(JobSettings)})


def _texts(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings with the values of free mappings as texts."""
    return {
        key: {str(k): _text(v) for k, v in value.items()} if key in _FREE else value
        for key, value in values.items()
    }


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
