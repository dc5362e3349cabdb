"""Settings of a batch system in layers: the shipped file, a site's file over it, and single values over both.

All of them have the same sections: ``jobs`` for all jobs, ``labels`` for those that run certain tasks, ``nodes`` for
the first and the final job, and one of the system's own for the run as a whole.
"""

from __future__ import annotations

import copy
import logging
import math
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from ..errors import UsageError, closest
from .yaml_file import check_key, read_sections, read_shipped, sections

__all__ = ["Layers", "Shape", "megabytes"]

_LOG = logging.getLogger(__name__)

_NAMED = ("labels", "nodes")
"""Sections with a level more: settings for each name."""


@dataclass(frozen=True)
class Shape:
    """What the settings of a batch system look like."""

    shipped: str
    """Name of the file with all settings and their defaults."""

    option: str
    """Option of the command line with single settings."""

    whole: str
    """The section for the run as a whole."""

    largest: tuple[str, ...]
    """Of these, a job that runs several tasks takes the largest."""

    free: tuple[str, ...]
    """Mappings with keys of the user's own."""

    choices: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    measures: Mapping[str, Callable[[object], int]] = field(default_factory=dict)
    """Functions that turn what a user writes into a number, and raise `ValueError` if it means none."""

    least: Mapping[str, float] = field(default_factory=dict)
    """Smallest number allowed, where it is not 0."""

    verbatim: tuple[str, ...] = ()
    """Settings that are text on the command line, although YAML would take them for something else."""


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


@dataclass(frozen=True)
class Layers:
    """Settings of one batch system, checked.

    Parameters
    ----------
    shape
        What they look like.
    content
        What the files and the command line say, in the form of the shipped file.
    """

    shape: Shape
    content: Mapping[str, Any]

    @classmethod
    def load(
        cls,
        shape: Shape,
        path: str | None = None,
        overrides: Sequence[str] = (),
        labels: Collection[str] | None = None,
    ) -> Layers:
        """Read the shipped settings, a site's file, and overrides.

        Parameters
        ----------
        shape
            What they look like.
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
        content = read_shipped(shape.shipped)
        reader = _Reader(shape, copy.deepcopy(content))
        if path is not None:
            reader.overlay(content, read_sections(path), path)
            _warn_of_labels(path, content["labels"], labels or ())
        for text in overrides:
            reader.overlay(content, reader.override(text), f"{shape.option} {text}", labels)
        return cls(shape, content)

    @property
    def whole(self) -> dict[str, Any]:
        """Settings for the run as a whole."""
        return self._texts(self.content[self.shape.whole])

    def for_labels(self, labels: Sequence[str]) -> dict[str, Any]:
        """Return what holds for a job that runs these tasks: of each request the largest."""
        each = [self._merged(self.content["labels"].get(label, {})) for label in labels]
        values = dict(each[0])
        for other in each[1:]:
            for key, value in other.items():
                if key in self.shape.largest:
                    values[key] = max(values[key], value, key=partial(self._number, key))
                elif value != self.content["jobs"][key]:
                    values[key] = value
        return self._plain(values)

    def for_node(self, kind: str) -> dict[str, Any]:
        """Return what holds for the ``first`` or the ``final`` job."""
        return self._plain(self._merged(self.content["nodes"][kind]))

    def with_label_settings(self, more: Mapping[str, Mapping[str, Any]]) -> Layers:
        """Return settings in which those of some labels stand."""
        content = copy.deepcopy(dict(self.content))
        for label, settings in more.items():
            content["labels"].setdefault(label, {}).update(settings)
        return Layers(self.shape, content)

    def dump(self) -> str:
        """Return all settings as YAML."""
        import yaml

        text: str = yaml.safe_dump(dict(self.content), sort_keys=False, allow_unicode=True)
        return text

    def _merged(self, over: Mapping[str, Any]) -> dict[str, Any]:
        merged = dict(self.content["jobs"])
        for key, value in over.items():
            merged[key] = {**merged[key], **value} if key in self.shape.free else value
        return merged

    def _number(self, key: str, value: Any) -> float:
        measure = self.shape.measures.get(key)
        return value if measure is None else measure(value)

    def _plain(self, values: Mapping[str, Any]) -> dict[str, Any]:
        plain = self._texts(values)
        return plain | {key: measure(plain[key]) for key, measure in self.shape.measures.items()}

    def _texts(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return settings with the values of free mappings as texts."""
        return {
            key: {str(k): _text(v) for k, v in value.items()} if key in self.shape.free else value
            for key, value in values.items()
        }


