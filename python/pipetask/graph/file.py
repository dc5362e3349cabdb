"""A quantum graph on disk: any form of a graph becomes a ``.qg`` file, of which only what is needed is read."""

from __future__ import annotations

import logging
import time
import uuid
import zipfile
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, TypeAlias

from lsst.pipe.base import PipelineGraph, QuantumGraph
from lsst.pipe.base.pipeline_graph import TaskImportMode, TaskNode
from lsst.pipe.base.quantum_graph import (
    PredictedQuantumGraph,
    PredictedQuantumGraphComponents,
    PredictedQuantumGraphReader,
)
from lsst.resources import ResourcePath
from lsst.utils.iteration import chunk_iterable

from ..errors import PipetaskError, reason_of
from ..options.graph import GraphSelection
from .garbage import uncollected
from .reader import QuantumReader, read_datasets
from .thin import ThinGraph

if TYPE_CHECKING:
    from lsst.daf.butler import Quantum

__all__ = ["Announce", "GraphFile", "GraphLike", "load_whole", "named"]

CHUNK = 1000
"""Quanta that are read at a time."""

_LOG = logging.getLogger(__name__)

GraphLike: TypeAlias = (
    "GraphFile | str | Path | ResourcePath"
    " | PredictedQuantumGraphComponents | PredictedQuantumGraph | QuantumGraph"
)
"""A graph that can be executed: a ``.qg`` or legacy ``.qgraph`` file, or an in-memory graph of pipe_base."""


Announce: TypeAlias = Callable[[Callable[[], Sequence[str]]], None]
"""Receives a function that returns the full names of the graph's task classes."""


class GraphFile:
    """An open ``.qg`` file whose structure and init-quanta have been read.

    Parameters
    ----------
    path
        The file.
    quantum_ids
        The quanta to read; by default all.
    announce
        Receives a function that returns the names of the task classes, before they are imported, which may be slow.

    Attributes
    ----------
    path
        The file.
    init
        The graph without quanta: header, pipeline, init-inputs and init-outputs.
    structure
        The quanta and their dependencies.
    read_time
        Time that reading took, in seconds.

    Raises
    ------
    PipetaskError
        If the file does not have one of the quanta.
    """

    def __init__(
        self,
        path: str,
        quantum_ids: Collection[uuid.UUID] | None = None,
        announce: Announce | None = None,
    ):
        start = time.monotonic()
        self.path = path
        if announce is not None:
            announce(partial(_task_names, path))
        with uncollected(), PredictedQuantumGraph.open(path) as reader:
            reader.read_init_quanta()
            self.init: PredictedQuantumGraph = reader.finish()
            thin = ThinGraph.read(reader) if quantum_ids is None else _read_part(reader, quantum_ids, path)
            self.structure = thin.structure(self.pipeline)
        self.read_time = time.monotonic() - start

    @property
    def pipeline(self) -> PipelineGraph:
        """The pipeline graph, with its tasks imported."""
        return self.init.pipeline_graph

    @property
    def header(self) -> Any:
        """The header: collections, counts, metadata."""
        return self.init.header

    def task_node(self, label: str) -> TaskNode:
        """Return the task node with this label."""
        return self.pipeline.tasks[label]

    def quantum(self, quantum_id: uuid.UUID) -> Quantum:
        """Read one quantum."""
        reader = QuantumReader(self.path)
        try:
            return reader.read([quantum_id])[quantum_id][1]
        finally:
            reader.close()

    def producers(self, label: str, dataset_ids: Collection[uuid.UUID]) -> dict[uuid.UUID, int]:
        """Return the positions of the quanta of a task that write some datasets; this reads all quanta of the task."""
        found: dict[uuid.UUID, int] = {}
        ids = {self.structure.quantum_id(position): position for position in self.structure.positions(label)}
        with closing(QuantumReader(self.path)) as reader:
            for chunk in chunk_iterable(ids, CHUNK):
                for id, (_, quantum) in reader.read(chunk).items():
                    outputs = chain.from_iterable(quantum.outputs.values())
                    found.update((ref.id, ids[id]) for ref in outputs if ref.id in dataset_ids)
        return found

    def unwanted(self, quantum_ids: Collection[uuid.UUID] | None) -> frozenset[int]:
        """Return the positions of all quanta except these; none if these are `None`.

        Raises
        ------
        PipetaskError
            If there is no such quantum.
        """
        if quantum_ids is None:
            return frozenset()
        structure = self.structure
        positions = {structure.quantum_id_bytes(position): position for position in range(len(structure))}
        if unknown := sorted(id for id in quantum_ids if id.bytes not in positions):
            raise _no_quantum(self.path, unknown[0])
        return frozenset(range(len(structure))) - {positions[id.bytes] for id in quantum_ids}

    @classmethod
    @contextmanager
    def of(
        cls,
        graph: GraphLike,
        selection: GraphSelection | None = None,
        announce: Announce | None = None,
    ) -> Iterator[GraphFile]:
        """Open a graph in any form; temporary files are removed at the end.

        Parameters
        ----------
        graph
            The graph; one that is already open is yielded as it is.
        selection
            Which quanta are read (by default all), and the identifier that a legacy file must have.
        announce
            Receives a function that returns the names of the task classes, if possible before they are imported.

        Raises
        ------
        PipetaskError
            If it cannot be read, with the reason, or lacks a selected quantum.
        """
        if isinstance(graph, GraphFile):
            if announce is not None:
                announce(lambda: [node.task_class_name for node in graph.pipeline.tasks.values()])
            yield graph
            return
        selection = selection or GraphSelection()
        with TemporaryDirectory(prefix="pipetask-graph-") as scratch:
            path = _as_file(graph, selection, Path(scratch) / "graph.qg")
            with _said_plainly(path if isinstance(graph, str | Path | ResourcePath) else "the graph"):
                opened = cls(path, selection.quantum_ids, announce)
            yield opened


