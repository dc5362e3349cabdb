"""Wires a graph, an execution model and the sinks together."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from itertools import chain

from lsst.daf.butler import Butler

from .continuation import RunContinuation
from .errors import PipetaskError, RegistrationError, UsageError
from .executors.base import ExecutionContext, QuantumExecutor, StopRequest
from .executors.stop_signals import stop_on_signals
from .graph_file import GraphFile, GraphLike
from .observe.sink import Sink
from .observe.summary import RunSummary, SummarySink
from .options.collections import OutputOptions
from .options.execution import PreUpdate, RunOptions
from .outcome import QuantumOutcome, Status
from .quantum_data import EnumeratedGraph
from .registry.earlier_attempts import EarlierAttempts
from .registry.output_collections import OutputCollections
from .registry.pre_update import check_registry, update_registry, verify_registry
from .registry.registrar import Registrar
from .repository import check_graph_fits, open_repository, output_butler_for
from .runner.spec import ButlerRunnerSpec
from .structure import GraphStructure

__all__ = ["QuantumGraphExecutor"]

_LOG = logging.getLogger(__name__)


class QuantumGraphExecutor:
    """Executes quantum graphs with one execution model.

    Parameters
    ----------
    executor
        The execution model.
    butler_config
        Root, configuration file or alias of the repository.
    options
        How to execute.
    sinks
        Who is told about each outcome, besides the registry.

    Examples
    --------
    >>> from pipetask.executors.pool import MultiprocessExecutor
    >>> QuantumGraphExecutor(MultiprocessExecutor(8), "repo").execute("graph.qg")  # doctest: +SKIP
    """

    def __init__(
        self,
        executor: QuantumExecutor,
        butler_config: str,
        options: RunOptions | None = None,
        sinks: Sequence[Sink] = (),
    ):
        self._executor = executor
        self._config = str(butler_config)
        self._options = options or RunOptions()
        self._sinks = tuple(sinks)

    def execute(self, graph: GraphLike) -> RunSummary:
        """Execute a graph.

        Parameters
        ----------
        graph
            A ``.qg`` or ``.qgraph`` file, or a graph of pipe_base's.

        Returns
        -------
        summary
            What became of each quantum.  A failed quantum is an outcome here and not an exception.

        Raises
        ------
        PipetaskError
            If the run could not begin, or if outputs could not be registered.
        """
        self._options.collections.check()
        if self._options.pre_update.when is PreUpdate.DEFERRED and not self._executor.delayed:
            raise UsageError(
                "--registry-pre-update deferred is for delayed execution (--mode condor): use 'now' here."
            )
        self._executor.prepare()
        with (
            GraphFile.of(graph) as file,
            open_repository(self._config, writeable=self._executor.executes) as butler,
        ):
            return self._execute(file, butler)

    def _execute(self, file: GraphFile, butler: Butler) -> RunSummary:
        if not len(file.structure):
            raise PipetaskError(f"{file.path} has no quanta: there is nothing to run.")
        check_graph_fits(butler, file, self._config)
        collections = OutputCollections.resolve(butler, self._collection_options(file))
        earlier = EarlierAttempts()
        if collections.run_exists and not self._executor.replays:
            earlier = EarlierAttempts.find(butler, collections.run, file.structure, file.pipeline)
        unwanted = self._unwanted(file)
        _warn_of_missing_inputs(file.structure, unwanted - earlier.done, unwanted)
        stream = EnumeratedGraph(file.structure, file, earlier.done | unwanted)
        with stop_on_signals() as stop:
            context = self._context(file, stream, collections, earlier, stop)
            self._executor.check(context)
            if self._executor.executes:
                self._make_ready(file, butler, collections)
            summary, error = SummarySink(stream, file.header), None
            if not self._options.pre_update.init_only:
                registrar = self._registrar(file, butler, collections)
                try:
                    self._run(context, summary, registrar, earlier.done - unwanted, unwanted)
                except RegistrationError as raised:
                    error = raised
            return summary.finish(stop, fail_fast=self._options.execution.fail_fast, error=error)

    def _run(
        self,
        context: ExecutionContext,
        summary: SummarySink,
        registrar: Registrar | None,
        done: frozenset[int],
        unwanted: frozenset[int],
    ) -> None:
        stream = context.graph
        sinks = [summary, *self._sinks]
        totals = _totals(stream, unwanted)
        with ExitStack() as stack:
            if registrar is not None:
                stack.callback(registrar.close)
            for sink in sinks:
                sink.begin(stream, totals, context.activity)
                stack.callback(sink.end)
            executed = stack.enter_context(closing(self._executor.execute(stream, context)))
            for outcome in chain(_done_already(stream, done), executed):
                if outcome.outputs is not None and registrar is not None:
                    registrar.register(outcome.outputs)
                    outcome = outcome.without_outputs()
                for sink in sinks:
                    sink.note(outcome)

    def _registrar(self, file: GraphFile, butler: Butler, collections: OutputCollections) -> Registrar | None:
        if not self._executor.executes:
            return None
        return Registrar(butler, file.pipeline, collections.run, extend_run=collections.run_exists)

    def _make_ready(self, file: GraphFile, butler: Butler, collections: OutputCollections) -> None:
        options = self._options.pre_update
        match options.when:
            case PreUpdate.NOW:
                update_registry(butler, file.init, collections, options)
            case PreUpdate.DEFERRED:
                check_registry(butler, file.init, options)
            case PreUpdate.SKIP:
                verify_registry(butler, file.init, collections, options)
            case other:
                raise AssertionError(f"registry pre-update {other!r}?")

    def _collection_options(self, file: GraphFile) -> OutputOptions:
        options, in_graph = self._options.collections, file.header.output_run
        if options.output_run and options.output_run != in_graph:
            raise PipetaskError(
                f"--output-run {options.output_run} is not the output run of {file.path}, which is {in_graph}: leave "
                "the option out, or give the graph another run with update-graph-run."
            )
        if self._options.pre_update.when is PreUpdate.SKIP and not options.extend_run:
            # The run exists because somebody made it for this execution, which is no extension.
            options = replace(options, extend_run=True)
        return replace(options, output_run=in_graph)

    def _unwanted(self, file: GraphFile) -> frozenset[int]:
        wanted = self._options.execution.selection.quantum_ids
        if wanted is None:
            return frozenset()
        structure = file.structure
        positions = {structure.quantum_id_bytes(position): position for position in range(len(structure))}
        unknown = [id for id in wanted if id.bytes not in positions]
        if unknown:
            raise PipetaskError(f"{file.path} has no quantum {unknown[0]}.")
        return frozenset(range(len(structure))) - {positions[id.bytes] for id in wanted}

    def _context(
        self,
        file: GraphFile,
        stream: EnumeratedGraph,
        collections: OutputCollections,
        earlier: EarlierAttempts,
        stop: StopRequest,
    ) -> ExecutionContext:
        quantum = self._options.execution.quantum
        spec = ButlerRunnerSpec(
            graph=file.path,
            butler_config=self._config,
            run=collections.run,
            collections=collections.search_path,
            output_butler=self._options.output_butler or output_butler_for(self._config),
            extend_run=collections.run_exists,
            clobber_outputs=collections.options.clobber_outputs and collections.options.extend_run,
            raise_on_partial_outputs=quantum.raise_on_partial_outputs,
            cores_per_quantum=quantum.cores,
            memory_per_quantum=quantum.memory,
            debug=quantum.debug,
            implicit_threads=self._executor.implicit_threads,
            log_state=_log_state(),
        )
        if self._executor.in_process and not self._executor.implicit_threads:
            from .runner.process_setup import limit_threads

            limit_threads()
        return ExecutionContext(
            stream,
            spec,
            stop,
            fail_fast=self._options.execution.fail_fast,
            timeout=quantum.timeout,
            registered_before=earlier.unsuccessful,
            done=earlier.done,
            later=RunContinuation.of(self._config, collections.run, self._options),
        )


def _warn_of_missing_inputs(
    structure: GraphStructure, not_run: frozenset[int], unwanted: frozenset[int]
) -> None:
    """Warn of quanta that are asked for and need others that neither are nor have been run."""
    if not not_run:
        return
    needy = [
        p
        for p in range(len(structure))
        if p not in unwanted and not not_run.isdisjoint(structure.needed_by(p))
    ]
    if needy:
        _LOG.warning(
            "%d of the quanta asked for need others that have not been run; without inputs they may find no work.",
            len(needy),
        )


def _done_already(stream: EnumeratedGraph, done: frozenset[int]) -> Iterator[QuantumOutcome]:
    if not done:
        return
    for _ in stream:  # so that every quantum has its id
        pass
    for id in sorted(stream.id(position) for position in done):
        yield QuantumOutcome(id, Status.SKIPPED, reason="done already: its metadata is in the output run")


def _totals(stream: EnumeratedGraph, unwanted: frozenset[int]) -> dict[str, int]:
    structure = stream.structure
    counts = dict(zip(structure.labels, structure.counts, strict=True))
    for position in unwanted:
        counts[structure.label(position)] -= 1
    return {label: count for label, count in counts.items() if count}


def _log_state() -> list[tuple[object, ...]]:
    from lsst.daf.butler.cli.cliLog import CliLog

    return list(CliLog.configState)