@dataclass(frozen=True)
class _Reader:
    """Lays settings over others, and checks them."""

    shape: Shape
    shipped: Mapping[str, Any]

    def override(self, text: str) -> dict[str, Any]:
        """Turn ``KEY=VALUE`` into what a file would hold."""
        key, sign, value = text.partition("=")
        if not sign or not key:
            raise UsageError(f"{self.shape.option} {text}: not of the form KEY=VALUE.")
        keys = self._keys(key)
        # What is the user's own is text, in which each quote counts.
        own = len(keys) == (4 if keys[0] in _NAMED else 3) and keys[-2] in self.shape.free
        return _nested(keys, value if own or keys[-1] in self.shape.verbatim else _yaml(value))

    def _keys(self, key: str) -> list[str]:
        """Return the keys that lead to a setting; labels, and the user's own keys, may have dots themselves."""
        head, _, rest = key.partition(".")
        match head:
            case "labels":
                label, dot, setting = rest.rpartition(".")
                outer, _, free = label.rpartition(".")
                if free in self.shape.free and outer:
                    return ["labels", outer, free, setting]
                return ["labels", label, setting] if dot else ["labels", rest]
            case "nodes":
                return key.split(".", 3)
            case "jobs" | self.shape.whole:
                return key.split(".", 2)
            case _ if key in self.shipped[self.shape.whole] and key not in self.shipped["jobs"]:
                return [self.shape.whole, key]
            case _:
                return ["jobs", *key.split(".", 1)]

    def overlay(
        self,
        base: dict[str, Any],
        over: Mapping[str, Any],
        where: str,
        labels: Collection[str] | None = None,
    ) -> None:
        """Lay settings over others."""
        named = {"labels": labels, "nodes": self.shipped["nodes"]}
        for section, values in sections(over, self.shipped, f"{where}: section"):
            if section not in named:
                self._lay(base[section], values, self.shipped[section], where)
                continue
            for name, settings in sections(values, named[section], f"{where}: {section.removesuffix('s')}"):
                self._lay(base[section].setdefault(name, {}), settings, self.shipped["jobs"], where)

    def _lay(
        self, base: dict[str, Any], settings: Mapping[str, Any], shipped: Mapping[str, Any], where: str
    ) -> None:
        for key, value in settings.items():
            check_key(key, shipped, f"{where}: setting")
            if key in self.shape.free and isinstance(value, dict):
                base[key] = {**base.get(key, {}), **value}
            else:
                base[key] = self._checked(key, value, shipped[key], where)

    def _checked(self, key: str, value: Any, default: Any, where: str) -> Any:
        if not self._fits(key, value, default):
            raise UsageError(f"{where}: {key} cannot be {value!r}{self._hint(key, value, default)}.")
        return value

    def _hint(self, key: str, value: Any, default: Any) -> str:
        if choices := self.shape.choices.get(key):
            return f": choose one of {', '.join(choices)}"
        if measure := self.shape.measures.get(key):
            try:
                measure(value)
            except ValueError as error:
                return f": {str(error).replace(repr(value), 'it', 1)}"
            return ""
        match default:
            case bool():
                return ": it is not true or false"
            case int() | float():
                kind = "whole number" if isinstance(default, int) else "number"
                return f": it is not a {kind} of at least {self.shape.least.get(key, 0)}"
            case dict():
                return ": it is not a list of names with values, as in NAME: VALUE"
            case _:
                return ""

    def _fits(self, key: str, value: Any, default: Any) -> bool:
        if key in self.shape.choices:
            return value in self.shape.choices[key]
        if measure := self.shape.measures.get(key):
            try:
                return measure(value) > 0
            except ValueError:
                return False
        least = self.shape.least.get(key, 0)
        match default:
            case bool():
                return isinstance(value, bool)
            case int():
                return type(value) is int and value >= least
            case float():
                return type(value) in (int, float) and least <= value < math.inf
            case str():
                return isinstance(value, str | int | float)
            case list():
                return isinstance(value, list) and all(isinstance(item, str) for item in value)
            case _:
                return False


def _yaml(text: str) -> Any:
    import yaml

    try:
        return yaml.safe_load(text) if text else ""
    except yaml.YAMLError:
        return text


def _nested(keys: Sequence[str], value: Any) -> dict[str, Any]:
    for key in reversed(keys):
        value = {key: value}
    return dict(value)


def _warn_of_labels(path: str, given: Iterable[str], known: Collection[str]) -> None:
    """Warn of labels that may be misspelt; a file of a site may have some of other pipelines."""
    for label in given:
        if label not in known and (close := closest(str(label), known)):
            _LOG.warning("%s: the graph has no task %r: did you mean %r?", path, label, close)


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
