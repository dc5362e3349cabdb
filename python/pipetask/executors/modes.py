"""Find an execution model by name."""

from __future__ import annotations

import importlib
from importlib.metadata import EntryPoint, entry_points

from ..errors import UsageError, did_you_mean
from ..settings.site import Settings
from .base import QuantumExecutor

__all__ = ["BATCH_SYSTEMS", "find_executor", "load_mode", "mode_names"]

GROUP = "pipetask.executors"
"""Entry points in this group are execution models."""

BATCH_SYSTEMS = "pipetask.batch_systems"
"""Entry points in this group are batch systems, each of which is an execution model, too."""

_OWN = {
    "in-process": "pipetask.executors.in_process:InProcessExecutor",
    "multiprocess": "pipetask.executors.pool:MultiprocessExecutor",
    "dry-run": "pipetask.executors.dry_run:DryRunExecutor",
    "condor": "pipetask.batch.condor:CondorSystem",
}


def mode_names() -> list[str]:
    """Return the names of all installed execution models."""
    installed = {point.name for group in (GROUP, BATCH_SYSTEMS) for point in entry_points(group=group)}
    return [*_OWN, *Settings.load().modes, *sorted(installed.difference(_OWN))]


def find_executor(mode: str) -> type[QuantumExecutor]:
    """Return the class of an execution model.

    Parameters
    ----------
    mode
        A name (see `mode_names`), or a class path such as ``package.module.Class`` or ``package.module:Class``.

    Raises
    ------
    UsageError
        If there is no such model, or if it cannot be imported or is neither a `QuantumExecutor` nor a batch system.
    """
    try:
        found = load_mode(mode)
    except (ImportError, AttributeError) as error:
        raise UsageError(f"--mode {mode}: cannot be imported ({error}).") from error
    model = _model_of(found)
    if not (isinstance(model, type) and issubclass(model, QuantumExecutor)):
        raise UsageError(f"--mode {mode}: {found!r} is neither a QuantumExecutor nor a BatchSystem.")
    return model


def _model_of(found: object) -> object:
    """Return what hands quanta to a batch system, which names it, or else what was found."""
    path = getattr(found, "execution_model", None)
    return EntryPoint("", path, GROUP).load().of(found) if path is not None else found


def load_mode(name: str) -> object:
    """Import what a name or a class path stands for.

    Raises
    ------
    UsageError
        If there is no such name.
    ImportError, AttributeError
        If it cannot be imported.
    """
    if name in _OWN:
        return EntryPoint(name, _OWN[name], GROUP).load()
    for group in (GROUP, BATCH_SYSTEMS):
        for point in entry_points(group=group, name=name):
            return point.load()
    path = Settings.load().modes.get(name, name)
    module, _, attribute = path.replace(":", ".").rpartition(".")
    if not module:
        raise UsageError(f"--mode {name}: no such mode{did_you_mean(name, mode_names())}")
    return getattr(importlib.import_module(module), attribute)
