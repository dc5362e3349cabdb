"""A quantum graph on disk: whatever a caller has is brought into a ``.qg`` file, and read as little as needed."""

from __future__ import annotations

import logging
import uuid
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, TypeAlias

from lsst.pipe.base import PipelineGraph, QuantumGraph
from lsst.pipe.base.pipeline_graph import TaskNode
from lsst.pipe.base.quantum_graph import PredictedQuantumGraph, PredictedQuantumGraphComponents
from lsst.resources import ResourcePath

from .errors import PipetaskError, reason_of
from .structure import GraphStructure

if TYPE_CHECKING:
    from lsst.daf.butler import Quantum

__all__ = ["GraphFile", "GraphLike"]

_LOG = logging.getLogger(__name__)

GraphLike: TypeAlias = (
    "GraphFile | str | Path | ResourcePath"
    " | PredictedQuantumGraphComponents | PredictedQuantumGraph | QuantumGraph"
)
"""What can be executed: a ``.qg`` or legacy ``.qgraph`` file, open or not, or a graph of pipe_base's in memory."""


class GraphFile:
    """A ``.qg`` file, of which structure and init-quanta have been read.

    Parameters
    ----------
    path
        The file.

    Attributes
    ----------
    path
        The file.
    init
        The graph without quanta: header, pipeline, init-inputs and init-outputs.
    structure
        Who is there and who waits for whom.
    """

    def __init__(self, path: str):
        self.path = path
        with PredictedQuantumGraph.open(path) as reader:
            reader.read_init_quanta()
            self.init: PredictedQuantumGraph = reader.finish()
            reader.read_thin_graph()
            self.structure = GraphStructure.from_thin_graph(reader.components.thin_graph, self.pipeline)

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
        from .runner.quantum_reader import QuantumReader

        reader = QuantumReader(self.path)
        try:
            return reader.read([quantum_id])[quantum_id][1]
        finally:
            reader.close()

    @classmethod
    @contextmanager
    def of(cls, graph: GraphLike) -> Iterator[GraphFile]:
        """Open a graph, in whatever form it comes; files made for that are removed at the end.

        Parameters
        ----------
        graph
            The graph; one that is open already is passed on.

        Raises
        ------
        PipetaskError
            If it cannot be read, with the reason.
        """
        if isinstance(graph, GraphFile):
            yield graph
            return
        with TemporaryDirectory(prefix="pipetask-graph-") as scratch:
            path = _as_file(graph, Path(scratch) / "graph.qg")
            with _said_plainly(path if isinstance(graph, str | Path | ResourcePath) else "the graph"):
                opened = cls(path)
            yield opened


def _as_file(graph: GraphLike, path: Path) -> str:
    match graph:
        case str() | Path() | ResourcePath():
            return _checked(ResourcePath(graph), path)
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


def _checked(uri: ResourcePath, converted: Path) -> str:
    if not uri.exists():
        raise PipetaskError(f"There is no graph at {_name(uri)}: check the name given with -g.")
    match uri.getExtension():
        case ".qg":
            return _name(uri)
        case ".qgraph":
            _LOG.warning(
                "%s has the legacy format and is converted; write '.qg' files to save the time.", _name(uri)
            )
            with _said_plainly(_name(uri)):
                old = QuantumGraph.loadUri(uri)
                PredictedQuantumGraphComponents.from_old_quantum_graph(old).write(converted)
            return str(converted)
        case other:
            raise PipetaskError(
                f"{_name(uri)} is not a quantum graph: its name ends in {other!r}, not in '.qg'."
            )


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
            f"{name} is truncated or is no quantum graph ({error}): write it anew."
        ) from error
    except Exception as error:
        reason = f"{type(error).__name__}: {reason_of(error)}"
        raise PipetaskError(f"{name} cannot be read as a quantum graph ({reason}): write it anew.") from error
