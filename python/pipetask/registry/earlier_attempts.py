"""What earlier attempts at a run left in the registry."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from lsst.daf.butler import Butler, DatasetRef, MissingDatasetTypeError
from lsst.pipe.base import PipelineGraph
from lsst.pipe.base.pipeline_graph import TaskNode

from ..structure import GraphStructure

__all__ = ["EarlierAttempts"]


@dataclass(frozen=True)
class EarlierAttempts:
    """Positions of quanta that were run before, by how that went."""

    done: frozenset[int] = frozenset()
    """Their metadata is stored, which is how a success is recognised."""

    unsuccessful: frozenset[int] = frozenset()
    """The registry has outputs of theirs (the log, usually), but no metadata."""

    @classmethod
    def find(
        cls, butler: Butler, run: str, structure: GraphStructure, pipeline: PipelineGraph
    ) -> EarlierAttempts:
        """Ask the registry.

        Parameters
        ----------
        butler
            The repository.
        run
            The output run.
        structure, pipeline
            The graph's.
        """
        done: set[int] = set()
        unsuccessful: set[int] = set()
        for label in structure.labels:
            node = pipeline.tasks[label]
            index = {structure.data_values(position): position for position in structure.positions(label)}
            metadata = _find(butler, node.metadata_output.dataset_type_name, run)
            stored = butler.stored_many(metadata)
            succeeded = _positions((ref for ref in metadata if stored[ref]), index)
            done |= succeeded
            for name in _outputs_with_own_data_id(node, pipeline):
                unsuccessful |= _positions(_find(butler, name, run), index) - succeeded
        return cls(frozenset(done), frozenset(unsuccessful))


def _positions(refs: Iterable[DatasetRef], index: dict[tuple[Any, ...], int]) -> set[int]:
    """Return the positions of those quanta of one task that have one of these datasets."""
    found = (index.get(ref.dataId.required_values) for ref in refs)
    return {position for position in found if position is not None}


def _find(butler: Butler, dataset_type: str, run: str) -> list[DatasetRef]:
    try:
        return list(butler.registry.queryDatasets(dataset_type, collections=run, findFirst=False))
    except MissingDatasetTypeError:
        return []


def _outputs_with_own_data_id(node: TaskNode, pipeline: PipelineGraph) -> list[str]:
    """Return the names of outputs, the log among them, whose data ID is that of their quantum."""
    names = [edge.dataset_type_name for edge in node.iter_all_outputs()]
    return [name for name in names if pipeline.dataset_types[name].dimensions == node.dimensions]
