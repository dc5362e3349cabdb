"""A quantum graph in memory: read all or some of it, write it, draw it, summarize it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from lsst.pipe.base.dot_tools import graph2dot
from lsst.pipe.base.mermaid_tools import graph2mermaid
from lsst.pipe.base.quantum_graph import PredictedQuantumGraph, PredictedQuantumGraphComponents
from lsst.pipe.base.quantum_reports import Report
from lsst.resources import ResourcePath

from ..errors import UsageError
from ..options.collection_names import check_new_name
from ..options.graph import GraphSaveOptions, GraphSelection
from .file import GraphFile, GraphLike
from .reader import read_datasets

__all__ = [
    "check_graph_name",
    "draw_graph",
    "read_graph",
    "update_output_run",
    "write_graph",
    "write_graph_summary",
]


def read_graph(path: GraphLike, selection: GraphSelection | None = None) -> PredictedQuantumGraphComponents:
    """Read a graph including the datasets of its quanta.

    Parameters
    ----------
    path
        A ``.qg`` file, or a legacy ``.qgraph``.
    selection
        Which quanta are read (by default all), and the identifier that a legacy file must have.

    Returns
    -------
    components
        A graph of only these quanta, which can be written and executed.

    Raises
    ------
    PipetaskError
        If it cannot be read, with the reason, or lacks a selected quantum.
    """
    selection = selection or GraphSelection()
    with (
        GraphFile.of(path, selection) as file,
        PredictedQuantumGraph.open(file.path) as reader,
    ):
        components: PredictedQuantumGraphComponents = reader.components
        if selection.quantum_ids is None:
            reader.read_all()
            return components
        reader.read_init_quanta()
        reader.read_dimension_data()
        read_datasets(reader, selection.quantum_ids)
        components.set_thin_graph()
        components.set_header_counts()
        return components


def check_graph_name(uri: str | Path) -> None:
    """Refuse a name that a graph file cannot have, before the graph is built.

    Raises
    ------
    UsageError
        If the name has neither of the two endings.
    """
    if ResourcePath(uri, forceDirectory=False).getExtension() not in (".qg", ".qgraph"):
        raise UsageError(
            f"{str(uri)!r} cannot be the name of a quantum graph: it must end in '.qg' (or '.qgraph')."
        )


def write_graph(components: PredictedQuantumGraphComponents, uri: str | Path) -> None:
    """Write a graph; a local file appears only when it is complete.

    Parameters
    ----------
    components
        The graph.
    uri
        The file; ``.qgraph`` selects the legacy format.

    Raises
    ------
    UsageError
        If the name has neither of the two endings.
    """
    check_graph_name(uri)
    target = ResourcePath(uri, forceDirectory=False)
    if not target.isLocal:
        components.write(target)
        return
    with ResourcePath.temporary_uri(target.dirname(), target.getExtension()) as unfinished:
        components.write(unfinished)
        target.transfer_from(unfinished, transfer="move", overwrite=True)


def update_output_run(graph: str | Path, run: str, output: str | Path) -> None:
    """Write a copy of a graph with another output run, and new IDs of its quanta and their outputs.

    Parameters
    ----------
    graph
        A ``.qg`` file, or a legacy ``.qgraph``.
    run
        The new output RUN collection, which need not exist.
    output
        The file to write; an existing file is replaced.

    Raises
    ------
    UsageError
        If the name of the run or the file is invalid.
    PipetaskError
        If the graph cannot be read.
    """
    check_new_name(run, "RUN")
    check_graph_name(output)
    components = read_graph(graph)
    components.update_output_run(run)
    write_graph(components, output)


def draw_graph(saved: GraphSaveOptions, graph: PredictedQuantumGraph) -> None:
    """Draw a graph in the formats that the options ask for.

    Parameters
    ----------
    saved
        Names of the files, if any.
    graph
        The graph, with the datasets of its quanta.
    """
    drawings: tuple[tuple[str | None, Callable[[Any, Any], None]], ...] = (
        (saved.qgraph_dot, graph2dot),
        (saved.qgraph_mermaid, graph2mermaid),
    )
    for uri, draw in drawings:
        if uri is not None:
            with ResourcePath(uri, forceDirectory=False).open("w") as out:
                draw(graph, out)


def write_graph_summary(graph: PredictedQuantumGraph, uri: str) -> None:
    """Write a summary of a graph that has not been executed: JSON that `lsst.pipe.base.quantum_reports.Report` reads.

    Parameters
    ----------
    graph
        The graph, with the datasets of its quanta.
    uri
        The file to write.
    """
    report = Report(qgraphSummary=graph._make_summary())  # pipe_base has no public name for it
    with ResourcePath(uri, forceDirectory=False).open("w") as out:
        out.write(report.model_dump_json(exclude_none=True, indent=2))
