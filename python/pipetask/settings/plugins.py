"""Execution models and batch systems of other packages, found by entry point."""

from __future__ import annotations

import importlib
import os
import sys
from functools import lru_cache, reduce
from typing import Any

__all__ = ["BATCH_SYSTEMS", "ENGINES", "EXECUTORS", "installed", "load_class", "path_hint"]

EXECUTORS = "pipetask.executors"
"""Entry points in this group are execution models."""

BATCH_SYSTEMS = "pipetask.batch_systems"
"""Entry points in this group are batch systems, each of which is an execution model, too."""

ENGINES = "pipetask.engines"
"""Entry points in this group are engines of the execution model ``futures``."""


def installed(group: str) -> dict[str, str]:
    """Return the class paths of the entry points in a group, by name.

    Parameters
    ----------
    group
        Name of the group.
    """
    return dict(_installed(group, tuple(sys.path)))


@lru_cache(maxsize=8)
def _installed(group: str, folders: tuple[str, ...]) -> dict[str, str]:
    # Importing importlib.metadata costs 20 ms, a fifth of the time that --help takes; so it is imported only where a
    # package has such an entry point.
    if not any(group in _entry_points_in(folder) for folder in folders):
        return {}
    from importlib.metadata import entry_points

    return {point.name: point.value for point in entry_points(group=group)}


@lru_cache(maxsize=32)
def _entry_points_in(folder: str) -> str:
    """Return the texts of all entry points of the packages that are installed in a folder."""
    try:
        names = [name for name in os.listdir(folder) if name.endswith((".dist-info", ".egg-info"))]  # noqa: PTH208
    except OSError:
        return ""
    return "\n".join(_text(f"{folder}/{name}/entry_points.txt") for name in names)


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:  # noqa: PTH123  pathlib takes as long again
            return file.read()
    except OSError:
        return ""


def load_class(path: str) -> Any:
    """Import what a class path stands for.

    Parameters
    ----------
    path
        Such as ``package.module:Class`` or ``package.module.Class``.

    Raises
    ------
    ImportError, AttributeError
        If there is no such thing; or whatever else importing its module raises.
    """
    module, colon, names = path.partition(":")
    if not colon:
        module, _, names = path.rpartition(".")
    return reduce(getattr, names.split("."), importlib.import_module(module))


def path_hint(path: str, error: Exception) -> str:
    """Return what a user can do if the package of a class path was not found; empty if the error is another one.

    Parameters
    ----------
    path
        The class path.
    error
        What importing it has raised.
    """
    package = path.partition(":")[0].partition(".")[0]
    missing = isinstance(error, ModuleNotFoundError) and error.name == package
    return ": install its package, or put the folder with it on PYTHONPATH" if missing else ""
