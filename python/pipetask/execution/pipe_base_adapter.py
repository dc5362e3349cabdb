"""For programs that use pipe_base's executors: they can hand their graphs to this package.

With `lsst.pipe.base.separable_pipeline_executor.SeparablePipelineExecutor`:

>>> from lsst.daf.butler import Butler
>>> from lsst.pipe.base.separable_pipeline_executor import SeparablePipelineExecutor
>>> from pipetask import MultiprocessExecutor, PipeBaseGraphExecutor
>>> butler = Butler.from_config(root, collections=inputs, run="u/me/run", writeable=True)
>>> separable = SeparablePipelineExecutor(butler)
>>> graph = separable.build_quantum_graph(separable.make_pipeline(pipeline))
>>> separable.pre_execute_qgraph(graph, register_dataset_types=True)
>>> graph_executor = PipeBaseGraphExecutor(MultiprocessExecutor(2), root)
>>> separable.run_pipeline(graph, graph_executor=graph_executor)
>>> graph_executor.getReport().status.value
'success'

With `lsst.pipe.base.simple_pipeline_executor.SimplePipelineExecutor`, which makes the run and leaves the rest of the
preparation to its own ``run``:

>>> from lsst.pipe.base.simple_pipeline_executor import SimplePipelineExecutor
>>> from pipetask import OutputOptions, PreUpdateOptions, RunOptions
>>> butler = SimplePipelineExecutor.prep_butler(root, inputs, "u/me/simple")
>>> simple = SimplePipelineExecutor.from_pipeline_filename(pipeline, butler=butler)
>>> options = RunOptions(
...     collections=OutputOptions(extend_run=True),
...     pre_update=PreUpdateOptions(register_dataset_types=True),
... )
>>> PipeBaseGraphExecutor(MultiprocessExecutor(2), root, options).execute(simple.predicted)
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from lsst.pipe.base import QuantumGraph
from lsst.pipe.base import quantum_graph_executor as pipe_base
from lsst.pipe.base.mp_graph_executor import MPGraphExecutorError, MPTimeoutError
from lsst.pipe.base.quantum_graph import PredictedQuantumGraph
from lsst.pipe.base.quantum_graph.aggregator import AggregatorConfig, FatalWorkerError, aggregate_graph
from lsst.pipe.base.quantum_reports import Report

from ..errors import PipetaskError, reason_of
from ..executors.base import QuantumExecutor
from ..executors.stop import StopRequest
from ..graph.enumeration import EnumeratedGraph
from ..graph.file import GraphFile
from ..observe.sink import Sink
from ..observe.summary import OutcomeCollector, RunSummary
from ..observe.summary_file import SummarySink
from ..options.execution import PreUpdate, PreUpdateOptions, RunOptions
from ..outcome import Status
from .graph_executor import QuantumGraphExecutor
from .interruption import raise_if_interrupted

__all__ = ["GraphExecutionError", "GraphTimeoutError", "PipeBaseGraphExecutor"]


PREPARED = PreUpdateOptions(when=PreUpdate.SKIP, no_versions=True)
"""The registry was prepared by ``pre_execute_qgraph``, perhaps with ``save_versions=False``."""


class GraphExecutionError(PipetaskError, MPGraphExecutorError):
    """Raised when a graph was executed and some of its quanta have not succeeded, or when it could not be executed.

    It is pipe_base's error, too, so that programs which catch that need not change.
    """


class GraphTimeoutError(GraphExecutionError, MPTimeoutError):
    """Raised when all quanta that failed took longer than the timeout; it is pipe_base's error, too."""


