"""Read quanta from a graph file, a bundle at a time."""

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

# CPython issue 127847: reading two members of a zip file by turns, with seeks, ends up in the wrong place.  With all
# addresses read first there is only one member to seek in.  To go when Python 3.13.2 is the oldest 3.13 in use.
_SEEKS_GO_ASTRAY = (3, 12) <= sys.version_info < (3, 12, 9) or (3, 13) <= sys.version_info < (3, 13, 2)

_PAGE = 1 << 16
"""Bytes of the table of addresses that are read at a time.

With the default a single quantum costs reading all of it; and with very small pages, to read all of a large table takes
long, since to go back in a zip file means to begin anew.
"""


def read_datasets(reader: PredictedQuantumGraphReader, quantum_ids: Iterable[uuid.UUID]) -> None:
    """Read what some quanta read and write into the components of an open graph file.

    Parameters
    ----------
    reader
        The file.
    quantum_ids
        Which quanta.

    Raises
    ------
    LookupError
        If the file does not have one of them.
    """
    if _SEEKS_GO_ASTRAY:
        reader.address_reader.read_all()
    reader.read_quantum_datasets(quantum_ids)


def load_storage_classes(config: str, search_path: Sequence[str] = ()) -> ButlerConfig:
    """Make the storage classes known that a repository defines: a graph that names one can only be read then.

    To open a butler does that as well, but often a graph is read first.

    Parameters
    ----------
    config
        The repository.
    search_path
        More folders to search for configuration.

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
            Task node and quantum by ID.  Nothing of them is kept here.
        """
        ids = list(quantum_ids)
        components = self.part(ids)
        quanta = components.assemble().build_execution_quanta(ids)
        tasks = self.pipeline_graph.tasks
        return {id: (tasks[components.quantum_datasets[id].task_label], quanta[id]) for id in ids}

    def part(self, quantum_ids: Iterable[uuid.UUID]) -> PredictedQuantumGraphComponents:
        """Read some quanta with what they share with all others; counts and thin graph are not theirs.

        Parameters
        ----------
        quantum_ids
            Which ones.

        Raises
        ------
        LookupError
            If the file does not have one of them.
        """
        # Components of their own for each bundle, so that memory does not grow with what was read before.
        components = PredictedQuantumGraphComponents(
            header=self._shared.header.model_copy(),
            pipeline_graph=self._shared.pipeline_graph,
            dimension_data=self._shared.dimension_data,
            init_quanta=self._shared.init_quanta,
        )
        self._reader.components = components
        # To go back in a member of a zip file means to read it again from its beginning.
        find = self._reader.address_reader.find
        read_datasets(self._reader, sorted(quantum_ids, key=lambda id: find(id).addresses[0].offset))
        return components

    def close(self) -> None:
        """Close the file."""
        self._resources.close()
