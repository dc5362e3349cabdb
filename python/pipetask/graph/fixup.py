"""Additional dependencies from a plug-in: pipe_base's `ExecutionGraphFixup`."""

from __future__ import annotations

import uuid
from collections.abc import Container, Mapping

import networkx
from lsst.daf.butler import DataCoordinate
from lsst.pipe.base.execution_graph_fixup import ExecutionGraphFixup
from lsst.pipe.base.quantum_graph import PredictedQuantumGraph
from lsst.utils import doImportType

from ..errors import PipetaskError, UsageError, reason_of
from .file import GraphFile
from .structure import GraphStructure

__all__ = ["fix_up", "load_graph_fixup"]


def load_graph_fixup(name: str) -> ExecutionGraphFixup:
    """Make a fixup.

    Parameters
    ----------
    name
        A class, or a function without parameters that makes an instance, such as ``package.module.function``.

    Raises
    ------
    UsageError
        If it cannot be imported or called, or does not give an `ExecutionGraphFixup`.
    """
    try:
        factory = doImportType(name)
    except Exception as error:  # a module may raise anything
        raise UsageError(f"--graph-fixup {name} cannot be imported: {reason_of(error)}.") from error
    try:
        fixup = factory()
    except Exception as error:
        reason = f"{type(error).__name__}: {reason_of(error)}"
        raise UsageError(f"--graph-fixup {name} cannot be made without arguments ({reason}).") from error
    if not isinstance(fixup, ExecutionGraphFixup):
        raise UsageError(f"--graph-fixup {name} gives {fixup!r}, which is not an ExecutionGraphFixup.")
    kind = type(fixup)
    if (kind.fixup_graph, kind.fixupQuanta) == (
        ExecutionGraphFixup.fixup_graph,
        ExecutionGraphFixup.fixupQuanta,
    ):
        raise UsageError(f"--graph-fixup {name}: {kind.__qualname__} has no method fixup_graph.")
    return fixup


def fix_up(file: GraphFile, fixup: ExecutionGraphFixup, excluded: Container[int] = ()) -> GraphStructure:
    """Return the structure of a graph with the edges that a fixup adds.

    Parameters
    ----------
    file
        The graph.
    fixup
        Adds edges.
    excluded
        Positions of quanta that will not run.  The fixup does not see them, so that the order of the quanta before and
        after them is kept.

    Raises
    ------
    PipetaskError
        If the fixup raises, does anything but add edges, or makes a cycle.

    Notes
    -----
    Attributes of nodes are ``task_label``, ``data_id`` and ``pipeline_node``.  A fixup with the old interface,
    ``fixupQuanta`` instead of ``fixup_graph``, needs the whole graph in memory, with all datasets.
    """
    structure = file.structure
    every = {structure.quantum_id(position): position for position in range(len(structure))}
    positions = {id: position for id, position in every.items() if position not in excluded}
    if not positions:
        return structure
    predicted = _read(file)
    before = predicted.quantum_only_xgraph.subgraph(positions)
    after = before.copy()
    name = f"--graph-fixup: {type(fixup).__qualname__}"
    try:
        _apply(fixup, after, _by_task(predicted, positions), file)
    except Exception as error:
        reason = f"{type(error).__name__}: {reason_of(error)}"
        raise PipetaskError(f"{name} failed ({reason}); --log-level DEBUG shows where.") from error
    _check(name, before, after)
    return structure.with_edges((positions[a], positions[b]) for a, b in after.edges - before.edges)


def _read(file: GraphFile, *, datasets: bool = False) -> PredictedQuantumGraph:
    with PredictedQuantumGraph.open(file.path) as reader:
        if datasets:
            reader.read_all()
        else:
            reader.read_thin_graph()
        return reader.finish()


def _by_task(
    predicted: PredictedQuantumGraph, wanted: Container[uuid.UUID]
) -> dict[str, dict[DataCoordinate, uuid.UUID]]:
    return {
        label: {data_id: id for data_id, id in quanta.items() if id in wanted}
        for label, quanta in predicted.quanta_by_task.items()
    }


def _apply(
    fixup: ExecutionGraphFixup,
    xgraph: networkx.DiGraph,
    quanta_by_task: Mapping[str, Mapping[DataCoordinate, uuid.UUID]],
    file: GraphFile,
) -> None:
    try:
        fixup.fixup_graph(xgraph, quanta_by_task)
    except NotImplementedError:  # the old interface
        old = _read(file, datasets=True).to_old_quantum_graph()
        wanted = old.subset([node for node in old if node.nodeId in xgraph])
        xgraph.add_edges_from((a.nodeId, b.nodeId) for a, b in fixup.fixupQuanta(wanted).graph.edges)


def _check(name: str, before: networkx.DiGraph, after: networkx.DiGraph) -> None:
    """Refuse anything but new edges without a cycle."""
    if foreign := after.nodes - before.nodes:
        raise PipetaskError(f"{name} adds {foreign.pop()}, which is not the ID of a quantum that will run.")
    if lost := before.nodes - after.nodes:
        raise PipetaskError(f"{name} removes {_describe(before, lost.pop())}; it may only add ordering.")
    if lost := before.edges - after.edges:
        first, second = lost.pop()
        raise PipetaskError(
            f"{name} lets {_describe(before, second)} run before {_describe(before, first)}, which it needs; it may "
            "only add ordering."
        )
    if not networkx.is_directed_acyclic_graph(after):
        cycle = [_describe(before, id) for id, _ in networkx.find_cycle(after)]
        raise PipetaskError(f"{name} makes quanta wait for each other in a circle: {', '.join(cycle[:5])}.")


def _describe(xgraph: networkx.DiGraph, id: uuid.UUID) -> str:
    node = xgraph.nodes[id]
    values = ", ".join(f"{name}={value!r}" for name, value in node["data_id"].required.items())
    return f"{node['task_label']} ({values})"
