"""The execution model that writes a graph as an HTCondor DAG."""

from __future__ import annotations

import os
import re
import shutil
import sys
import time
import uuid
from array import array
from collections.abc import Generator, Iterable, Iterator, Sequence
from pathlib import Path

from ...errors import PipetaskError, RegistrationError, UsageError
from ...executors.base import ExecutionContext, QuantumExecutor, Traits
from ...graph.enumeration import QuantumData
from ...graph.garbage import uncollected
from ...options.batch import BatchOptions
from ...options.execution import ExecutorOptions
from ...outcome import QuantumOutcome, Status
from ..bundling import BundlingOptions, Node, NodeGraph, bundle, read_timings
from ..follow import follow
from ..graph_parts import Part, deal, write_parts
from ..index import IndexedNode, IndexedQuantum, write_index
from ..run_directory import (
    Recipe,
    RunDirectory,
    RunFacts,
    bring_along,
    default_name,
    new_run_directory,
    write_facts,
)
from ..status import RunPhase
from .bindings import schedd
from .configuration import CondorConfiguration, JobSettings
from .dag_text import FINAL, FIRST, DagText, node_name
from .descriptions import called, commands_of, retried_by_jobs, write
from .events import DagmanEvents
from .layout import FOLDER, Layout
from .quoting import attribute, plain_name
from .rehearsal import rehearse
from .slots import check_requests, largest_slots
from .submission import submit
from .submit_description import RUN_ATTRIBUTE, JobKind

__all__ = ["CondorExecutor"]

_TICK = 1.0
"""Seconds between two looks at what jobs have written, while a run is followed."""


