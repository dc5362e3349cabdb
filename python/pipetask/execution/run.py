"""One call that runs a graph, with keywords named like the options of ``pipetask run``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from os import fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from ..errors import UsageError
from ..executors.base import QuantumExecutor
from ..executors.modes import find_executor, instance_of
from ..executors.routed.choice import groups_of, with_routes
from ..options.declaration import OwnedOptions, assemble, declared
from ..options.execution import Durability, ExecutorOptions, OutputButler, PreUpdate, RunOptions
from ..options.keywords import described_by, keywords, suggests_keywords, values_of
from ..options.models import InProcessOptions, MultiprocessOptions
from ..options.owners import BUILT_IN
from ..options.records import RecordOptions
from .whole_imports import whole_imports

if TYPE_CHECKING:
    from ..graph.file import GraphLike
    from ..observe.sink import Sink
    from ..observe.summary import RunSummary

__all__ = ["MODEL_GROUPS", "run"]

MODEL_GROUPS: tuple[type[Any], ...] = tuple(
    dict.fromkeys(group for model in BUILT_IN.values() for group in model.groups)
)
"""Groups of options of the execution models that come with the package."""


@suggests_keywords
@described_by([RunOptions, *MODEL_GROUPS])
def run(
    repo: str | Path,
    graph: GraphLike,
    *,
    mode: str | QuantumExecutor | None = None,
    route: str | Iterable[str] = (),
    sinks: Sequence[Sink] = (),
    summary: str | Path | None = None,
    html: str | Path | None = None,
    trace: str | Path | None = None,
    journal: str | Path | None = None,
    input: str | Iterable[str] = (),
    output: str | None = None,
    output_run: str | None = None,
    extend_run: bool = False,
    replace_run: bool = False,
    prune_replaced: str | None = None,
    rebase: bool = False,
    clobber_outputs: bool = False,
    registry_pre_update: PreUpdate | str = PreUpdate.NOW,
    register_dataset_types: bool = False,
    skip_init_writes: bool = False,
    init_only: bool = False,
    take_over: bool = False,
    no_versions: bool = False,
    timeout: float | None = None,
    raise_on_partial_outputs: bool = True,
    cores_per_quantum: int = 1,
    memory_per_quantum: str | None = None,
    debug: bool = False,
    resources: str | Iterable[str] = (),
    limit: str | Iterable[str] = (),
    retries: int | None = None,
    error_retries: int | None = None,
    retry_exceptions: str | Iterable[str] = (),
    retry_timeouts: bool = False,
    retry_delay: float = 0.0,
    retry_file: str | Path | None = None,
    fail_fast: bool = False,
    graph_fixup: str | None = None,
    durability: Durability | str = Durability.FULL,
    qgraph_id: str | None = None,
    qgraph_node_id: UUID | str | Iterable[UUID | str] | None = None,
    profile: str | Path | None = None,
    coverage: bool = False,
    cov_report: bool = True,
    cov_packages: str | Iterable[str] = (),
    output_butler: OutputButler | str | None = None,
    rerun_finished: bool = False,
    trust_registry: bool = False,
    processes: int = 1,
    pdb: str | None = None,
    enable_implicit_threading: bool = False,
    start_method: str = "forkserver",
    preload: bool = True,
    engine: str = "threads",
    engine_folder: str | Path | None = None,
    engine_settings: str | Path | None = None,
    plan: str | Path | None = None,
    run_dir: str | Path | None = None,
    submit: bool = True,
    wait: bool = False,
    bundle_size: int | None = None,
    bundle_by: str | Iterable[str] = (),
    bundle_seconds: float | None = None,
    timings: str | Path | None = None,
    condor: str | Iterable[str] = (),
    condor_config: str | Path | None = None,
    slurm: str | Iterable[str] = (),
    slurm_config: str | Path | None = None,
    pbs: str | Iterable[str] = (),
    pbs_config: str | Path | None = None,
    pjm: str | Iterable[str] = (),
    pjm_config: str | Path | None = None,
) -> RunSummary:
    """Execute a quantum graph in a repository, and return how each quantum ended.

    The keywords are the options of ``pipetask run``, with underscores.  Unlike the command, this reads no option files,
    and prints nothing but the list of a dry run.

    Parameters
    ----------
    repo
        Root, configuration file or alias of the butler repository.
    graph
        A ``.qg`` or ``.qgraph`` file, or a graph in memory, such as `build_graph` returns.
    mode
        Execution model: ``in-process``, ``multiprocess``, ``futures``, ``dry-run``, ``condor``, ``slurm``, ``pbs``,
        ``pjm``, an installed one, a class path, or an instance.  By default in-process for one process without a
        timeout, else multiprocess.
    route
        Labels, subsets or patterns that run with another model, as in ``isr=dask:tcp://HOST:PORT``.
    sinks
        What receives each outcome, and the summary at the end, for instance a progress display.
    summary, html, trace
        Files to write: a summary as JSON, a page that explains the run, a timeline for Perfetto.
    journal
        Folder for the journal of the run, with which ``pipetask watch`` shows it in a terminal; by default none.

    Returns
    -------
    summary
        What became of each quantum.  A failed quantum is an outcome and not an exception.

    Raises
    ------
    UsageError
        If a value makes no sense, or has no effect.
    PipetaskError
        If the run could not begin.
    RunInterrupted
        After SIGINT; it is a `KeyboardInterrupt`, and has the summary.

    Examples
    --------
    >>> import pipetask
    >>> pipetask.run("REPO", "graph.qg", output="u/me/out", processes=8, timeout=600)  # doctest: +SKIP
    """
    given = dict(locals())
    routes = (route,) if isinstance(route, str) else tuple(route)
    return _run(fspath(repo), graph, mode, routes, list(sinks), given)


def _run(
    repo: str,
    graph: GraphLike,
    mode: str | QuantumExecutor | None,
    routes: Sequence[str],
    sinks: list[Sink],
    given: Mapping[str, Any],
) -> RunSummary:
    values = values_of([RunOptions, RecordOptions, *MODEL_GROUPS], given)
    options = assemble(RunOptions, values)
    executor = _executor(mode, routes, values, options.execution.quantum.timeout)

    with whole_imports():
        from ..graph.file import named
        from ..observe.choice import record_sinks
        from ..observe.report import debug_command
        from ..repository.access import open_graph
        from .graph_executor import QuantumGraphExecutor

    run_alone = partial(debug_command, repo, named(graph))
    records = assemble(RecordOptions, values)
    here = records.at_submission() if executor.traits.batch else records
    kept = record_sinks(lambda _: run_alone, here, slots=values["processes"])
    kept += _journal(values["journal"], executor, repo, named(graph))
    graph_executor = QuantumGraphExecutor(executor, repo, options, [*kept, *sinks], records)
    executor.prepare()
    with open_graph(repo, graph, options.execution.selection, announce=executor.preload) as file:
        return graph_executor.execute(file)


def _journal(folder: str | None, executor: QuantumExecutor, repo: str, graph: str) -> list[Sink]:
    from ..journal.places import check_folder
    from ..journal.sink import JournalFacts, JournalSink

    if folder is None or not executor.traits.executes:
        return []
    if executor.traits.batch:
        raise UsageError("--journal: a batch run has the same records in its run directory: leave it out.")
    return [JournalSink(check_folder(Path(folder)), JournalFacts.of(graph, repo))]


def _executor(
    mode: str | QuantumExecutor | None,
    routes: Sequence[str],
    values: Mapping[str, Any],
    timeout: float | None,
) -> QuantumExecutor:
    """Make the execution model; refuse options of other models, which would have no effect."""
    if mode is not None and not isinstance(mode, str):
        executor = instance_of(mode, "mode")
        if routes:
            raise UsageError("route has no effect where mode is an instance: use a RoutedExecutor.")
        if extra := next(_set_for_others(values, []), None):
            raise UsageError(f"{extra[0]} has no effect where mode is an instance: give it to that.")
        return executor
    models = OwnedOptions(
        {each.name: values[each.name] for group in MODEL_GROUPS for each in declared(group)}
    )
    chosen = assemble(ExecutorOptions, values_of([ExecutorOptions], {"mode": mode, "route": routes}))
    name = replace(chosen, models=models).mode_for(timeout)
    model = find_executor(name)
    own = [] if model.options_group is None else [model.options_group]
    if mode is None:  # the number of processes decides between these two
        own += [InProcessOptions, MultiprocessOptions]
    own += groups_of(routes)
    if model.traits.executes and (extra := next(_set_for_others(values, own), None)):
        raise UsageError(
            f"{extra[0]} is an option of mode={extra[1]!r}, and quanta run with mode={name!r}: leave it out, or use "
            "that mode."
        )
    made = model.from_options(None if model.options_group is None else models.of(model.options_group))
    return with_routes(made, name, routes, models.of) if model.traits.executes else made


def _set_for_others(values: Mapping[str, Any], own: Sequence[type[Any]]) -> Iterator[tuple[str, str]]:
    """Yield what was set and belongs to none of some groups, with the mode that it belongs to."""
    known = keywords(own)
    for mode, model in BUILT_IN.items():
        for keyword, each in keywords(model.groups).items():
            if keyword not in known and values[each.name] != each.default:
                yield f"{keyword}={values[each.name]!r}", mode