class PipeBaseGraphExecutor(pipe_base.QuantumGraphExecutor):
    """Executes graphs as this package does, and looks to pipe_base like an executor of its own.

    Parameters
    ----------
    executor
        The execution model, or its name, such as ``multiprocess``, for one with its default options.
    butler_config
        Root, configuration file or alias of the repository.
    options
        How to execute.  By default it is verified that the registry is ready, as it is after
        ``SeparablePipelineExecutor.pre_execute_qgraph``.
    sinks
        What receives each outcome, and the summary at the end.

    Notes
    -----
    Options of pipe_base's executors that concern execution (``clobber_output``, ``resources``, ``fail_fast``,
    ``num_proc``, …) have no effect on a graph executor that is handed to them; ``options`` has them all.
    """

    def __init__(
        self,
        executor: QuantumExecutor | str,
        butler_config: str | Path,
        options: RunOptions | None = None,
        sinks: Sequence[Sink] = (),
    ):
        self._butler_config = str(butler_config)
        options = options or RunOptions(pre_update=PREPARED)
        self._kept = _KeptReport(sys.argv)
        self._executor = QuantumGraphExecutor(executor, butler_config, options, [self._kept, *sinks])

    def execute(
        self, graph: QuantumGraph | PredictedQuantumGraph, *, provenance_graph_file: str | None = None
    ) -> None:
        """Execute a graph.

        Parameters
        ----------
        graph
            A graph of pipe_base's.
        provenance_graph_file
            Where to write the provenance graph, if that is wanted: what became of each quantum and each dataset, with
            logs and metadata.

        Raises
        ------
        GraphTimeoutError
            If quanta took longer than the timeout, and none failed otherwise.
        GraphExecutionError
            If any quantum has not succeeded, if the run was stopped by a signal, or if it could not begin.
        PipetaskError
            If the run broke off.
        RunInterrupted
            If it was interrupted from the terminal, or the kernel of a notebook was.  It is a `KeyboardInterrupt`, and
            its attribute ``summary`` has all outcomes.
        """
        self._kept.report = None
        with GraphFile.of(graph) as file:
            summary = self._summary(file)
            if provenance_graph_file is not None and summary.signal is None:
                self._write_provenance(file.path, provenance_graph_file)
        _raise_for(summary)

    def _summary(self, file: GraphFile) -> RunSummary:
        if not len(file.structure):  # such a graph of pipe_base's may lack an output run
            return self._kept.nothing(file)
        try:
            return self._executor.execute_to_end(file)
        except PipetaskError as error:
            raise GraphExecutionError(*error.args) from error

    def getReport(self) -> Report:  # noqa: N802  pipe_base's name
        """Return the report on the last execution.

        Raises
        ------
        RuntimeError
            If nothing has been executed.
        """
        if self._kept.report is None:
            raise RuntimeError("There is no report: no graph has been executed.")
        return self._kept.report

    def _write_provenance(self, graph: str, provenance: str) -> None:
        # pipe_base reads what quanta have written to the datastore; "dry run" keeps it from registering that again.
        config = AggregatorConfig(output_path=provenance, dry_run=True)
        try:
            aggregate_graph(graph, self._butler_config, config)
        except (FatalWorkerError, Exception) as error:
            raise PipetaskError(
                f"The provenance graph {provenance} cannot be written ({reason_of(error)}, see the log); outputs are "
                "registered all the same."
            ) from error


class _KeptReport(SummarySink):
    """Keeps the summary of the last run as pipe_base's report."""

    report: Report | None = None

    def nothing(self, file: GraphFile) -> RunSummary:
        """Keep, and return, the report on a graph without quanta."""
        stop = StopRequest()
        summary = OutcomeCollector(EnumeratedGraph(file.structure, file), file.header).summary(stop)
        stop.close()
        self.end(summary)
        return summary

    def end(self, summary: RunSummary) -> None:
        """Keep it."""
        fields = {
            name: list(value) if isinstance(value, Iterator) else value
            for name, value in self.fields(summary)
        }
        fields["exitCode"] = fields["exitCode"] or None  # pipe_base's reports have none after a success
        self.report = Report.model_validate(fields)


def _raise_for(summary: RunSummary) -> None:
    raise_if_interrupted(summary)
    if summary.error is not None:
        raise summary.error
    if summary.exit_code:
        late = {outcome.status for outcome in summary.failed} == {Status.TIMED_OUT}
        raise (GraphTimeoutError if late else GraphExecutionError)(_in_a_line(summary))


def _in_a_line(summary: RunSummary) -> str:
    bad = sum(number for status, number in summary.total.items() if not status.unblocks)
    line = f"{bad} of {len(summary.outcomes)} quanta have not succeeded"
    if not summary.failed:
        return f"{line}: {summary.stopped}."
    first = summary.failed[0]
    why = f"{first.error.type_name}: {first.error.message}" if first.error else first.reason or ""
    return (
        f"{line}; {summary.graph.describe(first.id)} {first.status.value} first: {why.partition(chr(10))[0]}"
    )