class CondorExecutor(QuantumExecutor):
    """Writes a run directory with a DAG, submits it, and if asked to follows it to its end.

    Parameters
    ----------
    options
        Where to write, how to bundle, what to do then.
    """

    traits = Traits(batch=True, retries=True)

    def __init__(self, options: BatchOptions | None = None):
        self._options = options or BatchOptions()
        timings = read_timings(self._options.timings) if self._options.timings else {}
        self._bundling = BundlingOptions(
            self._options.bundle_size, self._options.bundle_by, self._options.bundle_seconds, timings
        )
        # Once here, so that a wrong setting is refused before anything is read.
        self._configuration = CondorConfiguration.load(self._options.condor_config, self._options.condor)

    @classmethod
    def from_options(cls, options: ExecutorOptions) -> CondorExecutor:
        """Make an instance for the command line."""
        if options.debugger is not None:
            raise UsageError("--pdb needs the terminal: run the quantum here with -j 1.")
        if options.batch.wait and not options.batch.submit:
            raise UsageError("--wait and --no-submit exclude each other.")
        if options.processes != 1:
            raise UsageError(
                "-j is for processes of this machine: to run several quanta in a job at the same time, use --condor "
                f"request_cpus={options.processes}."
            )
        return cls(options.batch)

    def check(self, context: ExecutionContext) -> None:
        """Refuse, before anything is touched, what HTCondor could not do."""
        if context.fail_fast:
            raise UsageError(
                "--fail-fast ends a run that goes on here: cancel a run on HTCondor with pipetask cancel."
            )
        labels = context.graph.structure.labels
        CondorConfiguration.load(self._options.condor_config, self._options.condor, labels)
        self._adopt_retries(context)
        path = self._path(context)
        if path.exists():
            raise PipetaskError(
                f"Run directory {path} exists: name another with --run-dir, or go on with it: pipetask restart {path}"
            )
        if self._options.submit:
            schedd()
            _check_place(path)
        # Each task by itself: what jobs of several ask for is known when quanta are packed.
        kinds = [JobKind(label, (label,), None, self._configuration.for_labels([label])) for label in labels]
        kinds += [JobKind(name, (), name, self._configuration.for_node(name)) for name in (FIRST, FINAL)]
        for kind in kinds:
            commands = commands_of(kind, path, "")
            if self._options.submit:
                rehearse(called(kind), commands)
        if self._options.submit:
            check_requests(_requests(kinds), largest_slots())

    def execute(
        self, quanta: Iterable[QuantumData], context: ExecutionContext
    ) -> Generator[QuantumOutcome, None, None]:
        """Write a stream of quanta."""
        self._adopt_retries(context)
        taken = _Remembered(quanta)
        with uncollected():
            path, nodes = self._path(context), bundle(taken, context.graph, self._bundling)
            directory = self._write(path, nodes, context)
        _hand_over(context, directory)
        _say(f"{nodes.explain()}, written to {path}")
        if not self._options.submit:
            _say(f"Submit it with: pipetask restart {path}")
            yield from (QuantumOutcome(id, Status.WRITTEN) for id in taken.ids)
            return
        self._check_kinds(nodes, path)
        cluster, _ = submit(
            Layout(path).dag, directory.facts.id, self._configuration.dagman, directory.facts.output_run
        )
        _say(f"Submitted as {cluster}.  Watch it with: pipetask status {path}")
        if self._options.wait:
            yield from self._follow(directory, context)
        else:
            yield from (QuantumOutcome(id, Status.SUBMITTED) for id in taken.ids)

    def _adopt_retries(self, context: ExecutionContext) -> None:
        """Let what the run itself asks for go before the settings for HTCondor."""
        self._configuration = self._configuration.with_retries(
            context.retries, context.graph.structure.labels
        )

    def _check_kinds(self, nodes: NodeGraph, path: Path) -> None:
        """Refuse to submit jobs of several tasks that ask together for what no slot has."""
        kinds = _kinds(nodes.nodes, self._configuration, first=False)
        check_requests(
            _requests(kinds),
            largest_slots(),
            "and write the run anew (--run-dir, --extend-run); or, when the pool has such a slot, submit it with "
            f"'pipetask restart {path}'",
        )

    def _path(self, context: ExecutionContext) -> Path:
        run = context.later.output_run if context.later is not None else "run"
        return Path(self._options.run_dir or default_name(run)).absolute()

    def _follow(
        self, directory: RunDirectory, context: ExecutionContext
    ) -> Generator[QuantumOutcome, None, None]:
        dagman = DagmanEvents(Layout(directory.path))

        def wait() -> bool:
            if not context.stop:
                time.sleep(_TICK)
            return dagman.phase() not in (RunPhase.WRITTEN, RunPhase.RUNNING, RunPhase.HELD)

        yield from follow(directory, context.graph, context, wait)
        if context.stop:
            _say(
                f"The run goes on.  Watch it with: pipetask status {directory.path}; end it with: pipetask cancel"
            )
            return
        if not directory.summary.exists() and context.later is not None:
            raise RegistrationError(
                f"The final job has not registered the outputs: see {directory.path}/logs/{FINAL}.*.err, put that "
                f"right, and use: pipetask run-node {directory.path} {FINAL}"
            )

    def _write(self, path: Path, nodes: NodeGraph, context: ExecutionContext) -> RunDirectory:
        run_id = str(uuid.uuid4())
        with new_run_directory(path) as draft:
            (draft / FOLDER).mkdir()
            files = bring_along(dict(context.runner.files), draft)
            structure = context.graph.structure
            tasks = [
                (label, tuple(structure.data_id(structure.positions(label)[0]))) for label in structure.labels
            ]

            def write_nodes(target: Path, some: Iterable[Node]) -> None:
                write_index(target, tasks, _indexed(some, context))

            write_nodes(draft / "index.sqlite", nodes.nodes)
            parts = self._parts(nodes.nodes)
            if parts:
                write_parts(draft, parts, context, write_nodes)
            self._write_dag(Layout(draft), Layout(path), nodes, parts, run_id, context)
            write_facts(draft, _facts(run_id, nodes, files, context), self._recipe(context))
        return RunDirectory(path)

    def _parts(self, nodes: Sequence[Node]) -> list[Part]:
        """Deal those nodes into parts whose jobs do not see the run directory."""
        kinds = {node.labels for node in nodes}
        brought = {kind for kind in kinds if self._configuration.for_labels(kind).file_system == "transfer"}
        return list(deal([node for node in nodes if node.labels in brought]))

    def _write_dag(
        self,
        draft: Layout,
        final: Layout,
        nodes: NodeGraph,
        parts: Sequence[Part],
        run_id: str,
        context: ExecutionContext,
    ) -> None:
        configuration = self._configuration
        first = context.later is not None and context.later.deferred
        kinds = list(_kinds(nodes.nodes, configuration, first=first))
        write(draft, final.run_directory, kinds, configuration, run_id)
        text = DagText(
            nodes.nodes,
            {kind.labels: kind.name for kind in kinds if kind.labels},
            {RUN_ATTRIBUTE: attribute(run_id)},
            first,
            self._shared(context),
            f"{nodes.explain()}; written by pipetask",
            parts,
        )
        with draft.dag.open("w", encoding="utf-8") as out:
            out.writelines(f"{line}\n" for line in text.lines())

    def _recipe(self, context: ExecutionContext) -> Recipe:
        source, labels = context.graph.source, context.graph.structure.labels
        serial = any(not source.task_node(label).task_class.canMultiprocess for label in labels)
        retries = retried_by_jobs(context.retries, self._configuration, labels)
        # Paths of the draft would be gone: jobs say themselves where the files are.
        return Recipe(
            context.runner.moved("."), context.later, context.timeout, serial, self._shared(context), retries
        )

    def _shared(self, context: ExecutionContext) -> bool:
        """Return whether all jobs see the run directory."""
        settings = map(self._configuration.for_labels, ([label] for label in context.graph.structure.labels))
        return all(each.file_system == "shared" for each in settings)


