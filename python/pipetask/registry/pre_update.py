"""What a registry needs before the first quantum runs."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from enum import Enum

from lsst.daf.butler import Butler, DatasetRef, MissingDatasetTypeError
from lsst.daf.butler.registry import ConflictingDefinitionError
from lsst.pipe.base.quantum_graph import PredictedQuantumGraph

from ..errors import PipetaskError
from .output_collections import OutputCollections
from .undo import UndoLog

__all__ = ["PreUpdate", "PreUpdateOptions", "update_registry", "verify_registry"]

_LOG = logging.getLogger(__name__)


class PreUpdate(Enum):
    """When the registry is made ready."""

    NOW = "now"
    """Before the first quantum."""

    SKIP = "skip"
    """Somebody did it already; that is verified."""


@dataclass(frozen=True)
class PreUpdateOptions:
    """What is written before the first quantum."""

    when: PreUpdate = PreUpdate.NOW
    register_dataset_types: bool = False
    skip_init_writes: bool = False
    """Whether to leave out init-outputs, configs and versions."""

    no_versions: bool = False
    """Whether to leave out package versions."""


def update_registry(
    butler: Butler, graph: PredictedQuantumGraph, collections: OutputCollections, options: PreUpdateOptions
) -> None:
    """Make collections, register dataset types, write init-outputs, configs and package versions.

    Parameters
    ----------
    butler
        The repository, writeable.
    graph
        The graph, with its init-quanta loaded.
    collections
        Where outputs go.
    options
        What to write.

    Raises
    ------
    PipetaskError
        If something conflicts with what is there.  The registry is left as it was.
    """
    pipeline, extend = graph.pipeline_graph, collections.options.extend_run
    if not options.register_dataset_types:
        _check_dataset_types(butler, graph, options)
    with UndoLog() as undo:
        if options.register_dataset_types:
            _register_dataset_types(butler, graph, options, undo)
        collections.create(butler, pipeline, undo)
        if options.skip_init_writes:
            return
        writer = butler.clone(run=collections.run, collections=list(collections.search_path))
        try:
            graph.write_init_outputs(writer, skip_existing=extend)
            graph.write_configs(writer, compare_existing=extend)
            if not options.no_versions:
                graph.write_packages(writer, compare_existing=extend)
        except ConflictingDefinitionError as error:
            raise PipetaskError(
                f"Run {collections.run!r} holds other init-outputs or configs than this graph: {_first_line(error)} "
                "Use a new run, or the graph that the run was begun with."
            ) from error


def verify_registry(
    butler: Butler, graph: PredictedQuantumGraph, collections: OutputCollections, options: PreUpdateOptions
) -> None:
    """Check, with one query each, that somebody has made the registry ready.

    Raises
    ------
    PipetaskError
        With what is missing.
    """
    if not collections.run_exists:
        raise PipetaskError(
            f"--registry-pre-update skip: output run {collections.run!r} does not exist; use 'now' to make it."
        )
    _check_dataset_types(butler, graph, options)
    if options.skip_init_writes:
        return
    stored = butler.stored_many(_init_outputs(graph, options))
    missing = sorted(ref.datasetType.name for ref, exists in stored.items() if not exists)
    if missing:
        raise PipetaskError(
            f"--registry-pre-update skip: run {collections.run!r} lacks {_enumerate(missing)}; use 'now' to write them."
        )


def _check_dataset_types(butler: Butler, graph: PredictedQuantumGraph, options: PreUpdateOptions) -> None:
    try:
        graph.pipeline_graph.check_dataset_type_registrations(butler, include_packages=not options.no_versions)
    except MissingDatasetTypeError as error:
        raise PipetaskError(
            f"Dataset types of the graph are not registered ({_first_line(error)}): add --register-dataset-types."
        ) from error
    except ConflictingDefinitionError as error:
        raise PipetaskError(f"A dataset type of the graph is registered otherwise: {_first_line(error)}") from error


def _register_dataset_types(
    butler: Butler, graph: PredictedQuantumGraph, options: PreUpdateOptions, undo: UndoLog
) -> None:
    registry = butler.registry
    known = {dataset_type.name for dataset_type in registry.queryDatasetTypes()}

    def remove_new() -> None:
        for dataset_type in list(registry.queryDatasetTypes()):
            if dataset_type.name not in known:
                registry.removeDatasetType(dataset_type.name)

    undo.add("remove new dataset types", remove_new)
    try:
        graph.pipeline_graph.register_dataset_types(butler, include_packages=not options.no_versions)
    except ConflictingDefinitionError as error:
        raise PipetaskError(f"A dataset type of the graph is registered otherwise: {_first_line(error)}") from error


def _init_outputs(graph: PredictedQuantumGraph, options: PreUpdateOptions) -> list[DatasetRef]:
    labels = [label for label, quanta in graph.header.n_task_quanta.items() if quanta]
    labels += [] if options.no_versions else [""]
    return [ref for label in labels for ref in graph.get_init_outputs(label).values()]


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0]


def _enumerate(names: list[str]) -> str:
    shown = ", ".join(names[:5])
    return shown if len(names) <= 5 else f"{shown} and {len(names) - 5} more"
