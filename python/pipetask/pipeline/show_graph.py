"""Show quantum graphs as text, for ``--show``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

from lsst.daf.butler import Butler, DatasetRef, Quantum
from lsst.pipe.base.quantum_graph import PredictedQuantumGraph

from ..errors import UsageError
from ..repository.access import open_repository
from .show import ShowRequest

__all__ = ["show_graph"]


def show_graph(
    request: ShowRequest, graph: PredictedQuantumGraph, butler_config: str | Path | None, out: TextIO
) -> None:
    """Write the requested items of a quantum graph.

    Parameters
    ----------
    request
        The items; those of pipelines are skipped.
    graph
        The graph, with the datasets of its quanta.
    butler_config
        Repository with the datasets.
    out
        The stream to write to.

    Raises
    ------
    UsageError
        If URIs of datasets are requested without a repository.
    """
    for item in request.graph_items:
        match item.name:
            case "graph":
                lines = _quantum_lines(graph)
            case "workflow":
                lines = _workflow_lines(graph)
            case "uri":
                lines = _uri_lines(graph, butler_config)
            case other:
                raise AssertionError(f"nothing shows {other!r}")
        for line in lines:
            print(line, file=out)


def _quantum_lines(graph: PredictedQuantumGraph) -> Iterator[str]:
    for label, quanta in graph.quanta_by_task.items():
        yield f"{label} ({graph.pipeline_graph.tasks[label].task_class_name})"
        built = graph.build_execution_quanta(task_label=label)
        for data_id, quantum_id in quanta.items():
            quantum = built[quantum_id]
            yield f"  Quantum {quantum_id} dataId={data_id}:"
            yield "    inputs:"
            yield from _dataset_lines(quantum.inputs, quantum)
            yield "    outputs:"
            yield from _dataset_lines(quantum.outputs, quantum)


def _dataset_lines(datasets: Mapping[Any, tuple[DatasetRef, ...]], quantum: Quantum) -> Iterator[str]:
    for dataset_type, refs in datasets.items():
        yield f"      {dataset_type}:" if refs else f"      {dataset_type}: []"
        for ref in refs:
            yield f"        - {ref}"
            yield from _record_lines(ref, quantum)


def _record_lines(ref: DatasetRef, quantum: Quantum) -> Iterator[str]:
    for datastore, data in quantum.datastore_records.items():
        if tables := data.records.get(ref.id):
            yield f"          records for {datastore}:"
            for table, records in tables.items():
                yield f"            - {table}:"
                yield from (f"              - {record}:" for record in records)


def _workflow_lines(graph: PredictedQuantumGraph) -> Iterator[str]:
    quanta = graph.quantum_only_xgraph
    for quantum_id, node in quanta.nodes.items():
        yield f"Quantum {quantum_id}: {node['pipeline_node'].task_class_name}"
        for parent in quanta.predecessors(quantum_id):
            yield f"Parent Quantum {parent} - Child Quantum {quantum_id}"


def _uri_lines(graph: PredictedQuantumGraph, butler_config: str | Path | None) -> Iterator[str]:
    if butler_config is None:
        raise UsageError(
            "--show uri needs the repository in which the datasets are, or will be: give it with -b."
        )
    built, tasks = graph.build_execution_quanta(), graph.pipeline_graph.tasks
    with open_repository(str(butler_config), writeable=False) as butler:
        for label, quanta in graph.quanta_by_task.items():
            for quantum_id in quanta.values():
                yield f"Quantum {quantum_id}: {tasks[label].task_class_name}"
                yield "  inputs:"
                yield from _place_lines(butler, built[quantum_id].inputs)
                yield "  outputs:"
                yield from _place_lines(butler, built[quantum_id].outputs)


def _place_lines(butler: Butler, datasets: Mapping[Any, tuple[DatasetRef, ...]]) -> Iterator[str]:
    """Return URIs that datasets have or will have, also for dataset types that are not registered yet."""
    refs = [ref for same_type in datasets.values() for ref in same_type]
    places = butler.get_many_uris(refs, predict=True)
    for ref in refs:
        whole, components = places[ref]
        yield f"    {whole}" if whole else "    (disassembled artifact)"
        yield from (f"        {name}: {place}" for name, place in components.items() if not whole)
