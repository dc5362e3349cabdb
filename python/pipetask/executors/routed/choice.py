"""Makes the execution models that ``--route`` names."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from ...errors import UsageError, did_you_mean
from ...options.models import FuturesOptions, LocalOptions, MultiprocessOptions
from ..base import QuantumExecutor
from ..futures import FuturesExecutor
from ..futures.engine import engine_names, names_engine
from ..modes import find_executor, mode_names
from .executor import Route, RoutedExecutor

__all__ = ["groups_of", "with_routes"]

POOL = "multiprocess"
"""The one mode that takes an argument here: its number of processes."""


def with_routes(
    default: QuantumExecutor, mode: str, routes: Sequence[str], options_of: Callable[[type[Any]], Any]
) -> QuantumExecutor:
    """Return an execution model that runs some labels elsewhere; the default if there are no routes.

    Parameters
    ----------
    default
        What runs all other labels.
    mode
        Its name.
    routes
        Texts of the form ``LABEL=MODEL``.
    options_of
        Returns an instance of a group of options.

    Raises
    ------
    UsageError
        If a model does not exist, or cannot run a part of a graph.
    """
    if not routes:
        return default
    if not default.traits.parts:
        raise UsageError(
            f"--route needs another default than --mode {mode}, which can only run a whole graph."
        )
    if options_of(LocalOptions).debugger:
        raise UsageError("--pdb needs the terminal for one execution model: leave out --route.")
    made = {mode: default}
    found = []
    for text in routes:
        pattern, _, name = text.partition("=")
        if name not in made:
            made[name] = _model(name, text, options_of)
        found.append(Route(pattern, name, made[name]))
    return RoutedExecutor(found, default, mode)


def groups_of(routes: Sequence[str]) -> Iterator[type[Any]]:
    """Yield the groups of options of the models that are named in routes."""
    for text in routes:
        model = _class(text.partition("=")[2], text)
        if model.options_group is not None:
            yield model.options_group


def _class(name: str, route: str) -> type[QuantumExecutor]:
    """Return the class of the model with this name, which may be the name or the class path of an engine."""
    if name.partition(":")[0] == POOL:
        return find_executor(POOL)
    if names_engine(name):
        return find_executor("futures")
    known = mode_names()
    if name not in known and not {".", ":"} & set(name):
        names = [*engine_names(), *known]
        raise UsageError(f"--route {route}: there is no such model or engine{did_you_mean(name, names)}")
    return find_executor(name, f"--route {route}")


def _model(name: str, route: str, options_of: Callable[[type[Any]], Any]) -> QuantumExecutor:
    model = _class(name, route)
    if not model.traits.parts:
        raise UsageError(
            f"--route {route}: {name} can only run a whole graph; use {POOL}, or an engine such as dask."
        )
    argument = name.partition(":")[2]
    options = None if model.options_group is None else options_of(model.options_group)
    match options:
        case MultiprocessOptions() if argument:
            if not (argument.isdecimal() and int(argument)):
                raise UsageError(f"--route {route}: {argument!r} is not a number of processes.")
            options = replace(options, processes=int(argument))
        case FuturesOptions() if names_engine(name):
            return FuturesExecutor.from_options(replace(options, engine=name), f"--route {route}")
    return model.from_options(options)
