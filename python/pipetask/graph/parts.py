"""Write graph parts: some quanta of a graph file as a separate graph file."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import closing
from itertools import chain
from pathlib import Path

from lsst.daf.butler import (
    DataCoordinate,
    DataIdValue,
    DimensionDataAttacher,
    DimensionDataExtractor,
    DimensionGroup,
)
from lsst.pipe.base.quantum_graph import PredictedQuantumGraphComponents

from .reader import QuantumReader

__all__ = ["write_parts"]


def write_parts(path: str, parts: Iterable[tuple[Path, Iterable[uuid.UUID]]]) -> None:
    """Write graph parts, each of which can be read and executed like a whole graph.

    Parameters
    ----------
    path
        The graph file.  It is opened once, and one part at a time is in memory.
    parts
        The new ``.qg`` files, and the IDs of the quanta of each.

    Raises
    ------
    LookupError
        If the graph does not have one of the quanta, or lacks a dimension record.
    OSError
        If a file cannot be written.
    """
    with closing(QuantumReader(path)) as reader:
        for target, quantum_ids in parts:
            components = reader.part(quantum_ids)
            components.dimension_data = _needed_records(components)
            components.set_thin_graph()
            components.set_header_counts()
            components.write(str(target))


def _needed_records(components: PredictedQuantumGraphComponents) -> DimensionDataAttacher:
    """Return only the dimension records of the data IDs of a part: records with regions are large."""
    assert components.dimension_data is not None, "a reader has read it"
    data_ids: dict[DimensionGroup, list[DataCoordinate]] = defaultdict(list)
    for dimensions, values in dict.fromkeys(_data_ids(components)):
        data_ids[dimensions].append(DataCoordinate.from_full_values(dimensions, values))
    extractor = DimensionDataExtractor.from_dimension_group(
        DimensionGroup.union(*data_ids, universe=components.pipeline_graph.universe)
    )
    for dimensions, members in data_ids.items():
        extractor.update(components.dimension_data.attach(dimensions, members))
    return DimensionDataAttacher(records=extractor.records.values())


def _data_ids(
    components: PredictedQuantumGraphComponents,
) -> Iterator[tuple[DimensionGroup, tuple[DataIdValue, ...]]]:
    """Yield dimensions and values of the data IDs of quanta and of their datasets."""
    tasks, dataset_types = components.pipeline_graph.tasks, components.pipeline_graph.dataset_types
    for quantum in components.quantum_datasets.values():
        yield tasks[quantum.task_label].dimensions, tuple(quantum.data_coordinate)
        for dataset in chain.from_iterable(chain(quantum.inputs.values(), quantum.outputs.values())):
            yield dataset_types[dataset.dataset_type_name].dimensions, tuple(dataset.data_coordinate)
