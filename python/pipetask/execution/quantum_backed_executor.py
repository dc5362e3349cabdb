"""Executes quantum graphs without a registry, as the jobs of a batch system do."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from lsst.utils.iteration import chunk_iterable

from ..development.coverage import record_coverage
from ..executors.base import QuantumExecutor
from ..graph.file import GraphFile, GraphLike
from ..graph.reader import QuantumReader
from ..observe.sink import Sink
from ..observe.summary import RunSummary
from ..options.execution import Durability, QuantumBackedOptions
from ..repository.access import open_datastore, open_graph
from ..repository.earlier_attempts import EarlierAttempts
from ..runner.spec import ButlerRunnerSpec, absolute_config
from ..runner.success import is_success_stored
from ..runner.worker_butler import WorkerButler
from ..storage.durability import DiskWriter
from ..storage.files import local_roots
from .base import GraphExecutor
from .execution import Execution

__all__ = ["QuantumBackedGraphExecutor"]

CHUNK = 1000
"""Quanta that are looked for in the datastore at a time."""


class QuantumBackedGraphExecutor(GraphExecutor[QuantumBackedOptions]):
    """Executes quantum graphs with one execution model, through quantum-backed butlers only.

    The registry is neither read nor written, and its database need not exist.  Quanta whose metadata is in the
    datastore are skipped, and what failed attempts have left is replaced.  Call `init_output_run` first, to write
    init-outputs; run ``butler transfer-from-graph`` or ``butler aggregate-graph`` afterwards, to register the outputs.

    Parameters
    ----------
    executor, butler_config, sinks
        As for `~pipetask.execution.base.GraphExecutor`.
    options
        How to execute.  Of a graph file, only the quanta that are selected here are read.

    Examples
    --------
    >>> from pipetask import MultiprocessExecutor, QuantumBackedGraphExecutor
    >>> QuantumBackedGraphExecutor(MultiprocessExecutor(8), "repo").execute("graph.qg")  # doctest: +SKIP
    """

    _group = QuantumBackedOptions

    def __init__(
        self,
        executor: QuantumExecutor | str,
        butler_config: str | Path,
        options: QuantumBackedOptions | None = None,
        sinks: Sequence[Sink] = (),
    ):
        super().__init__(executor, butler_config, options or QuantumBackedOptions(), sinks)

    def execute_to_end(self, graph: GraphLike) -> RunSummary:
        """Execute a graph as `execute` does, and return the summary also after SIGINT; for the command."""
        options, paths = self._options.execution, self._options.search.config_search_path
        self._executor.prepare()
        with (
            record_coverage(options.coverage),
            open_graph(self._config, graph, options.selection, paths, self._executor.preload) as file,
            open_datastore(self._config, file, paths, writeable=self._executor.traits.executes) as butler,
            Execution.begin(
                self._executor, file, self._spec(file), options, self._earlier(file, butler), self._fixup
            ) as execution,
        ):
            writer = None
            if options.durability is Durability.FULL and self._executor.traits.executes:
                writer = DiskWriter(local_roots(butler._datastore, file.header.output_run))
            return execution.run(self._sinks, writer)

    def _spec(self, file: GraphFile) -> ButlerRunnerSpec:
        return ButlerRunnerSpec(
            graph=str(Path(file.path).absolute()),
            butler_config=absolute_config(self._config),
            run=file.header.output_run,
            collections=(),
            registry=False,
            config_search_path=self._options.search.config_search_path,
            extend_run=not self._options.no_existing_outputs,
            clobber_outputs=True,
            job_metadata={"qg_read_time": file.read_time, "qg_size": len(file.structure)},
        )

    def _earlier(self, file: GraphFile, butler: WorkerButler) -> EarlierAttempts:
        """Look for quanta that are done, for a model that does not execute; otherwise each worker looks for its own."""
        if self._executor.traits.executes or self._options.no_existing_outputs:
            return EarlierAttempts()
        return EarlierAttempts(done=_stored(file, butler))


def _stored(file: GraphFile, butler: WorkerButler) -> frozenset[int]:
    """Return the positions of quanta whose success is stored."""
    structure, found = file.structure, set[int]()
    with closing(QuantumReader(file.path)) as reader:
        for positions in chunk_iterable(range(len(structure)), CHUNK):
            quanta = reader.read(structure.quantum_id(position) for position in positions)
            found.update(
                position
                for position in positions
                if is_success_stored(butler, *quanta[structure.quantum_id(position)])
            )
    return frozenset(found)