def _read_part(
    reader: PredictedQuantumGraphReader, quantum_ids: Collection[uuid.UUID], path: str
) -> ThinGraph:
    """Make the thin graph of a few quanta from their datasets, without reading the whole thin graph."""
    try:
        read_datasets(reader, quantum_ids)
    except LookupError as error:
        addresses = reader.address_reader
        addresses.read_all()
        if unknown := [id for id in quantum_ids if id not in addresses.rows]:
            raise _no_quantum(path, min(unknown)) from error
        raise
    reader.components.set_thin_graph()
    return ThinGraph.of(reader)


def _task_names(path: str) -> list[str]:
    """Read the names of a graph's task classes, without importing them."""
    with PredictedQuantumGraph.open(path, import_mode=TaskImportMode.DO_NOT_IMPORT) as reader:
        return [node.task_class_name for node in reader.components.pipeline_graph.tasks.values()]


def _no_quantum(path: str, quantum_id: uuid.UUID) -> PipetaskError:
    return PipetaskError(f"{path} has no quantum {quantum_id}: check --qgraph-node-id.")


def _as_file(graph: GraphLike, selection: GraphSelection, path: Path) -> str:
    match graph:
        case str() | Path() | ResourcePath():
            return _checked(ResourcePath(graph), selection, path)
        case PredictedQuantumGraphComponents():
            components = graph
        case PredictedQuantumGraph():
            components = PredictedQuantumGraphComponents.from_old_quantum_graph(graph.to_old_quantum_graph())
        case QuantumGraph():
            components = PredictedQuantumGraphComponents.from_old_quantum_graph(graph)
        case other:
            raise TypeError(f"Cannot execute a {type(other).__name__}.")
    components.write(path)
    return str(path)


def named(graph: GraphLike) -> str:
    """Return the path of a graph, for commands; of a graph in memory, a word in its place."""
    match graph:
        case GraphFile():
            return graph.path
        case str() | Path() | ResourcePath():
            return _name(ResourcePath(graph))
        case _:
            return "GRAPH"


def load_whole(path: str) -> QuantumGraph:
    """Read a whole graph into memory, as the class that pipe_base's reports need.

    Parameters
    ----------
    path
        A ``.qg`` or legacy ``.qgraph`` file.

    Raises
    ------
    PipetaskError
        If it cannot be read, with the reason.
    """
    uri = _existing(ResourcePath(path))
    with _said_plainly(_name(uri)):
        return QuantumGraph.loadUri(uri)


def _existing(uri: ResourcePath) -> ResourcePath:
    if not uri.exists():
        raise PipetaskError(f"There is no graph at {_name(uri)}: check the name.")
    if (extension := uri.getExtension()) not in (".qg", ".qgraph"):
        raise PipetaskError(
            f"{_name(uri)} is not a quantum graph: its name ends in {extension!r}, not in '.qg'."
        )
    return uri


def _checked(uri: ResourcePath, selection: GraphSelection, converted: Path) -> str:
    match _existing(uri).getExtension():
        case ".qg":
            if selection.qgraph_id is not None:
                _LOG.warning(
                    "--qgraph-id is not checked: %s has no identifier; .qg files never have one.", _name(uri)
                )
            return _name(uri)
        case ".qgraph":
            _LOG.warning(
                "%s has the legacy format and is converted; use '.qg' files to avoid that.", _name(uri)
            )
            with _said_plainly(_name(uri)):
                old = _load_legacy(uri, selection)
                PredictedQuantumGraphComponents.from_old_quantum_graph(old).write(converted)
            return str(converted)
        case other:
            raise AssertionError(f"a graph in a {other} file?")


def _load_legacy(uri: ResourcePath, selection: GraphSelection) -> QuantumGraph:
    # Without any quanta, such a graph would have no init-outputs either, which are needed here.
    quantum_ids = selection.quantum_ids or None
    try:
        graph = QuantumGraph.loadUri(uri, nodes=quantum_ids)
    except ValueError as error:
        if quantum_ids is None:
            raise
        raise PipetaskError(f"{_name(uri)}: {reason_of(error)}: check --qgraph-node-id.") from error
    if selection.qgraph_id not in (None, graph.graphID):
        raise PipetaskError(
            f"{_name(uri)} has the identifier {graph.graphID}, not {selection.qgraph_id}: check --qgraph-id, or that "
            "this is the right graph."
        )
    return graph


def _name(uri: ResourcePath) -> str:
    return uri.ospath if uri.isLocal else str(uri)


@contextmanager
def _said_plainly(name: str) -> Iterator[None]:
    try:
        yield
    except PipetaskError:
        raise
    except ImportError as error:
        raise PipetaskError(
            f"A task of {name} cannot be imported: {error}. Install the package that has it, or put it on PYTHONPATH."
        ) from error
    except (zipfile.BadZipFile, EOFError) as error:
        raise PipetaskError(
            f"{name} is truncated or is not a quantum graph ({error}): build it again."
        ) from error
    except Exception as error:
        reason = f"{type(error).__name__}: {reason_of(error)}"
        raise PipetaskError(
            f"{name} cannot be read as a quantum graph ({reason}): build it again."
        ) from error
