"""Settings of an engine: where its workers see files, and in what environment quanta run there."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, TypeVar

from ..errors import UsageError
from .paths import PathMap
from .yaml_file import check_key, read_sections

__all__ = ["EngineSettings"]

_Value = TypeVar("_Value")

FILES = ("**/*.py",)
"""Patterns of the files of a code package, where none are given."""


@dataclass(frozen=True, kw_only=True)
class EngineSettings:
    """What is different where the workers of an engine run.

    Each field that is `None` says nothing: what holds for all labels, or for all engines, holds then.

    Raises
    ------
    UsageError
        If a value means nothing.
    """

    paths: Mapping[str, str] | None = None
    """Folders here, each with its name there."""

    python: str | None = None
    """The Python that runs quanta, such as that of a virtual environment.  By default it is the one of the engine's
    worker; in a container or after a set-up line, the one that is called ``python`` there."""

    container: str | Sequence[str] | None = None
    """Words to put before the command of a worker process, such as ``apptainer exec image.sif``."""

    environment: Mapping[str, object] | None = None
    """Environment variables."""

    setup: str | None = None
    """Lines for bash, after which a worker process starts."""

    code: Mapping[str, Sequence[str] | str | None] | None = None
    """Folders here with patterns of files to send, and to put first on ``PYTHONPATH``."""

    other_tasks: str | None = None
    """What becomes of a run whose tasks are others there, by version or content: ``refuse``, the default, or
    ``warn``."""

    labels: Mapping[str, EngineSettings] = field(default_factory=dict)
    """Settings of some labels, subsets of the pipeline, or patterns."""

    engines: Mapping[str, EngineSettings] = field(default_factory=dict)
    """Settings of some engines, by name, by the whole value of ``--engine``, or by pattern."""

    def __post_init__(self) -> None:
        for name, check in _CHECKS.items():
            if (value := getattr(self, name)) is not None:
                try:
                    object.__setattr__(self, name, check(value))
                except (TypeError, ValueError, AttributeError) as error:
                    raise UsageError(f"{name}: {error}.") from error

    @classmethod
    def load(cls, path: str | Path) -> EngineSettings:
        """Read a file.

        Parameters
        ----------
        path
            The file; folders of code are relative to its own.

        Raises
        ------
        UsageError
            If it cannot be read, or if a key or a value means nothing.
        """
        where = f"--engine-settings {path}"
        return cls._of(read_sections(os.fspath(path), where), _KEYS, where, Path(path).absolute().parent)

    @classmethod
    def _of(
        cls, content: Mapping[str, Any], known: Collection[str], where: str, folder: Path
    ) -> EngineSettings:
        values: dict[str, Any] = {}
        for key, value in content.items():
            check_key(key, known, f"{where}: setting")
            # A key without a value takes back what holds otherwise.
            values[key] = _NOTHING[key] if value is None or value == {} else value
        for key in ("labels", "engines"):
            if not isinstance(several := values.get(key, {}), dict):
                raise UsageError(f"{where}: {key} has no names with settings.")
            without = {"engines", key, *(("paths", "other_tasks") if key == "labels" else ())}
            inner = [each for each in _KEYS if each not in without]
            for name, more in several.items():
                if not isinstance(more, dict):
                    raise UsageError(f"{where}: {key}.{name} has no settings.")
            values[key] = {
                str(name): cls._of(more, inner, f"{where}: {key}.{name}", folder)
                for name, more in several.items()
            }
        if isinstance(code := values.get("code"), dict):
            values["code"] = {str(folder / Path(str(name)).expanduser()): code[name] for name in code}
        try:
            return cls(**values)
        except UsageError as error:
            raise UsageError(f"{where}: {error}") from error

    def of_engine(self, name: str) -> EngineSettings:
        """Return what holds for one engine.

        Parameters
        ----------
        name
            The value of ``--engine``.
        """
        found = replace(self, engines={})
        for pattern, more in self.engines.items():
            if pattern in (name, name.partition(":")[0]) or fnmatchcase(name, pattern):
                found = more._over(found)
        return found

    def of_label(self, label: str, subsets: Mapping[str, Collection[str]]) -> EngineSettings:
        """Return what holds for one label.

        Parameters
        ----------
        label
            The label.
        subsets
            Labels by name of a subset of the pipeline.
        """
        found = replace(self, labels={})
        for pattern, more in self.labels.items():
            if pattern == label or label in subsets.get(pattern, ()) or fnmatchcase(label, pattern):
                found = more._over(found)
        return found

    @property
    def path_map(self) -> PathMap:
        """The folders with their names on both sides."""
        return PathMap.of(self.paths or {})

    def _over(self, base: EngineSettings) -> EngineSettings:
        """Return these settings, and others where these say nothing."""
        said = {each.name: value for each in fields(self) if (value := getattr(self, each.name)) is not None}
        for name in ("environment", "labels"):
            if said.get(name):
                said[name] = {**(getattr(base, name) or {}), **said[name]}
        if not self.labels:
            del said["labels"]
        del said["engines"]
        return replace(base, **said)


def _paths(value: Mapping[str, str]) -> dict[str, str]:
    found = {_text(here): _text(there) for here, there in _pairs(value)}
    PathMap.of(found)
    return found


def _pairs(value: Mapping[str, _Value]) -> Iterable[tuple[str, _Value]]:
    if not isinstance(value, Mapping):
        raise ValueError(f"{value!r} is no list of names with values, as in NAME: VALUE")
    return value.items()


def _words(value: str | Sequence[str]) -> tuple[str, ...]:
    if not isinstance(value, str | Sequence):
        raise ValueError(f"{value!r} is neither a text nor a list of words")
    return tuple(shlex.split(value) if isinstance(value, str) else map(_text, value))


def _variables(value: Mapping[str, object]) -> dict[str, str]:
    found = {_text(name): _scalar(each) for name, each in _pairs(value)}
    if bad := next((name for name in found if not name or "=" in name), None):
        raise ValueError(f"{bad!r} is no name of a variable")
    return found


def _code(value: Mapping[str, Sequence[str] | str | None]) -> dict[str, tuple[str, ...]]:
    return {
        _text(folder): FILES if patterns is None else _patterns(patterns)
        for folder, patterns in _pairs(value)
    }


def _patterns(value: Sequence[str] | str) -> tuple[str, ...]:
    if not isinstance(value, str | Sequence):
        raise ValueError(f"{value!r} is neither a pattern of files nor a list of them")
    return (value,) if isinstance(value, str) else tuple(map(_text, value)) or FILES


def _choice(value: object) -> str:
    if value not in ("refuse", "warn"):
        raise ValueError(f"{value!r} is neither refuse nor warn")
    return str(value)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is not a text")
    return _without_null(value)


def _without_null(value: str) -> str:
    """Refuse what no command line and no environment variable can contain."""
    if "\0" in value:
        raise ValueError(f"{value!r} contains a null character")
    return value


def _scalar(value: object) -> str:
    match value:
        case bool():
            return str(value).lower()
        case str() | int() | float():
            return _without_null(str(value))
        case _:
            raise ValueError(f"{value!r} is neither a text nor a number")


_CHECKS: Mapping[str, Callable[[Any], object]] = {
    "paths": _paths,
    "python": _text,
    "container": _words,
    "environment": _variables,
    "setup": _text,
    "code": _code,
    "other_tasks": _choice,
}

_NOTHING: Mapping[str, object] = {
    "paths": {},
    "python": "",
    "container": (),
    "environment": {},
    "setup": "",
    "code": {},
    "other_tasks": "refuse",
    "labels": {},
    "engines": {},
}
"""What stands for a key without a value."""

_KEYS = tuple(_NOTHING)
