"""Outputs of earlier attempts at a run, from the registry, and whether their files are intact."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any, TypeAlias

from lsst.daf.butler import Butler, DatasetRef, MissingDatasetTypeError
from lsst.pipe.base import PipelineGraph
from lsst.pipe.base.pipeline_graph import TaskNode

from ..graph.structure import GraphStructure
from .damage import Damage, find_damage

__all__ = ["EarlierAttempts", "FindProducers"]

FindProducers: TypeAlias = Callable[[str, Collection[uuid.UUID]], Mapping[uuid.UUID, int]]
"""Returns, for those of some datasets that the quanta of a task write, the positions of these quanta."""


@dataclass(frozen=True)
class EarlierAttempts:
    """Positions of quanta that were run before, by result.

    Quanta that are in none of these sets have not run, or were interrupted.
    """

    done: frozenset[int] = frozenset()
    """Metadata and log are stored, which means success, and all their files are intact."""

    unsuccessful: frozenset[int] = frozenset()
    """The registry has their log (or other outputs, if they have no log), but no metadata."""

    outdated: frozenset[int] = frozenset()
    """They have lost files, or depend on quanta that have; they run again."""

    damage: Mapping[str, list[Damage]] = field(default_factory=dict)
    """Lost files by task label."""

    @classmethod
    def find(
        cls,
        butler: Butler,
        run: str,
        structure: GraphStructure,
        pipeline: PipelineGraph,
        find_producers: FindProducers | None = None,
    ) -> EarlierAttempts:
        """Query the registry, and check the files.

        Parameters
        ----------
        butler
            The repository.
        run
            The output run.
        structure, pipeline
            The graph's.
        find_producers
            Finds quanta by their outputs, in the few cases in which data IDs are not enough; `None`: trust the
            registry, and do not check the files.
        """
        done, unsuccessful, damaged = set[int](), set[int](), set[int]()
        damage: dict[str, list[Damage]] = {}
        for label in structure.labels:
            outputs = _TaskOutputs.find(butler, run, structure, pipeline, label)
            succeeded = outputs.succeeded(butler)
            done |= succeeded
            unsuccessful |= outputs.ended() - succeeded
            if find_producers is not None and (found := outputs.damage(butler, find_producers)):
                damaged |= found.keys()
                damage[label] = list(chain.from_iterable(found.values()))
        outdated = damaged | (_dependents(structure, damaged) - unsuccessful)
        return cls(
            frozenset(done - outdated), frozenset(unsuccessful - outdated), frozenset(outdated), damage
        )

    def again(self, kept: frozenset[int]) -> EarlierAttempts:
        """Return the same, but what is done runs again, as if it were outdated, except for some positions."""
        return replace(self, done=self.done & kept, outdated=self.outdated | (self.done - kept))

    def describe_damage(self) -> str:
        """Describe the damage and its consequences in one line."""
        count = sum(map(len, self.damage.values()))
        labels = ", ".join(f"{label}: {len(found)}" for label, found in self.damage.items())
        first = next(iter(self.damage.values()))[0]
        files = "1 file is" if count == 1 else f"{count} files are"
        return (
            f"{files} missing or not as large as recorded ({labels}; {first}): the quanta that wrote them run again, "
            "and all that depend on them."
        )


@dataclass(frozen=True)
class _TaskOutputs:
    """The registered outputs of the quanta of one task."""

    node: TaskNode
    index: Mapping[tuple[Any, ...], int]
    """Positions of the quanta by data ID."""

    own: Mapping[str, list[DatasetRef]]
    """By dataset type: outputs with the data ID of their quantum, including metadata and log."""

    others: Mapping[str, list[DatasetRef]]

    @classmethod
    def find(
        cls, butler: Butler, run: str, structure: GraphStructure, pipeline: PipelineGraph, label: str
    ) -> _TaskOutputs:
        node = pipeline.tasks[label]
        index = {structure.data_values(position): position for position in structure.positions(label)}
        own: dict[str, list[DatasetRef]] = {}
        others: dict[str, list[DatasetRef]] = {}
        for edge in node.iter_all_outputs():
            name = edge.dataset_type_name
            kind = own if pipeline.dataset_types[name].dimensions == node.dimensions else others
            kind[name] = _find(butler, name, run)
        return cls(node, index, own, others)

    def succeeded(self, butler: Butler) -> set[int]:
        """Return the quanta that succeeded: the log, if there is one, is written last."""
        metadata = self.own[self.node.metadata_output.dataset_type_name]
        known = butler._datastore.knows_these(metadata)
        return self._positions(ref for ref in metadata if known[ref]) & self.ended()

    def ended(self) -> set[int]:
        """Return the quanta that succeeded or failed without being interrupted."""
        if (log := self.node.log_output) is not None:
            return self._positions(self.own[log.dataset_type_name])
        return self._positions(chain.from_iterable(self.own.values()))

    def damage(self, butler: Butler, find_producers: FindProducers) -> dict[int, list[Damage]]:
        """Return the quanta that have lost files, with these files."""
        found: defaultdict[int, list[Damage]] = defaultdict(list)
        for refs in self.own.values():
            for lost in find_damage(butler, refs):
                for position in self._positions([lost.ref]):
                    found[position].append(lost)
        elsewhere = [lost for refs in self.others.values() for lost in find_damage(butler, refs)]
        if elsewhere:
            producers = find_producers(self.node.label, {lost.ref.id for lost in elsewhere})
            for lost in elsewhere:
                if (producer := producers.get(lost.ref.id)) is not None:
                    found[producer].append(lost)
        return found

    def _positions(self, refs: Iterable[DatasetRef]) -> set[int]:
        """Return the positions of the quanta of this graph that have one of these datasets."""
        found = (self.index.get(ref.dataId.required_values) for ref in refs)
        return {position for position in found if position is not None}


def _find(butler: Butler, dataset_type: str, run: str) -> list[DatasetRef]:
    try:
        return list(butler.registry.queryDatasets(dataset_type, collections=run, findFirst=False))
    except MissingDatasetTypeError:
        return []


def _dependents(structure: GraphStructure, positions: Iterable[int]) -> set[int]:
    """Return all direct and indirect dependents of some quanta."""
    found: set[int] = set()
    left = list(positions)
    while left:
        for dependent in structure.waiting_for(left.pop()):
            if dependent not in found:
                found.add(dependent)
                left.append(dependent)
    return found
