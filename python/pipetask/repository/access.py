"""Open a butler repository, or only its datastore, with one line if that fails."""

from __future__ import annotations

import logging
import os
import uuid
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from tempfile import TemporaryFile

import numpy as np
from lsst.daf.butler import Butler, DatasetRef, LimitedButler
from lsst.resources import ResourcePath

from ..errors import PipetaskError, reason_of
from ..graph.file import Announce, GraphFile, GraphLike
from ..graph.reader import QuantumReader, load_storage_classes
from ..graph.structure import GraphStructure
from ..options.execution import OutputButler
from ..options.graph import GraphSelection
from ..runner.worker_butler import WorkerButler

__all__ = [
    "check_graph_fits",
    "open_datastore",
    "open_graph",
    "open_repository",
    "output_butler_for",
    "quanta_to_check",
]

_LOG = logging.getLogger(__name__)

_DIRECT = {"FileDatastore", "ChainedDatastore"}


SAMPLED = 20
"""Number of quanta whose inputs are looked for before a run; the first that is found ends the search."""

ROOM = 1 << 20
"""Free bytes on the disk that a run needs to start."""


@contextmanager
def open_repository(config: str, *, writeable: bool, room: int = ROOM) -> Iterator[Butler]:
    """Open a repository.

    Parameters
    ----------
    config
        Its root, its configuration file, or an alias.
    writeable
        Whether it will be written to.
    room
        Free bytes that the disk must then have; 0 for commands that free space.

    Raises
    ------
    PipetaskError
        If it does not exist, does not open, or cannot be written to although it must be.
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
    """Open a graph for a repository that is not open, after loading the storage classes of the repository.

    Parameters
    ----------
    config
        Root, configuration file or alias of the repository.
    graph
        The graph; one that is already open is yielded as it is.
    selection
        Which quanta are read (by default all), and the identifier that a legacy file must have.
    search_path
        Additional folders to search for configuration.
    announce
        Receives a function that returns the names of the task classes, if possible before they are imported.

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
    """Open the datastore of a repository through a quantum-backed butler, without its registry.

    Parameters
    ----------
    config
        Root, configuration file or alias of the repository.
    graph
        Provides dimensions and dataset types.
    search_path
        Additional folders to search for configuration.
    writeable
        Whether it will be written to.

    Raises
    ------
    PipetaskError
        If it does not exist, does not open, cannot be written to although it must be, or keeps datasets in memory.
    """
    for path in search_path:
        if not ResourcePath(path, forceDirectory=True).exists():
            _LOG.warning("--config-search-path: there is no folder %s; it is ignored.", path)
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
    """Write an unnamed temporary file to each local datastore, to check that it can be written to.

    The database has been checked when it was opened.
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
        If the dimension universes differ, or if the repository has none of some inputs of the graph.
    """
    ours, theirs = butler.dimensions, graph.pipeline.universe
    if not theirs.isCompatibleWith(ours):
        raise PipetaskError(
            f"{graph.path} was made for dimension universe {theirs.namespace!r}, and {config} has {ours.namespace!r}: "
            "build the graph for this repository."
        )
    _check_inputs(butler, graph, config)


def _check_inputs(butler: Butler, graph: GraphFile, config: str) -> None:
    """Refuse a graph none of whose inputs is there; a quantum whose inputs were removed is that quantum's matter."""
    looked_for = _some_inputs(graph)
    if not looked_for or any(butler.get_dataset(ref.id) is not None for ref in looked_for):
        return
    known = set(butler.collections.query("*"))
    if gone := [name for name in graph.header.inputs if name not in known]:
        raise PipetaskError(
            f"{graph.path} takes inputs from {gone[0]!r}, which {config} does not have: was it built for another "
            "repository?"
        )
    if len(looked_for) > 1 or looked_for[0].run not in known:
        raise PipetaskError(
            f"{graph.path} needs dataset {looked_for[0]}, which {config} does not have: was it built for another "
            "repository, or has the dataset been removed?"
        )


def _some_inputs(graph: GraphFile) -> list[DatasetRef]:
    """Return inputs from other runs, one of each dataset type, of some quanta without prerequisites."""
    some = quanta_to_check(graph.structure)
    if not some:
        return []
    with closing(QuantumReader(graph.path)) as reader:
        quanta = reader.read(some)
    refs = (refs[0] for _, quantum in quanta.values() for refs in quantum.inputs.values() if refs)
    return [ref for ref in refs if ref.run != graph.header.output_run]


def quanta_to_check(structure: GraphStructure) -> list[uuid.UUID]:
    """Return a few quanta without prerequisites, from all over a graph; their inputs tell whether it fits."""
    firsts = np.flatnonzero(np.diff(np.asarray(structure.predecessor_starts)) == 0)
    some = firsts[:: max(1, len(firsts) // SAMPLED)][:SAMPLED].tolist()
    return [structure.quantum_id(position) for position in some]


def output_butler_for(butler: LimitedButler) -> OutputButler:
    """Return the kind of butler through which quanta can write to a repository.

    A quantum-backed butler needs a datastore whose files outlive the process that writes them.
    """
    return OutputButler.QUANTUM_BACKED if _datastore_classes(butler) <= _DIRECT else OutputButler.FULL


def _datastore_classes(butler: LimitedButler) -> set[str]:
    datastore = butler._datastore
    return {type(each).__name__ for each in (datastore, *getattr(datastore, "datastores", ()))}
