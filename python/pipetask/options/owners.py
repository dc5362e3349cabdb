"""Which execution model owns which options.

A model names its group of options, a frozen dataclass.  Those of the models that come with pipetask are listed here;
those of others are found by importing the models, and only if there are any.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import MISSING, dataclass
from functools import lru_cache
from typing import Any

from ..errors import UsageError, one_line
from ..settings.plugins import BATCH_SYSTEMS, EXECUTORS, installed, load_class
from ..settings.site import VARIABLE, Settings
from .batch import BatchOptions
from .condor import CondorOptions
from .declaration import Declared, Option, declared
from .models import DryRunOptions, FuturesOptions, InProcessOptions, MultiprocessOptions
from .pbs import PbsOptions
from .pjm import PjmOptions
from .slurm import SlurmOptions

__all__ = ["BUILT_IN", "BuiltIn", "model_groups", "unusable_models", "without_clashes"]


@dataclass(frozen=True)
class BuiltIn:
    """An execution model that comes with pipetask."""

    path: str
    """Its class path, or that of its batch system."""

    groups: tuple[type[Any], ...]
    """The groups of its options."""


BUILT_IN: Mapping[str, BuiltIn] = {
    "in-process": BuiltIn("pipetask.executors.in_process:InProcessExecutor", (InProcessOptions,)),
    "multiprocess": BuiltIn("pipetask.executors.pool:MultiprocessExecutor", (MultiprocessOptions,)),
    "futures": BuiltIn("pipetask.executors.futures:FuturesExecutor", (FuturesOptions,)),
    "dry-run": BuiltIn("pipetask.executors.dry_run:DryRunExecutor", (DryRunOptions,)),
    "condor": BuiltIn("pipetask.batch.condor:CondorSystem", (BatchOptions, CondorOptions)),
    "slurm": BuiltIn("pipetask.batch.slurm:SlurmSystem", (BatchOptions, SlurmOptions)),
    "pbs": BuiltIn("pipetask.batch.pbs:PbsSystem", (BatchOptions, PbsOptions)),
    "pjm": BuiltIn("pipetask.batch.pjm:PjmSystem", (BatchOptions, PjmOptions)),
}
"""The execution models that come with pipetask, by mode."""


@dataclass(frozen=True)
class _Plugins:
    groups: Mapping[str, tuple[type[Any], ...]]
    unusable: Mapping[str, str]


def model_groups() -> dict[str, tuple[type[Any], ...]]:
    """Return the groups of options of all execution models, by mode; those of the package come first."""
    own = {mode: model.groups for mode, model in BUILT_IN.items()}
    return {**own, **_plugins(os.environ.get(VARIABLE), tuple(sys.path)).groups}


def unusable_models() -> Mapping[str, str]:
    """Return the modes whose models or options cannot be imported, with the reason."""
    return _plugins(os.environ.get(VARIABLE), tuple(sys.path)).unusable


@lru_cache(maxsize=1)
def _plugins(site_file: str | None, folders: tuple[str, ...]) -> _Plugins:
    """Import the models that other packages and the site bring; a broken one must not harm the others."""
    groups, unusable = {}, {}
    for mode, path in _class_paths(site_file).items():
        try:
            groups[mode] = _groups_of(load_class(path))
        except Exception as error:  # a plug-in may raise anything
            unusable[mode] = one_line(error)
    return _Plugins(groups, unusable)


def _class_paths(site_file: str | None) -> dict[str, str]:
    site: Mapping[str, str] = {}
    if site_file:
        with suppress(UsageError):  # help does without it; a run says what is wrong with the file
            site = Settings.load().modes
    found = {**site, **installed(BATCH_SYSTEMS), **installed(EXECUTORS)}
    return {mode: path for mode, path in found.items() if mode not in BUILT_IN}


def _groups_of(model: Any) -> tuple[type[Any], ...]:
    # A batch system names the execution model that hands quanta to it.
    common = (BatchOptions,) if hasattr(model, "execution_model") else ()
    group = getattr(model, "options_group", None)
    if group is None:
        return common
    for each in declared(group):
        # It is part of a command that mostly runs without this model.
        if not isinstance(each.option, Option) or not each.option.flags or each.default is MISSING:
            raise TypeError(f"option {each.name!r} of {group.__qualname__} needs flags and a default")
    return (*common, group)


def without_clashes(options: Iterable[Declared]) -> tuple[list[Declared], dict[str, str]]:
    """Leave out options of execution models whose names mean something else in the same command.

    Returns
    -------
    kept
        The other options, in their order.
    unusable
        The modes whose options were left out, with the reason.
    """
    options, kept, unusable = list(options), [], {}
    known = {"-h", "--help"}.union(*(_names(each) for each in options if not each.owners))
    for each in options:
        names = _names(each) if each.owners else set()
        if clash := sorted(names & known):
            reason = f"its option {clash[0]} has the name of another option"
            unusable.update(dict.fromkeys(each.owners, reason))
            continue
        known |= names
        kept.append(each)
    return kept, unusable


def _names(each: Declared) -> set[str]:
    kinds = (each.option,) if isinstance(each.option, Option) else each.option.kinds
    return {each.name, *(flag for kind in kinds for flags in kind.flags for flag in flags.split("/"))}
