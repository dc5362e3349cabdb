"""Settings of a site: the shipped ``config/defaults.yaml``, and a site's file over it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import UsageError
from .yaml_file import check_key, read_sections, read_shipped, sections

__all__ = ["VARIABLE", "Settings"]

VARIABLE = "PIPETASK_CONFIG"
"""Environment variable with the path of a site's file."""


@dataclass(frozen=True)
class Settings:
    """What a site can override."""

    pool: Mapping[str, Any]
    """Fields of `pipetask.executors.pool.bundling.BundlePolicy`."""

    progress: Mapping[str, float]
    """``interval``: seconds between two lines of progress."""

    modes: Mapping[str, str]
    """Class paths of further execution models, by name."""

    @classmethod
    def load(cls) -> Settings:
        """Read the defaults and the site's file.

        Raises
        ------
        UsageError
            If the site's file does not exist, is not YAML, or has an unknown key or an invalid value.
        """
        content = read_shipped("defaults.yaml")
        if path := os.environ.get(VARIABLE):
            _overlay(content, read_sections(path, f"{VARIABLE}={path}"), path)
        return cls(**content)


def _overlay(base: dict[str, Any], site: dict[str, Any], path: str) -> None:
    for section, values in sections(site, base, f"{path}: section"):
        for key, value in values.items():
            if section != "modes":
                check_key(key, base[section], f"{path}: setting of {section!r}")
            if not _fits(value, base[section].get(key, "")):
                raise UsageError(f"{path}: {section}.{key} cannot be {value!r}.")
            base[section][key] = value


def _fits(value: object, default: object) -> bool:
    """Return whether a value can replace a default: a text, a positive integer, or a positive number."""
    match default:
        case str():
            return isinstance(value, str)
        case int():
            return type(value) is int and value > 0
        case _:
            return type(value) in (int, float) and float(str(value)) > 0
