"""Open a butler repository, or its datastore alone, and say plainly if that fails."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from tempfile import TemporaryFile

from lsst.daf.butler import Butler, LimitedButler
from lsst.resources import ResourcePath

from ..errors import PipetaskError, reason_of
from ..graph.file import Announce, GraphFile, GraphLike
from ..graph.reader import load_storage_classes
from ..options.execution import OutputButler
from ..options.graph import GraphSelection
from ..runner.worker_butler import WorkerButler

__all__ = [
    "check_graph_fits",
    "open_datastore",
    "open_graph",
    "open_repository",
    "output_butler_for",
]

_LOG = logging.getLogger(__name__)

_DIRECT = {"FileDatastore", "ChainedDatastore"}


ROOM = 1 << 20
"""Bytes that must still fit on a disk for a run to begin."""


@contextmanager
def open_repository(config: str, *, writeable: bool, room: int = ROOM) -> Iterator[Butler]:
    """Open a repository.

    Parameters
    ----------
    config
        Its root, its configuration file, or an alias.
    writeable
        Whether it is to be written to.
    room
        Bytes that must then fit on the disk; 0 for what makes room there.

    Raises
    ------
    PipetaskError
        If there is none, if it does not open, or if it is to be written to and cannot be.
    """
    with _said_of_opening(config, "writing" if writeable else "reading"):
        butler = Butler.from_config(config, writeable=writeable)
    try:
        if writeable:
            _check_space(butler, config, room)
        yield butler
    finally:
        butler.close()


@contextmanager
def open_graph(
    config: str,
    graph: GraphLike,
    selection: GraphSelection | None = None,
    search_path: Sequence[str] = (),
    announce: Announce | None = None,
) -> Iterator[GraphFile]:
    """Open a graph for a repository that is not open: its storage classes are made known, as the graph may name some.

    Parameters
    ----------
    config
        Root, configuration file or alias of the repository.
    graph
        The graph; one that is open already is passed on.
    selection
        What of it is read, and which identifier it must have; by default all, and any.
    search_path
        More folders to search for configuration.
    announce
        Is told how to learn the names of the task classes, if possible before they are imported.

    Raises
    ------
    PipetaskError
        If there is no repository, or if its configuration or the graph cannot be read.
    """
    if not isinstance(graph, GraphFile):
        with _said_of_opening(config, "reading"):
            load_storage_classes(config, search_path)
    with GraphFile.of(graph, selection, announce) as file:
        yield file


@contextmanager
def open_datastore(
    config: str, graph: GraphFile, search_path: Sequence[str] = (), *, writeable: bool
) -> Iterator[WorkerButler]:
    """Open the datastore of a repository through a quantum-backed butler; its registry is left alone.

    Parameters
    ----------
    config
        Root, configuration file or alias of the repository.
    graph
        Says what dimensions and dataset types there are.
    search_path
        More folders to search for configuration.
    writeable
        Whether it is to be written to.

    Raises
    ------
    PipetaskError
        If there is none, if it does not open, if it is to be written to and cannot be, or if it keeps datasets where
        no other process finds them.
    """
    for path in search_path:
        if not ResourcePath(path, forceDirectory=True).exists():
            _LOG.warning("--config-search-path: there is no folder %s; it is passed over.", path)
    pipeline = graph.pipeline
    types = {node.name: node.dataset_type for node in pipeline.dataset_types.values()}
    try:
        configuration = load_storage_classes(config, search_path)
        butler = WorkerButler.open(configuration, pipeline.universe, types)
    except FileNotFoundError as error:
        raise _no_repository(config) from error
    except Exception as error:
        raise PipetaskError(
            f"The datastore of {config} does not open ({reason_of(error)}): check that it is a butler repository, and "
            "your permissions there."
        ) from error
    try:
        if _datastore_classes(butler) <= {"InMemoryDatastore", "ChainedDatastore"}:
            raise PipetaskError(
                f"The datastore of {config} is in memory, where no other process finds what is written: use a "
                "repository that keeps files."
            )
        if writeable:
            _check_space(butler, config, ROOM)
        yield butler
    finally:
        butler.shut_down()


@contextmanager
def _said_of_opening(config: str, purpose: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise _no_repository(config) from error
    except Exception as error:
        if "locked" in reason_of(error):
            raise PipetaskError(
                f"Repository {config} is locked: another process is writing to its database; try again when it is done."
            ) from error
        raise PipetaskError(
            f"Repository {config} does not open for {purpose} ({reason_of(error)}): check that it is a butler "
            "repository, and your permissions there."
        ) from error


def _no_repository(config: str) -> PipetaskError:
    path = ResourcePath(config)
    if path.isLocal and not os.path.exists(path.ospath):  # noqa: PTH110  what a user typed may not be a path
        return PipetaskError(f"There is no repository at {config}: check the name.")
    return PipetaskError(f"{config} is not a butler repository, it has no butler.yaml: check the name.")


def _check_space(butler: LimitedButler, config: str, room: int) -> None:
    """Write to each local datastore a file that has no name and is gone when it is closed.

    A database that cannot be written to has not been opened.
    """
    for root in butler._datastore.roots.values():
        if root is None or not root.isLocal or not root.exists():
            continue
        try:
            with TemporaryFile(dir=root.ospath) as probe:
                probe.write(bytes(room))
        except OSError as error:
            raise PipetaskError(
                f"Repository {config} cannot be written to ({root.ospath}: {error.strerror}): make room there, or get "
                "permission to write."
            ) from error


def check_graph_fits(butler: Butler, graph: GraphFile, config: str) -> None:
    """Check that a graph was made for this repository.

    Raises
    ------
    PipetaskError
        If the dimension universes differ, or if the repository lacks what the graph takes from it.
    """
    ours, theirs = butler.dimensions, graph.pipeline.universe
    if not theirs.isCompatibleWith(ours):
        raise PipetaskError(
            f"{graph.path} was made for dimension universe {theirs.namespace!r}, and {config} has {ours.namespace!r}: "
            "build the graph for this repository."
        )
    known = set(butler.collections.query("*")) if graph.header.inputs else set()
    missing = [name for name in graph.header.inputs if name not in known]
    if missing:
        raise PipetaskError(
            f"{graph.path} takes inputs from {missing[0]!r}, which {config} does not have: was it built for another "
            "repository?"
        )
    _check_first_inputs(butler, graph, config)


def _check_first_inputs(butler: Butler, graph: GraphFile, config: str) -> None:
    structure = graph.structure
    if not len(structure):
        return
    quantum = graph.quantum(structure.quantum_id(next(structure.depth_first())))
    for refs in quantum.inputs.values():
        for ref in refs[:1]:
            if ref.run != graph.header.output_run and butler.get_dataset(ref.id) is None:
                raise PipetaskError(
                    f"{graph.path} needs dataset {ref}, which {config} does not have: was it built for another "
                    "repository, or has the dataset been removed?"
                )


def output_butler_for(butler: LimitedButler) -> OutputButler:
    """Return through which butler quanta can write to a repository.

    A quantum-backed butler needs a datastore whose files outlive the process that writes them.
    """
    return OutputButler.QUANTUM_BACKED if _datastore_classes(butler) <= _DIRECT else OutputButler.FULL


def _datastore_classes(butler: LimitedButler) -> set[str]:
    datastore = butler._datastore
    return {type(each).__name__ for each in (datastore, *getattr(datastore, "datastores", ()))}
