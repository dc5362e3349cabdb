"""Find an execution model by name."""

from __future__ import annotations

import importlib
from importlib.metadata import EntryPoint, entry_points

from ..errors import UsageError, did_you_mean
from ..settings.site import Settings
from .base import QuantumExecutor

__all__ = ["find_executor", "mode_names"]

GROUP = "pipetask.executors"
"""Entry points in this group are execution models."""

_OWN = {
    "in-process": "pipetask.executors.in_process:InProcessExecutor",
    "multiprocess": "pipetask.executors.pool:MultiprocessExecutor",
    "dry-run": "pipetask.executors.dry_run:DryRunExecutor",
    "condor": "pipetask.batch.condor:CondorExecutor",
}


def mode_names() -> list[str]:
    """Return the names of all installed execution models."""
    installed = sorted(point.name for point in entry_points(group=GROUP) if point.name not in _OWN)
    return [*_OWN, *Settings.load().modes, *installed]


def find_executor(mode: str) -> type[QuantumExecutor]:
    """Return the class of an execution model.

    Parameters
    ----------
    mode
        A name (see `mode_names`), or a class path such as ``package.module.Class`` or ``package.module:Class``.

    Raises
    ------
    UsageError
        If there is no such model, or if it cannot be imported or is not a `QuantumExecutor`.
    """
    try:
        found = _load(mode)
    except (ImportError, AttributeError) as error:
        raise UsageError(f"--mode {mode}: cannot be imported ({error}).") from error
    if not (isinstance(found, type) and issubclass(found, QuantumExecutor)):
        raise UsageError(f"--mode {mode}: {found!r} is not a QuantumExecutor.")
    return found


def _load(mode: str) -> object:
    if mode in _OWN:
        return EntryPoint(mode, _OWN[mode], GROUP).load()
    for point in entry_points(group=GROUP, name=mode):
        return point.load()
    path = Settings.load().modes.get(mode, mode)
    module, _, name = path.replace(":", ".").rpartition(".")
    if not module:
        raise UsageError(f"--mode {mode}: no such mode{did_you_mean(mode, mode_names())}")
    return getattr(importlib.import_module(module), name)
