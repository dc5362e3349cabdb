"""Show pipelines as text, for ``--show``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, TextIO

from lsst.daf.butler import Butler
from lsst.pipe.base import Pipeline, PipelineGraph
from lsst.pipe.base.pipeline_graph import visualization

from ..errors import UsageError, did_you_mean
from ..options.pipeline import GRAPH_ITEMS, ITEMS_WITH_VALUE, PIPELINE_ITEMS
from .build import PipelineSource
from .show_config import dump_config, show_config, show_history, show_subtasks

__all__ = ["ShowItem", "ShowRequest", "show_pipeline"]

_YAML_ITEMS = ("pipeline", "subsets")
"""Items for which no task is imported."""


class ShowItem(NamedTuple):
    """``NAME`` or ``NAME=VALUE``."""

    name: str
    value: str

    @classmethod
    def parse(cls, text: str) -> ShowItem:
        """Read one value of ``--show``."""
        name, sign, value = text.partition("=")
        known = (*PIPELINE_ITEMS, *GRAPH_ITEMS)
        if name not in known:
            raise UsageError(f"--show {text}: there is no {name!r} to show{did_you_mean(name, known)}")
        if sign and name not in ITEMS_WITH_VALUE:
            raise UsageError(f"--show {text}: {name} takes no value.")
        if name == "history" and not value.rpartition("::")[2]:
            raise UsageError("--show history needs the name of a field, as in history=LABEL::PATTERN.")
        return cls(name, value)


@dataclass(frozen=True)
class ShowRequest:
    """The items to show, in this order."""

    items: tuple[ShowItem, ...] = ()

    @classmethod
    def parse(cls, texts: Sequence[str]) -> ShowRequest:
        """Read the values of ``--show``.

        Raises
        ------
        UsageError
            If there is no such item.
        """
        return cls(tuple(ShowItem.parse(text) for text in texts))

    @property
    def pipeline_items(self) -> tuple[ShowItem, ...]:
        """Items of the pipeline."""
        return tuple(item for item in self.items if item.name in PIPELINE_ITEMS)

    @property
    def graph_items(self) -> tuple[ShowItem, ...]:
        """Items of the quantum graph."""
        return tuple(item for item in self.items if item.name in GRAPH_ITEMS)

    @property
    def needs_pipeline_graph(self) -> bool:
        """Whether a pipeline graph is needed, for which tasks are imported."""
        return any(item.name not in _YAML_ITEMS for item in self.pipeline_items)


def show_pipeline(request: ShowRequest, source: PipelineSource, butler: Butler | None, out: TextIO) -> None:
    """Write the requested items of a pipeline.

    Parameters
    ----------
    request
        The items; those of quantum graphs are skipped.
    source
        The pipeline.
    butler
        Repository whose dimensions and storage classes are used; `None`: those known without a repository.
    out
        The stream to write to.

    Raises
    ------
    UsageError
        If a task or configuration field does not exist.
    PipetaskError
        If an item needs a pipeline graph, and that cannot be made.
    """
    graph = source.graph(butler, for_display=True) if request.needs_pipeline_graph else None
    for item in request.pipeline_items:
        if graph is None or item.name in _YAML_ITEMS:
            _show_yaml(item, source.pipeline, out)
        else:
            _show_graph(item, graph, out)


def _show_yaml(item: ShowItem, pipeline: Pipeline, out: TextIO) -> None:
    match item.name:
        case "pipeline":
            print(pipeline, file=out)
        case "subsets":
            print("\n".join(_subset_lines(pipeline)), file=out)
        case other:
            raise AssertionError(f"{other!r} is not shown of YAML")


def _subset_lines(pipeline: Pipeline) -> list[str]:
    subsets = pipeline.subsets
    return [
        line for name in subsets for line in (f"{name}:", *(f"  - {each}" for each in sorted(subsets[name])))
    ]


def _show_graph(item: ShowItem, graph: PipelineGraph, out: TextIO) -> None:
    match item.name:
        case "config":
            show_config(graph, item.value, out)
        case "dump-config":
            dump_config(graph, item.value, out)
        case "history":
            show_history(graph, item.value, out)
        case "tasks":
            show_subtasks(graph, out)
        case "inputs":
            _show_inputs(graph, out)
        case "pipeline-graph":
            visualization.show(graph, out, dataset_types=True)
        case "task-graph":
            visualization.show(graph, out, dataset_types=False)
        case other:
            raise AssertionError(f"nothing shows {other!r}")


def _show_inputs(graph: PipelineGraph, out: TextIO) -> None:
    for name, node in sorted(graph.iter_overall_inputs()):
        print(name, node.dimensions, node.storage_class_name, file=out)
