"""Count what the quanta of a graph read and write."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from contextlib import ExitStack
from itertools import chain

from lsst.pipe.base.quantum_graph import PredictedQuantumGraph

from ..graph.reader import read_datasets
from ..graph.structure import GraphStructure

__all__ = ["DatasetCounts"]

CHUNK = 2000
"""Quanta that are read from the graph file at a time."""


class DatasetCounts:
    """Counts the datasets of a graph file, by task and dataset type.

    The file is opened at once and stays open, so that it can be read at the end of a run in which it was deleted, or
    replaced by another.

    Parameters
    ----------
    path
        The ``.qg`` file.
    """

    def __init__(self, path: str):
        self._resources = ExitStack()
        self._reader = self._resources.enter_context(PredictedQuantumGraph.open(path))

    def count(
        self, structure: GraphStructure
    ) -> tuple[Mapping[str, Counter[str]], Mapping[str, Counter[str]]]:
        """Return the numbers of inputs and of outputs of some quanta, and close the file.

        Parameters
        ----------
        structure
            The quanta.

        Returns
        -------
        inputs, outputs
            Numbers by task label and dataset type.
        """
        inputs: defaultdict[str, Counter[str]] = defaultdict(Counter)
        outputs: defaultdict[str, Counter[str]] = defaultdict(Counter)
        components = self._reader.components
        with self._resources:
            for first in range(0, len(structure), CHUNK):
                positions = range(first, min(first + CHUNK, len(structure)))
                read_datasets(self._reader, (structure.quantum_id(position) for position in positions))
                for quantum in components.quantum_datasets.values():
                    for counter, datasets in ((inputs, quantum.inputs), (outputs, quantum.outputs)):
                        names = (d.dataset_type_name for d in chain.from_iterable(datasets.values()))
                        counter[quantum.task_label].update(names)
                components.quantum_datasets.clear()
        return inputs, outputs
