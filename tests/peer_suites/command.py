"""A pytest plugin that puts our command in the place of LSST's, and our calls in the place of its scripts."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import click
from lsst.ctrl.mpexec.cli import pipetask, script
from lsst.pipe.base import Pipeline, PipelineGraph
from lsst.pipe.base.quantum_graph import PredictedQuantumGraph

from pipetask import (
    AddInstrument,
    AddTask,
    DeleteTask,
    EmptyGraphError,
    GraphBuildOptions,
    LoadConfigFile,
    OutputOptions,
    PipeBaseGraphExecutor,
    PipelineOptions,
    PipetaskError,
    RunOptions,
    SetConfig,
    build_graph,
    build_pipeline,
    write_graph,
)
from pipetask.cli import main
from pipetask.options.declaration import assemble
from pipetask.options.edits import PipelineEdit
from pipetask.options.keywords import values_of

T = TypeVar("T")
ANYTHING: dict[str, Any] = {"ignore_unknown_options": True, "help_option_names": []}


@click.command(context_settings=ANYTHING)
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
def cli(words: tuple[str, ...]) -> None:
    """Call our command.

    Usage errors that LSST's command finds late end with 1 there, and with 2 here, by choice.
    """
    sys.exit(1 if main(list(words)) else 0)


@dataclass
class Source:
    """A pipeline that is already a graph, in the place of ours, which comes from YAML."""

    pipeline_graph: PipelineGraph

    def graph(self, **_: object) -> PipelineGraph:
        """Return it."""
        return self.pipeline_graph.copy()


@contextmanager
def lsst_errors() -> Iterator[None]:
    """Raise what LSST's functions raise for input that makes no sense."""
    try:
        yield
    except PipetaskError as error:
        raise ValueError(str(error)) from error


def options(group: type[T], given: dict[str, Any]) -> T:
    """Return a group of our options, with the values that LSST's command has parsed."""
    return assemble(
        group, values_of([group], {name: value for name, value in given.items() if value is not None})
    )


def edit(action: Any) -> PipelineEdit:
    """Return an edit of ours for one of LSST's."""
    text = action.value if action.label is None else f"{action.label}:{action.value}"
    match action.action:
        case "new_task":
            return AddTask(action.value, action.label)
        case "delete_task":
            return DeleteTask(action.label)
        case "config":
            return SetConfig.parse(text)
        case "configfile":
            return LoadConfigFile.parse(text)
        case "add_instrument":
            return AddInstrument.parse(text)
        case other:
            raise ValueError(f"unknown action {other!r}")


@dataclass
class Built:
    """What LSST's ``build`` returns."""

    pipeline: Pipeline
    graph: Callable[[], PipelineGraph]

    def __call__(self) -> PipelineGraph:
        """Return the graph of the pipeline."""
        return self.graph()


def build(*, pipeline_actions: Any, pipeline: str | None, save_pipeline: str | None, **_: object) -> Built:
    """Build a pipeline, as ``pipetask build`` does."""
    source = build_pipeline(PipelineOptions(pipeline=pipeline, edits=tuple(map(edit, pipeline_actions))))
    if save_pipeline:
        source.save(save_pipeline)
    return Built(source.pipeline, source.graph)


def qgraph(
    pipeline_graph_factory: Any, *, butler_config: str, save_qgraph: str | None, **given: Any
) -> PredictedQuantumGraph | None:
    """Build a graph, as ``pipetask qgraph`` does."""
    source: Any = Source(pipeline_graph_factory(resolve=False))
    building, outputs = options(GraphBuildOptions, given), options(OutputOptions, given)
    with lsst_errors():
        try:
            components = build_graph(butler_config, source, building, outputs)
        except EmptyGraphError as error:
            logging.getLogger(__name__).error("%s", error)
            return None
    if save_qgraph:
        write_graph(components, save_qgraph)
    return components.assemble()


def run(qg: PredictedQuantumGraph, *, butler_config: str, **given: Any) -> None:
    """Execute a graph, as ``pipetask run`` does."""
    PipeBaseGraphExecutor("in-process", butler_config, options(RunOptions, given)).execute(qg)


def command(*words: str) -> None:
    """Call our command; fail if it does."""
    if code := main(list(words)):
        raise RuntimeError(f"{words} ended with {code}")


def pre_exec_init_qbb(*, butler_config: str, qgraph: str, **_: object) -> None:
    """Call ``pipetask pre-exec-init-qbb``."""
    command("pre-exec-init-qbb", butler_config, qgraph)


def run_qbb(*, butler_config: str, qgraph: str, **_: object) -> None:
    """Call ``pipetask run-qbb``."""
    command("run-qbb", butler_config, qgraph)


def update_graph_run(graph: str, run: str, output: str) -> None:
    """Call ``pipetask update-graph-run``."""
    command("update-graph-run", graph, run, output)


pipetask.cli = cli
for ours in (build, pre_exec_init_qbb, qgraph, run, run_qbb, update_graph_run):
    setattr(script, ours.__name__, ours)