def _hand_over(context: ExecutionContext, directory: RunDirectory) -> None:
    """Let the new run directory have the output run; one that has not got it must not be submitted by anybody."""
    try:
        context.hand_over(directory.facts.id, str(directory.path))
    except Exception:
        shutil.rmtree(directory.path)
        raise


class _Remembered:
    """A stream whose ids are remembered as it is read."""

    def __init__(self, quanta: Iterable[QuantumData]):
        self._quanta = quanta
        self.ids = array("i")

    def __iter__(self) -> Iterator[QuantumData]:
        for quantum in self._quanta:
            self.ids.append(quantum.id)
            yield quantum


def _kinds(nodes: Iterable[Node], configuration: CondorConfiguration, *, first: bool) -> Iterator[JobKind]:
    for number, labels in enumerate(sorted({node.labels for node in nodes})):
        name = f"kind{number}_{plain_name('+'.join(labels))}"
        yield JobKind(name, labels, None, configuration.for_labels(labels))
    if first:
        yield JobKind(FIRST, (), FIRST, configuration.for_node(FIRST))
    yield JobKind(FINAL, (), FINAL, configuration.for_node(FINAL))


def _requests(kinds: Iterable[JobKind]) -> Iterator[tuple[str, JobSettings]]:
    for kind in kinds:
        yield called(kind), kind.settings


def _indexed(nodes: Iterable[Node], context: ExecutionContext) -> Iterator[IndexedNode]:
    graph, structure = context.graph, context.graph.structure
    for node in nodes:
        quanta = []
        for id in node.ids:
            position = graph.position(id)
            quanta.append(
                IndexedQuantum(
                    id,
                    structure.task_index(position),
                    structure.quantum_id_bytes(position),
                    structure.data_values(position),
                    position in context.registered_before,
                    tuple(sorted(graph.prerequisites(position))),
                )
            )
        yield IndexedNode(node.number, node_name(node), node.needs, tuple(quanta))


def _facts(run_id: str, nodes: NodeGraph, files: dict[str, str], context: ExecutionContext) -> RunFacts:
    counts: dict[str, int] = dict.fromkeys(context.graph.structure.labels, 0)
    for node in nodes.nodes:
        for id in node.ids:
            counts[context.graph.label(id)] += 1
    later = context.later
    return RunFacts(
        id=run_id,
        batch_system="condor",
        output_run=later.output_run if later is not None else "run",
        repository=later.repository if later is not None else "",
        labels={label: count for label, count in counts.items() if count},
        nodes=len(nodes.nodes),
        files=files,
    )


def _check_place(path: Path) -> None:
    """Refuse a folder where DAGMan would not keep its log, or would not find it."""
    if re.search(r"\$\w*\(|\$\$", str(path)):
        raise PipetaskError(
            f"Run directory {path} has '$(' or '$$' in its name, which DAGMan takes for a macro: name another with "
            "--run-dir."
        )
    if Path(os.path.realpath(path)).is_relative_to("/tmp"):
        raise PipetaskError(
            f"Run directory {path} is in /tmp, where DAGMan refuses to keep logs: name another with --run-dir."
        )


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
