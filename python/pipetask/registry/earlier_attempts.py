"""What earlier attempts at a run left in the registry."""

from __future__ import annotations

from dataclasses import dataclass

from lsst.daf.butler import Butler, DatasetRef, MissingDatasetTypeError
from lsst.pipe.base import PipelineGraph

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
    def find(cls, butler: Butler, run: str, structure: GraphStructure, pipeline: PipelineGraph) -> EarlierAttempts:
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
            succeeded = {index.get(ref.dataId.required_values) for ref in metadata if stored[ref]} - {None}
            others = [edge.dataset_type_name for edge in node.outputs.values() if _per_quantum(edge, node)]
            if node.log_output is not None:
                others.append(node.log_output.dataset_type_name)
            touched = {index.get(r.dataId.required_values) for name in others for r in _find(butler, name, run)}
            touched |= {index.get(ref.dataId.required_values) for ref in metadata}
            done |= succeeded
            unsuccessful |= touched - {None} - succeeded
        return cls(frozenset(done), frozenset(unsuccessful))


def _find(butler: Butler, dataset_type: str, run: str) -> list[DatasetRef]:
    try:
        return list(butler.registry.queryDatasets(dataset_type, collections=run, findFirst=False))
    except MissingDatasetTypeError:
        return []


def _per_quantum(edge: object, node: object) -> bool:
    return edge.dimensions == node.dimensions  # type: ignore[attr-defined]
