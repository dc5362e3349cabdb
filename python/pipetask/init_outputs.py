"""Init-outputs, configs and package versions: what the output run of a graph holds besides outputs of quanta."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from lsst.daf.butler import DatasetRef, LimitedButler
from lsst.daf.butler.registry import ConflictingDefinitionError
from lsst.pipe.base.quantum_graph import PredictedQuantumGraph

from .durability import sync_files
from .errors import PipetaskError, reason_of
from .graph_file import GraphLike
from .options.collections import ConfigSearchOptions
from .options.graph import GraphSelection
from .registry.undo import UndoLog
from .repository import open_datastore, open_graph
from .runner.process_setup import shared_datastore_cache
from .stored_files import local_paths, sizes_of, uris_of

__all__ = ["init_output_refs", "init_output_run", "said_of_init_outputs", "undo_new_datasets"]


def init_output_run(
    butler_config: str,
    graph: GraphLike,
    search: ConfigSearchOptions | None = None,
    *,
    qgraph_id: str | None = None,
) -> None:
    """Write init-outputs, configs and package versions of a graph without a registry.

    What is there already is compared, and kept.

    Parameters
    ----------
    butler_config
        Root, configuration file or alias of the repository.
    graph
        The graph.
    search
        Where to search for configuration of the butler.
    qgraph_id
        Identifier that a legacy graph file must have.

    Raises
    ------
    PipetaskError
        If graph or datastore do not open, if what is there is not of this graph, or if a task cannot be constructed.
        The datastore is left as it was.
    """
    paths = (search or ConfigSearchOptions()).config_search_path
    selection = GraphSelection(qgraph_id=qgraph_id, quantum_ids=frozenset())
    with (
        open_graph(butler_config, graph, selection, paths) as file,
        shared_datastore_cache(),
        open_datastore(butler_config, file, paths, writeable=True),
        file.init.make_init_qbb(butler_config, config_search_paths=paths) as butler,
        said_of_init_outputs(file.header.output_run),
        UndoLog() as undo,
    ):
        refs = init_output_refs(file.init)
        undo_new_datasets(butler, refs, undo)
        remove_empty(butler, refs)
        file.init.init_output_run(butler)
        sync_files(local_paths(butler._datastore, refs))


def init_output_refs(graph: PredictedQuantumGraph, *, packages: bool = True) -> list[DatasetRef]:
    """Return what has to be written before the quanta of a graph can run.

    Parameters
    ----------
    graph
        The graph, with its init-quanta loaded.
    packages
        Whether package versions are part of it.
    """
    labels = [label for label, quanta in graph.header.n_task_quanta.items() if quanta]
    labels += [""] if packages else []
    return [ref for label in labels for ref in graph.get_init_outputs(label).values()]


def remove_empty(butler: LimitedButler, refs: list[DatasetRef]) -> None:
    """Remove those of some datasets whose files are empty: the power went before they were on disk."""
    places = {uri: ref for ref, uris in uris_of(butler._datastore, refs).items() for uri in uris}
    sizes = sizes_of([uri.ospath if uri.isLocal else uri for uri in places])
    empty = {ref for ref, size in zip(places.values(), sizes, strict=True) if size == 0}
    butler.pruneDatasets(empty, disassociate=True, unstore=True, purge=True)


def undo_new_datasets(butler: LimitedButler, refs: list[DatasetRef], undo: UndoLog) -> None:
    """Note that those of some datasets which are not stored yet are to be removed if a later step fails."""
    before = butler.stored_many(refs)

    def remove_new() -> None:
        new = [ref for ref, stored in butler.stored_many(refs).items() if stored and not before[ref]]
        butler.pruneDatasets(new, disassociate=True, unstore=True, purge=True)

    undo.add("remove new init-outputs", remove_new)


@contextmanager
def said_of_init_outputs(run: str) -> Iterator[None]:
    """Say in one line why init-outputs could not be written."""
    try:
        yield
    except ConflictingDefinitionError as error:
        raise PipetaskError(
            f"Run {run!r} holds other init-outputs or configs than this graph ({reason_of(error)}): use a new run, or "
            "the graph that the run was begun with."
        ) from error
    except Exception as error:
        raise PipetaskError(
            f"Init-outputs of run {run!r} cannot be written ({type(error).__name__}: {reason_of(error)}): put that "
            "right and try again; --log-level DEBUG shows where it is."
        ) from error
