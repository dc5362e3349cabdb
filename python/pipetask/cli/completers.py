"""Shell completion for values of options.

A completer cannot show errors: where something is wrong it offers nothing, and the command says why.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Iterable
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from ..options.declaration import Completion
from ..options.logs import LEVELS

if TYPE_CHECKING:
    from lsst.daf.butler import Butler
    from lsst.pipe.base import Pipeline

__all__ = ["complete"]

Completer = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]
Finder = Callable[[click.Context, str], Iterable[str]]
"""Finds values that may begin with a text; others are left out."""


def complete(kind: Completion | None) -> Completer | None:
    """Return the completion function for a kind of value; `None` if there is no completion."""
    match kind:
        case None:
            return None
        case "files":
            return lambda ctx, parameter, incomplete: [CompletionItem(incomplete, type="file")]
        case "folders":
            return lambda ctx, parameter, incomplete: [CompletionItem(incomplete, type="dir")]
        case "pipelines":
            return _pipelines
        case "modes":
            return partial(_offer, _modes)
        case "labels":
            return partial(_offer, _labels)
        case "show":
            return partial(_offer, _show_items)
        case "levels":
            return partial(_offer, _levels)
        case "collections":
            return partial(_offer_list, _collections)
        case "dataset types":
            return partial(_offer_list, _dataset_types)
        case other:
            raise AssertionError(f"nothing completes {other!r}")


def _offer(
    find: Finder, ctx: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    try:
        return [CompletionItem(name) for name in find(ctx, incomplete) if name.startswith(incomplete)]
    except Exception:
        return []


def _offer_list(
    find: Finder, ctx: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Complete the last of several values with commas between them."""
    before, comma, last = incomplete.rpartition(",")
    items = _offer(find, ctx, parameter, last)
    return [CompletionItem(f"{before}{comma}{item.value}") for item in items]


def _modes(ctx: click.Context, incomplete: str) -> Iterable[str]:
    from ..executors.modes import mode_names

    return mode_names()


def _show_items(ctx: click.Context, incomplete: str) -> Iterable[str]:
    from ..options.pipeline import GRAPH_ITEMS, PIPELINE_ITEMS

    name, sign, _ = incomplete.partition("=")
    match name, sign:
        case "dump-config", "=":
            return [f"dump-config={label}" for label in _pipeline(ctx.params["pipeline"]).task_labels]
        case (("config" | "history"), "="):
            return [f"{name}={label}::" for label in _pipeline(ctx.params["pipeline"]).task_labels]
        case _:
            return (*PIPELINE_ITEMS, *GRAPH_ITEMS)


def _levels(ctx: click.Context, incomplete: str) -> Iterable[str]:
    """Offer levels, and loggers of LSST's packages."""
    component, sign, _ = incomplete.rpartition("=")
    if sign:
        return [f"{component}={level}" for level in LEVELS]
    return [*LEVELS, *(f"{name}=" for name in _components())]


def _components() -> Iterable[str]:
    """Yield names of the installed packages of LSST, two levels deep, without importing them."""
    import lsst

    yield from ("pipetask", "lsst")
    for package in pkgutil.iter_modules(lsst.__path__, "lsst."):
        yield package.name
        parts = [f"{path}/{package.name.removeprefix('lsst.')}" for path in lsst.__path__]
        yield from (found.name for found in pkgutil.iter_modules(parts, f"{package.name}.") if found.ispkg)


def _pipeline(path: str) -> Pipeline:
    from lsst.pipe.base import Pipeline

    return Pipeline.from_uri(path)


def _labels(ctx: click.Context, incomplete: str) -> Iterable[str]:
    """Offer task labels and subsets of the pipeline file that the command line names so far."""
    return _labels_of(ctx.params["pipeline"])


def _labels_of(path: str) -> Iterable[str]:
    pipeline = _pipeline(path)
    return [*pipeline.task_labels, *pipeline.subsets]


def _pipelines(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete a file, and what follows ``#``: labels and subsets with commas, or a range."""
    path, sign, labels = incomplete.partition("#")
    if not sign:
        return [CompletionItem(incomplete, type="file")]
    last = labels.replace("..", ",").rpartition(",")[2]
    before = incomplete.removesuffix(last)
    items = _offer(lambda ctx, incomplete: _labels_of(path), ctx, parameter, last)
    return [CompletionItem(f"{before}{item.value}") for item in items]


def _butler(ctx: click.Context) -> Butler:
    from lsst.daf.butler import Butler

    repository = ctx.params.get("butler_config") or ctx.params["repo"]
    return Butler.from_config(repository, writeable=False)


def _collections(ctx: click.Context, incomplete: str) -> Iterable[str]:
    with closing(_butler(ctx)) as butler:
        return list(butler.collections.query(f"{incomplete}*"))


def _dataset_types(ctx: click.Context, incomplete: str) -> Iterable[str]:
    with closing(_butler(ctx)) as butler:
        return sorted(found.name for found in butler.registry.queryDatasetTypes(f"{incomplete}*"))
