"""The execution of a graph: the part that is the same with a registry and without."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain

from astropy.units import Quantity, byte
from lsst.daf.butler.cli.cliLog import CliLog
from lsst.pipe.base.execution_graph_fixup import ExecutionGraphFixup

from ..development.profile import record_profile
from ..errors import MissingGuardError, PipetaskError, UsageError, one_line
from ..executors.activity import Activity
from ..executors.base import ExecutionContext, QuantumExecutor
from ..executors.continuation import Continuation
from ..executors.inquiry import answer_inquiries
from ..executors.resources import Resources
from ..executors.retries import RetryPolicy
from ..executors.stop_signals import stop_on_signals
from ..graph.enumeration import EnumeratedGraph
from ..graph.file import GraphFile
from ..graph.fixup import fix_up
from ..observe.sink import Audience, Sink
from ..observe.summary import OutcomeCollector, RunSummary
from ..options.execution import Durability, ExecutionOptions
from ..outcome import QuantumOutcome, Status
from ..repository.earlier_attempts import EarlierAttempts
from ..repository.registrar import Registrar
from ..runner.process_setup import limit_threads, shared_datastore_cache
from ..runner.spec import ButlerRunnerSpec
from ..storage.durability import DiskWriter

__all__ = ["Execution"]

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Execution:
    """A graph that an execution model has agreed to execute; `begin` makes one.

    The caller then prepares the repository, and calls `run`.
    """

    executor: QuantumExecutor
    context: ExecutionContext
    options: ExecutionOptions
    unwanted: frozenset[int]
    """Positions of quanta that were not selected."""

    collected: OutcomeCollector

    @classmethod
    @contextmanager
    def begin(
        cls,
        executor: QuantumExecutor,
        file: GraphFile,
        spec: ButlerRunnerSpec,
        options: ExecutionOptions,
        earlier: EarlierAttempts | None = None,
        fixup: ExecutionGraphFixup | None = None,
        later: Continuation | None = None,
        hand_over: Callable[[str, str], None] = lambda batch_run, directory: None,
    ) -> Iterator[Execution]:
        """Decide which quanta are executed, and in which order; nothing is written.

        Until the context ends, SIGINT, SIGTERM, SIGHUP and SIGQUIT ask the execution to stop.

        Parameters
        ----------
        executor
            The execution model.
        file
            The graph.
        spec
            Where quanta read and write; the options say how they are run.
        options
            How to execute.
        earlier
            What earlier attempts have left.
        fixup
            Adds ordering to the graph.
        later
            What other processes need to begin and end the run; for batch models.
        hand_over
            What a batch model calls to reserve the output run for its run directory.

        Raises
        ------
        PipetaskError
            If the execution model refuses, or if there is nothing to write for a batch run.
        """
        if not len(file.structure) and executor.traits.batch:
            raise PipetaskError(f"{file.path} has no quanta: there is nothing to run.")
        earlier = earlier or EarlierAttempts()
        unwanted = file.unwanted(options.selection.quantum_ids)
        excluded = earlier.done | unwanted
        structure = fix_up(file, fixup, excluded) if fixup else file.structure
        stream = EnumeratedGraph(structure, file, excluded)
        # Jobs cannot use a folder that is removed when this process ends.
        shared = nullcontext() if executor.traits.batch else shared_datastore_cache()
        activity = Activity()
        with stop_on_signals() as stop, answer_inquiries(activity), shared as cache:
            if executor.traits.in_process and not executor.traits.implicit_threads:
                limit_threads()
            resources = _resources(file, options)
            context = ExecutionContext(
                stream,
                _completed(spec, executor, options, resources, cache),
                stop,
                fail_fast=options.fail_fast,
                timeout=options.quantum.timeout,
                registered_before=earlier.unsuccessful,
                done=earlier.done,
                activity=activity,
                retries=RetryPolicy.from_options(options.retries, structure.labels),
                resources=resources,
                subsets=partial(_subsets, file),
                later=later,
                hand_over=hand_over,
            )
            _check_traits(executor, context)
            try:
                executor.check(context)
                yield cls(executor, context, options, unwanted, OutcomeCollector(stream, file.header))
            finally:
                executor.settle()

    def run(
        self,
        sinks: Sequence[Sink] = (),
        registrar: Registrar | DiskWriter | None = None,
        *,
        init_only: bool = False,
    ) -> RunSummary:
        """Execute the quanta.  However that ends, there is one outcome for each quantum, and sinks are told the end.

        Parameters
        ----------
        sinks
            What is told about each outcome, and of the end.
        registrar
            Registers what quanta have written, or forces it to disk; it is closed at the end.
        init_only
            Whether to end before the first quantum.

        Returns
        -------
        summary
            What became of the quanta, and what went wrong with the run itself.
        """
        stream, audience = self.context.graph, Audience(sinks)
        error: PipetaskError | None = None
        if registrar is not None:
            self.context.activity.transactions = registrar.transactions
        with record_profile(self.options.profile):
            totals = _totals(stream, self.unwanted)
            audience.begin(stream, totals, self.context.activity)
            if not init_only:
                error = self._execute(audience, registrar)
                self._account_for_all(sum(totals.values()), error, audience)
        error = _closed(registrar) or error
        summary = self.collected.summary(
            self.context.stop,
            fail_fast=self.options.fail_fast,
            error=error,
            unregistered=registrar.unregistered if registrar else 0,
            elsewhere=self.executor.traits.replays,
            goes_on=self.executor.traits.goes_on,
            transactions=self.context.activity.transactions,
        )
        audience.end(summary)
        return summary

    def _execute(self, audience: Audience, registrar: Registrar | DiskWriter | None) -> PipetaskError | None:
        """Execute; return the error that ended the execution early, if there was one."""
        stream = self.context.graph
        try:
            with closing(self.executor.execute(stream, self.context)) as executed:
                for outcome in chain(_done_already(stream, self.context.done - self.unwanted), executed):
                    self._take(outcome, audience, registrar)
        except BaseException as raised:  # the summary says how the run ended
            _LOG.debug("The execution broke off:", exc_info=True)
            if isinstance(raised, MissingGuardError):
                _LOG.error("%s", raised)  # a script that needs to be told may not look at the summary
            if isinstance(raised, PipetaskError):
                return raised
            error = PipetaskError(f"The run broke off: {one_line(raised)}")
            error.__cause__ = raised
            return error
        return None

    def _take(
        self, outcome: QuantumOutcome, audience: Audience, registrar: Registrar | DiskWriter | None
    ) -> None:
        told = outcome.without_outputs()
        if not self.collected.note(told):
            return
        if registrar is not None and outcome.outputs is not None:
            registrar.register(outcome.outputs)
            # What is done is safe in the datastore; stop before more has to be registered later.
            if registrar.trouble is not None:
                self.context.stop.ask(f"outputs could not be registered: {registrar.trouble}")
        audience.note(told)

    def _account_for_all(self, number: int, error: PipetaskError | None, audience: Audience) -> None:
        """Make outcomes for quanta that have none because the execution ended early."""
        if len(self.collected) == number:
            return
        reason = "the run broke off" if error else "the execution model has not said what became of it"
        for outcome in self.collected.missing(f"not done: {reason}"):
            self.collected.note(outcome)
            audience.note(outcome)


def _resources(file: GraphFile, options: ExecutionOptions) -> Resources | None:
    """Return what quanta need, if anything was declared."""
    text = options.quantum.memory
    memory = Quantity(f"{text} MB" if text.isdecimal() else text).to_value(byte) if text else 0
    resources = Resources.from_options(
        options.resources, file.structure.labels, _subsets(file), options.quantum.cores, round(memory)
    )
    _tell_idle_limits(options.resources.parsed_limits(), resources)
    return resources


def _tell_idle_limits(limits: Iterable[str], resources: Resources | None) -> None:
    """Warn of limits of what no quantum needs, which may be misspelt."""
    needs = resources.needs.values() if resources is not None else ()
    for name in limits:
        if not any(each.get(name) for each in needs):
            _LOG.warning(
                "--limit %s limits nothing: no label needs any, as in --resources LABEL=%s=1.", name, name
            )


def _subsets(file: GraphFile) -> dict[str, frozenset[str]]:
    """Return the labels of each subset of the pipeline."""
    return {name: frozenset(subset) for name, subset in file.pipeline.task_subsets.items()}


def _check_traits(executor: QuantumExecutor, context: ExecutionContext) -> None:
    """Refuse what the execution model would not do."""
    traits = executor.traits
    if context.resources is not None and not traits.resources:
        raise UsageError(
            f"{type(executor).__name__} does not look at what quanta need: leave out --resources and --limit, or use "
            "another execution model."
        )
    if context.retries and traits.executes and not traits.retries:
        raise UsageError(
            f"{type(executor).__name__} runs each quantum once: leave out --retries, --error-retries and --retry-file, "
            "or use another execution model."
        )


def _closed(registrar: Registrar | DiskWriter | None) -> PipetaskError | None:
    try:
        if registrar is not None:
            registrar.close()
    except PipetaskError as error:
        return error
    return None


def _completed(
    spec: ButlerRunnerSpec,
    executor: QuantumExecutor,
    options: ExecutionOptions,
    resources: Resources | None,
    cache: str | None,
) -> ButlerRunnerSpec:
    quantum = options.quantum
    by_label = {} if resources is None else resources.needs
    return replace(
        spec,
        raise_on_partial_outputs=quantum.raise_on_partial_outputs,
        cores_per_quantum=quantum.cores,
        memory_per_quantum=quantum.memory,
        cores={label: needs["cpus"] for label, needs in by_label.items()},
        memory={label: needs["memory"] for label, needs in by_label.items() if needs.get("memory")},
        durable=options.durability is Durability.FULL,
        debug=quantum.debug,
        implicit_threads=executor.traits.implicit_threads,
        log_state=list(CliLog.configState),
        datastore_cache=cache,
    )


def _done_already(stream: EnumeratedGraph, done: frozenset[int]) -> Iterator[QuantumOutcome]:
    if not done:
        return
    for _ in stream:  # assigns an id to each quantum
        pass
    for id in sorted(stream.id(position) for position in done):
        yield QuantumOutcome(id, Status.SKIPPED, reason="done already: its metadata is in the output run")


def _totals(stream: EnumeratedGraph, unwanted: frozenset[int]) -> dict[str, int]:
    structure = stream.structure
    counts = dict(zip(structure.labels, structure.counts, strict=True))
    for position in unwanted:
        counts[structure.label(position)] -= 1
    return {label: count for label, count in counts.items() if count}
