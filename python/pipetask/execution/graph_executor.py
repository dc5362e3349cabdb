"""Connects a graph, an execution model, the registry and the sinks."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from lsst.daf.butler import Butler

from ..development.coverage import record_coverage
from ..errors import PipetaskError, UsageError
from ..executors.base import QuantumExecutor
from ..executors.continuation import Continuation
from ..graph.file import GraphFile, GraphLike
from ..graph.structure import GraphStructure
from ..observe.sink import Sink
from ..observe.summary import RunSummary
from ..options.collections import OutputOptions
from ..options.execution import Durability, PreUpdate, RunOptions
from ..options.records import RecordOptions
from ..repository.access import check_graph_fits, open_repository, output_butler_for
from ..repository.batch_lease import batches_in_chain, check_batch, note_batch
from ..repository.earlier_attempts import EarlierAttempts
from ..repository.lease import Lease, lease_run, watched
from ..repository.outdated import forget_outdated
from ..repository.output_collections import OutputCollections
from ..repository.pre_update import check_registry, update_registry, verify_registry
from ..repository.registrar import Registrar
from ..runner.spec import ButlerRunnerSpec, absolute_config
from ..storage.durability import sync_file_systems
from ..storage.files import local_roots
from ..wording import in_own_words
from .base import GraphExecutor
from .execution import Execution

__all__ = ["QuantumGraphExecutor"]

_LOG = logging.getLogger(__name__)


class QuantumGraphExecutor(GraphExecutor[RunOptions]):
    """Executes quantum graphs with one execution model.

    Parameters
    ----------
    executor, butler_config, sinks
        As for `~pipetask.execution.base.GraphExecutor`.
    options
        How to execute.
    records
        What the last job of a batch run does at the end; for a run on this machine the sinks do that.

    Examples
    --------
    >>> from pipetask import MultiprocessExecutor, QuantumGraphExecutor
    >>> QuantumGraphExecutor(MultiprocessExecutor(8), "repo").execute("graph.qg")  # doctest: +SKIP
    """

    _group = RunOptions

    def __init__(
        self,
        executor: QuantumExecutor | str,
        butler_config: str | Path,
        options: RunOptions | None = None,
        sinks: Sequence[Sink] = (),
        records: RecordOptions | None = None,
    ):
        super().__init__(executor, butler_config, options or RunOptions(), sinks)
        self._records = records or RecordOptions()

    def check_repository(self) -> None:
        """Check before a graph is built that the repository can be written to, if the model executes quanta.

        Raises
        ------
        PipetaskError
            If it cannot.
        """
        if self._executor.traits.executes:
            with open_repository(self._config, writeable=True):
                pass

    def preload(self, task_names: Callable[[], Sequence[str]]) -> None:
        """Let the execution model start to import the tasks of the graph that is executed next.

        Parameters
        ----------
        task_names
            Returns the full names of the task classes.
        """
        self._executor.preload(task_names)

    def execute_to_end(self, graph: GraphLike) -> RunSummary:
        """Execute a graph as `execute` does, and return the summary also after SIGINT; for the command."""
        self._options.check()
        if self._options.pre_update.when is PreUpdate.DEFERRED and not self._executor.traits.batch:
            raise UsageError("--registry-pre-update deferred is for batch runs: use 'now' here.")
        if self._options.pre_update.init_only and not self._executor.traits.executes:
            raise UsageError(
                "--init-only writes to the repository, and a dry run does not: leave one of them out."
            )
        self._executor.prepare()
        with (
            record_coverage(self._options.execution.coverage),
            open_repository(self._config, writeable=self._executor.traits.executes) as butler,
            GraphFile.of(graph, announce=self._executor.preload) as file,
        ):
            if not self._executor.traits.executes:
                return self._execute(file, butler)
            run = file.header.output_run
            with lease_run(butler, run) as lease:
                check_batch(
                    butler, run, self._executor.batch_run, take_over=self._options.pre_update.take_over
                )
                return self._execute(file, butler, lease)

    def _execute(self, file: GraphFile, butler: Butler, lease: Lease | None = None) -> RunSummary:
        check_graph_fits(butler, file, self._config)
        collections = OutputCollections.resolve(butler, self._collection_options(file), file.pipeline)
        if self._executor.traits.batch:
            _warn_of_other_batches(butler, collections)
        earlier = EarlierAttempts()
        if collections.run_exists and not self._executor.traits.replays:
            producers = None if self._options.trust_registry else file.producers
            earlier = EarlierAttempts.find(butler, collections.run, file.structure, file.pipeline, producers)
            if self._options.rerun_finished:
                earlier = earlier.again(file.unwanted(self._options.execution.selection.quantum_ids))
            if earlier.damage:
                _LOG.warning("%s", earlier.describe_damage())
        options, spec = self._options.execution, self._spec(file, butler, collections)
        later = Continuation.of(self._config, collections.run, self._options, self._records)
        hand_over = partial(_hand_over, butler, collections.run, lease)
        with (
            Execution.begin(
                self._executor, file, spec, options, earlier, self._fixup, later, hand_over
            ) as execution,
            watched(lease, execution.context.stop.ask),
        ):
            if not spec.clobber_outputs:
                _warn_of_kept_outputs(earlier.unsuccessful - execution.unwanted)
            _warn_of_missing_inputs(file.structure, execution.unwanted - earlier.done, execution.unwanted)
            if self._executor.traits.executes:
                self._make_ready(file, butler, collections)
                forget_outdated(butler, file, earlier.outdated - execution.unwanted)
            else:
                self._foretell(file, butler, collections)
            registrar = self._registrar(file, butler, collections)
            return execution.run(self._sinks, registrar, init_only=self._options.pre_update.init_only)

    def _registrar(self, file: GraphFile, butler: Butler, collections: OutputCollections) -> Registrar | None:
        if not self._executor.traits.executes:
            return None
        durable = self._options.execution.durability is Durability.FULL
        return Registrar(
            butler,
            file.pipeline,
            collections.run,
            extend_run=collections.run_exists,
            durable=durable,
            again=self._executor.traits.register_again,
        )

    def _make_ready(self, file: GraphFile, butler: Butler, collections: OutputCollections) -> None:
        options = self._options.pre_update
        match options.when:
            case PreUpdate.NOW:
                update_registry(butler, file.init, collections, options)
                if self._options.execution.durability is Durability.FULL:
                    sync_file_systems(local_roots(butler._datastore, collections.run))
            case PreUpdate.DEFERRED:
                check_registry(butler, file.init, options)
            case PreUpdate.SKIP:
                verify_registry(butler, file.init, collections, options)
            case other:
                raise AssertionError(f"registry pre-update {other!r}?")

    def _foretell(self, file: GraphFile, butler: Butler, collections: OutputCollections) -> None:
        """Warn of what the run itself would warn of, or be refused for, when it makes the registry ready."""
        collections.say_what_is_odd("when the graph is executed")
        options = self._options.pre_update
        try:
            if options.when is PreUpdate.SKIP:
                verify_registry(butler, file.init, collections, options)
            else:
                check_registry(butler, file.init, options)
        except PipetaskError as error:
            _LOG.warning("The run itself would be refused: %s", error)

    def _collection_options(self, file: GraphFile) -> OutputOptions:
        options, in_graph = self._options.collections, file.header.output_run
        if options.output_run and options.output_run != in_graph:
            raise PipetaskError(
                f"--output-run {options.output_run} is not the output run of {file.path}, which is {in_graph}: leave "
                "the option out, or give the graph another run with update-graph-run."
            )
        if self._options.pre_update.when is PreUpdate.SKIP and not options.extend_run:
            # The run was made for this execution, so this does not extend an earlier one.
            options = replace(options, extend_run=True)
        return replace(options, output_run=in_graph)

    def _spec(self, file: GraphFile, butler: Butler, collections: OutputCollections) -> ButlerRunnerSpec:
        return ButlerRunnerSpec(
            graph=str(Path(file.path).absolute()),
            butler_config=absolute_config(self._config),
            run=collections.run,
            collections=collections.search_path,
            output_butler=self._options.output_butler or output_butler_for(butler),
            extend_run=collections.run_exists,
            clobber_outputs=collections.options.clobber_outputs and collections.options.extend_run,
        )


def _hand_over(butler: Butler, run: str, lease: Lease | None, batch_run: str, directory: str) -> None:
    """Reserve the output run for a run directory, before this process gives it up."""
    note_batch(butler, run, batch_run, directory)
    if lease is not None:
        lease.release()


def _warn_of_other_batches(butler: Butler, collections: OutputCollections) -> None:
    """Name a batch run that the same command may have begun before: its submission may have been interrupted."""
    held = batches_in_chain(butler, collections.chain) if collections.chain is not None else {}
    held.pop(collections.run, None)
    if held:
        run, directory = list(held.items())[-1]
        many = f" (and {len(held) - 1} more)" if len(held) > 1 else ""
        _LOG.warning(
            "This begins another run, and %r%s is not over: go on with that (pipetask restart %s) or end it "
            "(pipetask cancel %s).",
            run,
            many,
            directory,
            directory,
        )


def _warn_of_kept_outputs(unsuccessful: frozenset[int]) -> None:
    """Warn at the start of quanta that cannot run because of what they have left before."""
    if unsuccessful:
        quanta = "1 quantum has" if len(unsuccessful) == 1 else f"{len(unsuccessful)} quanta have"
        _LOG.warning(
            "%s failed before, left registered outputs, and will fail again: add %s to replace these.",
            quanta,
            in_own_words("--clobber-outputs"),
        )


def _warn_of_missing_inputs(
    structure: GraphStructure, not_run: frozenset[int], unwanted: frozenset[int]
) -> None:
    """Warn of selected quanta that need others which are not selected and have not been run."""
    if not not_run:
        return
    needy = [
        p
        for p in range(len(structure))
        if p not in unwanted and not not_run.isdisjoint(structure.needed_by(p))
    ]
    if needy:
        _LOG.warning(
            "%d of the selected quanta need others that have not been run; without inputs they may find no work.",
            len(needy),
        )
