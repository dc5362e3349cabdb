"""A graph file of any size with the structure of `pipetask.testing.MockPipeline`, made without a registry's help."""

from __future__ import annotations

import os
import uuid
from pathlib import Path

from lsst.pipe.base.quantum_graph import (
    PredictedQuantumGraph,
    PredictedQuantumGraphComponents,
    PredictedThinGraphModel,
)
from lsst.pipe.base.quantum_graph import PredictedThinQuantumModel as Quantum

from pipetask.graph.file import GraphFile
from pipetask.repository.access import quanta_to_check
from pipetask.testing import MockPipeline

__all__ = ["write_large_file"]


def write_large_file(root: Path, exposures: int, detectors: int) -> int:
    """Write a graph of which only structure can be read, except for a few quanta, and the repository it is for.

    To build it would take pipe_base an hour at a million quanta.

    Parameters
    ----------
    root
        The new repository, in which it is ``graph.qg``.
    exposures, detectors
        How many there are.

    Returns
    -------
    quanta
        Number of quanta.
    """
    path = str(MockPipeline(2, 2, stored_inputs=False).make(root))
    with PredictedQuantumGraph.open(path) as reader:
        reader.read_all()
        components = reader.components
    small = components.thin_graph.quanta
    # Those that are there stay, with their datasets.
    known = {
        (label, *_own(label, quantum)): quantum.quantum_id for label in small for quantum in small[label]
    }
    implied = {
        label: small[label][0].data_coordinate[1 + len(_own(label, small[label][0])) :] for label in small
    }
    quanta: dict[str, list[Quantum]] = {label: [] for label in small}

    def add(label: str, *values: int) -> uuid.UUID:
        quantum_id = known.get((label, *values)) or uuid.UUID(bytes=os.urandom(16), version=4)
        data_id = ["Mock", *values, *implied[label]]
        quanta[label].append(Quantum.model_construct(quantum_id=quantum_id, data_coordinate=data_id))
        return quantum_id

    edges = []
    for exposure in range(exposures):
        last = add("gather", exposure)
        for detector in range(detectors):
            ends = add("isr", detector, exposure), add("characterize", detector, exposure), last
            edges += [ends[:2], ends[1:]]
    components.thin_graph = PredictedThinGraphModel.model_construct(quanta=quanta, edges=edges)
    components.header.n_task_quanta = {label: len(each) for label, each in quanta.items()}
    components.header.n_quanta = sum(components.header.n_task_quanta.values())
    components.write(path)
    _give_content(components, path, small["isr"][0].quantum_id)
    return components.header.n_quanta


def _give_content(components: PredictedQuantumGraphComponents, path: str, alike: uuid.UUID) -> None:
    """Write a graph again, in which the quanta that a run looks at have content, too: that of another one."""
    datasets = components.quantum_datasets
    for quantum_id in quanta_to_check(GraphFile(path).structure):
        datasets.setdefault(quantum_id, datasets[alike].model_copy(update={"quantum_id": quantum_id}))
    components.write(path)


def _own(label: str, quantum: Quantum) -> list[int]:
    """Return the values by which quanta of one task differ: exposure, or detector and exposure."""
    return list(quantum.data_coordinate[1 : 2 if label == "gather" else 3])
