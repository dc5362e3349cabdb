"""Read quanta from a graph file, several at a time."""

from __future__ import annotations

import sys
import uuid
from collections.abc import Iterable, Sequence
from contextlib import ExitStack

from lsst.daf.butler import ButlerConfig, Quantum, StorageClassFactory
from lsst.pipe.base.pipeline_graph import PipelineGraph, TaskNode
from lsst.pipe.base.quantum_graph import (
    PredictedQuantumGraph,
    PredictedQuantumGraphComponents,
    PredictedQuantumGraphReader,
)

__all__ = ["QuantumReader", "load_storage_classes", "read_datasets"]

# CPython issue 127847: alternately reading two members of a zip file, with seeks, reads from the wrong place.  If all
# addresses are read first, there is only one member to seek in.  Remove this when Python 3.13.2 is the oldest 3.13.
_SEEKS_GO_ASTRAY = (3, 12) <= sys.version_info < (3, 12, 9) or (3, 13) <= sys.version_info < (3, 13, 2)

_PAGE = 1 << 16
"""Bytes of the address table that are read at a time.

With the default, reading one quantum reads the whole table.  With very small pages, reading the whole of a large table
is slow, because going back in a zip file means reading it again from the start.
"""


def read_datasets(reader: PredictedQuantumGraphReader, quantum_ids: Iterable[uuid.UUID]) -> None:
    """Read the datasets of some quanta into the components of an open graph file.

    Parameters
    ----------
    reader
        The file.
    quantum_ids
        Which quanta.

    Raises
    ------
    LookupError
        If the file lacks one of them.
    """
    if _SEEKS_GO_ASTRAY:
        reader.address_reader.read_all()
    reader.read_quantum_datasets(quantum_ids)


def load_storage_classes(config: str, search_path: Sequence[str] = ()) -> ButlerConfig:
    """Load the storage classes that a repository defines, which a graph may refer to.

    Opening a butler does that, too, but a graph is often read earlier.

    Parameters
    ----------
    config
        The repository.
    search_path
        Additional folders to search for configuration.

    Returns
    -------
    config
        The repository's configuration.
    """
    found = ButlerConfig(config, searchPaths=list(search_path))
    StorageClassFactory().addFromConfig(found)
    return found


class QuantumReader:
    """Reads executable quanta from a ``.qg`` file that it keeps open.

    Parameters
    ----------
    path
        The graph file.

    Raises
    ------
    ImportError
        If a task class of the graph cannot be imported.
    """

    def __init__(self, path: str):
        self._resources = ExitStack()
        self._reader = self._resources.enter_context(PredictedQuantumGraph.open(path, page_size=_PAGE))
        self._reader.read_init_quanta()
        self._reader.read_dimension_data()
        self._shared = self._reader.components

    @property
    def pipeline_graph(self) -> PipelineGraph:
        """The pipeline, with its tasks imported."""
        return self._shared.pipeline_graph

    @property
    def output_run(self) -> str:
        """Name of the graph's output RUN collection."""
        return self._shared.header.output_run

    def read(self, quantum_ids: Iterable[uuid.UUID]) -> dict[uuid.UUID, tuple[TaskNode, Quantum]]:
        """Read some quanta.

        Parameters
        ----------
        quantum_ids
            Which ones.

        Returns
        -------
        quanta
            Task node and quantum by ID.  The reader does not keep them.
        """
        ids = list(quantum_ids)
        components = self.part(ids)
        quanta = components.assemble().build_execution_quanta(ids)
        tasks = self.pipeline_graph.tasks
        return {id: (tasks[components.quantum_datasets[id].task_label], quanta[id]) for id in ids}

    def part(self, quantum_ids: Iterable[uuid.UUID]) -> PredictedQuantumGraphComponents:
        """Read some quanta together with header and pipeline; counts and thin graph are those of the whole graph.

        Parameters
        ----------
        quantum_ids
            Which ones.

        Raises
        ------
        LookupError
            If the file lacks one of them.
        """
        # New components for each call, so that memory does not grow with the number of quanta read.
        components = PredictedQuantumGraphComponents(
            header=self._shared.header.model_copy(),
            pipeline_graph=self._shared.pipeline_graph,
            dimension_data=self._shared.dimension_data,
            init_quanta=self._shared.init_quanta,
        )
        self._reader.components = components
        # Going back in a member of a zip file means reading it again from its start.
        find = self._reader.address_reader.find
        read_datasets(self._reader, sorted(quantum_ids, key=lambda id: find(id).addresses[0].offset))
        return components

    def close(self) -> None:
        """Close the file."""
        self._resources.close()
