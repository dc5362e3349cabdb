"""Prepare the registry before the first quantum runs."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from lsst.daf.butler import Butler, DatasetRef, MissingDatasetTypeError
from lsst.daf.butler.registry import ConflictingDefinitionError
from lsst.pipe.base.quantum_graph import PredictedQuantumGraph

from ..errors import PipetaskError
from ..lsst_internals import complete_dataset_tables
from ..options.execution import PreUpdateOptions
from ..runner.debris import Debris
from ..storage.files import forget, local_paths
from .batch_lease import check_batch
from .damage import find_damage
from .definitions import what_differs
from .init_outputs import InitOutputs, init_output_refs, said_of_init_outputs
from .lease import lease_run
from .output_collections import OutputCollections

__all__ = ["check_registry", "update_registry", "verify_registry"]

_LOG = logging.getLogger(__name__)


def update_registry(
    butler: Butler, graph: PredictedQuantumGraph, collections: OutputCollections, options: PreUpdateOptions
) -> None:
    """Create collections, register dataset types, write init-outputs, configs and package versions.

    Steps that may fail come first and change nothing.  Then dataset types are registered, one by one.  Everything else
    is one transaction, so that the next command finds all of it or nothing (see D21).

    Parameters
    ----------
    butler
        The repository, writeable.
    graph
        The graph, with its init-quanta loaded.
    collections
        The output collections.
    options
        What to write.

    Raises
    ------
    PipetaskError
        If something conflicts with existing datasets.  The registry is unchanged.
    """
    _check_dataset_types(butler, graph, options)
    outputs = None
    if not options.skip_init_writes:
        _clear_away(butler, init_output_refs(graph, packages=not options.no_versions))
        with said_of_init_outputs(collections.run):
            outputs = InitOutputs.of(butler, graph, packages=not options.no_versions)
            if collections.run_exists:
                _check_unclaimed(butler, outputs.new)
    if options.register_dataset_types:
        _register_dataset_types(butler, graph, options)
    _complete_tables(butler, graph)
    with _replaced_run_is_unused(butler, collections):
        with butler.transaction():
            collections.create(butler)
            forgotten = collections.forget_replaced(butler, graph.pipeline_graph)
            if outputs is not None:
                with said_of_init_outputs(collections.run):
                    outputs.write_new()
        collections.delete_replaced(butler, forgotten)
    if outputs is not None:
        with said_of_init_outputs(collections.run):
            outputs.replace_old()


def _clear_away(butler: Butler, refs: list[DatasetRef]) -> None:
    """Remove incomplete init-outputs of killed commands, and those that have lost their files."""
    Debris().remove(local_paths(butler._datastore, refs))
    if damage := find_damage(butler, refs):
        forget(butler, [each.ref for each in damage])


@contextmanager
def _replaced_run_is_unused(butler: Butler, collections: OutputCollections) -> Iterator[None]:
    if collections.replaced is None or collections.options.prune_replaced is None:
        yield
        return
    with lease_run(butler, collections.replaced):
        check_batch(butler, collections.replaced, None)
        yield


def check_registry(butler: Butler, graph: PredictedQuantumGraph, options: PreUpdateOptions) -> None:
    """Check what can be checked of a pre-update that comes later, or in a dry run never.

    Raises
    ------
    PipetaskError
        If dataset types are missing and must not be registered, or if one is defined differently.
    """
    _check_dataset_types(butler, graph, options)


def verify_registry(
    butler: Butler, graph: PredictedQuantumGraph, collections: OutputCollections, options: PreUpdateOptions
) -> None:
    """Check, with one query each, that the registry has been prepared.

    Raises
    ------
    PipetaskError
        If something is missing; the message says what.
    """
    if not collections.run_exists:
        raise PipetaskError(
            f"--registry-pre-update skip: output run {collections.run!r} does not exist; use 'now' to make it."
        )
    if collections.chain is not None and collections.run not in (collections.children or ()):
        raise PipetaskError(
            f"--registry-pre-update skip: run {collections.run!r} is not in a chain {collections.chain!r}; use 'now' "
            "to put it there."
        )
    _check_dataset_types(butler, graph, options)
    if options.skip_init_writes:
        return
    refs = init_output_refs(graph, packages=not options.no_versions)
    damaged = {damage.ref for damage in find_damage(butler, refs)}
    stored = butler.stored_many(refs)
    missing = sorted(ref.datasetType.name for ref, exists in stored.items() if not exists or ref in damaged)
    if missing:
        raise PipetaskError(
            f"--registry-pre-update skip: run {collections.run!r} lacks {_enumerate(missing)}; use 'now' to write them."
        )


def _check_dataset_types(butler: Butler, graph: PredictedQuantumGraph, options: PreUpdateOptions) -> None:
    try:
        graph.pipeline_graph.check_dataset_type_registrations(
            butler, include_packages=not options.no_versions
        )
    except MissingDatasetTypeError as error:
        if options.register_dataset_types:
            return
        missing = sorted(_dataset_types(graph) - _registered(butler))
        raise PipetaskError(
            f"Dataset types of the graph are not registered ({_enumerate(missing)}): add --register-dataset-types."
        ) from error
    except ConflictingDefinitionError as error:
        raise _conflict(error) from error


def _register_dataset_types(butler: Butler, graph: PredictedQuantumGraph, options: PreUpdateOptions) -> None:
    """Register dataset types; they are kept in any case, because other processes may rely on them immediately."""
    try:
        graph.pipeline_graph.register_dataset_types(butler, include_packages=not options.no_versions)
    except ConflictingDefinitionError as error:
        raise _conflict(error) from error


def _complete_tables(butler: Butler, graph: PredictedQuantumGraph) -> None:
    """Create tables that a failing database has left out, so that later commands do not fail (see D37)."""
    pipeline = graph.pipeline_graph
    nodes = [*pipeline.dataset_types.values(), pipeline.packages_dataset_type]
    complete_dataset_tables(butler, {node.dimensions for node in nodes})


def _check_unclaimed(butler: Butler, refs: list[DatasetRef]) -> None:
    """Refuse to write datasets to a run in which another graph has written datasets of the same names."""
    for ref in refs:
        try:
            found = butler.find_dataset(ref.datasetType.name, collections=ref.run)
        except MissingDatasetTypeError:
            continue
        if found is not None and found.id != ref.id:
            raise ConflictingDefinitionError(f"{found.datasetType.name} of another graph is there")


def _dataset_types(graph: PredictedQuantumGraph) -> set[str]:
    pipeline = graph.pipeline_graph
    return {*pipeline.dataset_types, pipeline.packages_dataset_type.name}


def _registered(butler: Butler) -> set[str]:
    return {dataset_type.name for dataset_type in butler.registry.queryDatasetTypes()}


def _conflict(error: ConflictingDefinitionError) -> PipetaskError:
    return PipetaskError(
        f"A dataset type of the graph is registered otherwise ({what_differs(error)}): build the graph again, or give "
        "the dataset type another name in the pipeline."
    )


def _enumerate(names: list[str]) -> str:
    shown = ", ".join(names[:5])
    return shown if len(names) <= 5 else f"{shown} and {len(names) - 5} more"
