"""What a quantum graph holds, as plain values that can be compared."""

from __future__ import annotations

import json
import re
import sqlite3
import uuid
from collections.abc import Iterable, Iterator
from contextlib import closing
from itertools import chain
from pathlib import Path
from typing import Any

from lsst.pipe.base.quantum_graph import PredictedQuantumDatasetsModel, PredictedQuantumGraphComponents

from pipetask.graph.components import read_graph

TIMESTAMP = re.compile(r"\d{8}T\d{6}Z")


def timeless(text: str) -> str:
    """Return a text without the times in names of runs."""
    return TIMESTAMP.sub("TIME", text)


def known_datasets(root: Path) -> frozenset[uuid.UUID]:
    """Return the IDs of all datasets of a repository; a graph's other ones are made up when it is built."""
    with closing(sqlite3.connect(f"{(root / 'gen3.sqlite3').as_uri()}?mode=ro", uri=True)) as database:
        return frozenset(uuid.UUID(id) for (id,) in database.execute("SELECT id FROM dataset"))


def comparable_graph(path: Path, known: frozenset[uuid.UUID]) -> dict[str, Any]:
    """Return all of a graph but times, users, and IDs that are made up."""
    components = read_graph(str(path))
    header, names = components.header, _names(components)
    return {
        "inputs": header.inputs,
        "output": header.output,
        "output_run": timeless(header.output_run),
        "counts": (header.n_quanta, header.n_datasets, header.n_task_quanta),
        "metadata": _noted(json.loads(timeless(json.dumps(header.metadata)))),
        "tasks": {label: _task(node) for label, node in components.pipeline_graph.tasks.items()},
        "init": {each.task_label: _datasets(each, known) for each in components.init_quanta.root},
        "quanta": {names[id]: _datasets(each, known) for id, each in components.quantum_datasets.items()},
        "edges": {(names[first], names[second]) for first, second in components.thin_graph.edges},
        "records": sorted(_records(components)),
    }


def _noted(metadata: dict[str, Any]) -> dict[str, Any]:
    """Drop what older versions of LSST's command do not note, if it says nothing."""
    return {key: value for key, value in metadata.items() if value is not None}


def _names(components: PredictedQuantumGraphComponents) -> dict[uuid.UUID, tuple[Any, ...]]:
    quanta = components.quantum_datasets.items()
    return {id: (each.task_label, *each.data_coordinate) for id, each in quanta}


def _task(node: Any) -> tuple[Any, ...]:
    return node.task_class_name, node.get_config_str()


def _datasets(
    quantum: PredictedQuantumDatasetsModel, known: frozenset[uuid.UUID]
) -> dict[str, dict[str, list[str]]]:
    return {
        kind: {name: _sorted(datasets, known) for name, datasets in connections.items()}
        for kind, connections in (("inputs", quantum.inputs), ("outputs", quantum.outputs))
    }


def _sorted(datasets: Iterable[Any], known: frozenset[uuid.UUID]) -> list[str]:
    found = (
        (
            each.dataset_type_name,
            each.data_coordinate,
            timeless(each.run),
            each.dataset_id in known and each.dataset_id,
        )
        for each in datasets
    )
    return sorted(map(str, found))


def _records(components: PredictedQuantumGraphComponents) -> Iterator[str]:
    """Yield datastore records, each of which belongs to an input and so to a known dataset."""
    quanta = chain(components.init_quanta.root, components.quantum_datasets.values())
    for quantum in quanta:
        for datastore, data in quantum.datastore_records.items():
            yield f"{quantum.task_label} {datastore} {data.model_dump_json()}"
