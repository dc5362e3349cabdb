"""The execution model for all batch systems: it writes a graph into a run directory, and hands that over."""

from __future__ import annotations

import shutil
import sys
import time
import uuid
from array import array
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import make_dataclass
from pathlib import Path
from typing import Any, Self

from ..errors import RegistrationError, UsageError
from ..executors.base import ExecutionContext, QuantumExecutor, Traits
from ..graph.enumeration import QuantumData
from ..graph.garbage import uncollected
from ..options.batch import BatchOptions
from ..options.declaration import check_group, section
from ..outcome import QuantumOutcome, Status
from .bundling import BundlingOptions, Node, NodeGraph, bundle, read_timings
from .follow import follow
from .graph_parts import Part, deal, write_parts
from .index import IndexedNode, IndexedQuantum, write_index
from .names import FINAL, node_name
from .run_directory import (
    Recipe,
    RunDirectory,
    RunFacts,
    bring_along,
    check_new,
    default_name,
    new_run_directory,
    write_facts,
)
from .system import BatchSystem, RunPlan

__all__ = ["BatchExecutor"]

_TICK = 1.0
"""Seconds between two looks at what jobs have written, while a run is followed."""


class BatchExecutor(QuantumExecutor):
    """Packs quanta into nodes, writes a run directory, has a batch system run it, and if asked to follows it.

    Parameters
    ----------
    system
        The batch system.
    options
        Where to write, how to bundle, and what to do then.
    """

    traits = Traits(batch=True, retries=True, resources=True)

    on_written: Callable[[Path], None] = staticmethod(lambda path: None)
    """Called with the run directory when it is complete."""

    def __init__(self, system: BatchSystem, options: BatchOptions | None = None):
        self._system = system
        self._ready: BatchSystem | None = None
        self.run_directory: Path | None = None
        """What `execute` has written."""

        self._options = options or BatchOptions()
        check_group(self._options, BatchOptions)
        timings = read_timings(self._options.timings) if self._options.timings else {}
        self._bundling = BundlingOptions(
            self._options.bundle_size, self._options.bundle_by, self._options.bundle_seconds, timings
        )

    @classmethod
    def of(cls, system: type[BatchSystem]) -> type[BatchExecutor]:
        """Return the model for one batch system, as a class that is made from options."""

        class OneSystem(cls):  # type: ignore[valid-type,misc]
            options_group = _options_for(system)

            @classmethod
            def from_options(cls, options: Any) -> Self:
                if options.batch.wait and not options.batch.submit:
                    raise UsageError("--wait and --no-submit exclude each other.")
                return cls(system.from_options(getattr(options, "system", None)), options.batch)

            @classmethod
            def instead_of(cls, option: str, value: Any) -> str | None:
                match option:
                    case "processes":
                        how = system.how_to_ask_for_cpus(value)
                        return f"to run several quanta in a job at the same time, {how}"
                    case "debugger":
                        return "run the quantum here with -j 1"
                    case _:
                        return None

        OneSystem.__name__ = OneSystem.__qualname__ = f"BatchExecutor[{system.title}]"
        return OneSystem

    def check(self, context: ExecutionContext) -> None:
        """Refuse, before anything is touched, what the batch system could not do."""
        if context.fail_fast:
            raise UsageError(
                "--fail-fast ends a run that goes on here: cancel a batch run with pipetask cancel."
            )
        path = self._path(context)
        check_new(path)
        self._ready = system = self._system_for(context)
        system.check(context.graph.structure.labels, path, submit=self._options.submit)

    def execute(
        self, quanta: Iterable[QuantumData], context: ExecutionContext
    ) -> Generator[QuantumOutcome, None, None]:
        """Write a stream of quanta."""
        system, path = self._ready or self._system_for(context), self._path(context)
        taken = _Remembered(quanta)
        if context.stop:
            yield from (QuantumOutcome(q.id, Status.CANCELLED, reason="nothing was written") for q in taken)
            return
        with uncollected():
            nodes = bundle(taken, context.graph, self._bundling)
            directory = _write(path, nodes, system, context)
        _hand_over(context, directory)
        self.run_directory = path
        self.on_written(path)
        _say(f"{nodes.explain()}, written to {path}")
        if not self._options.submit or context.stop:
            _say(f"Submit it with: pipetask restart {path}")
            yield from (QuantumOutcome(id, Status.WRITTEN) for id in taken.ids)
            return
        job = system.submit(directory)
        _say(f"Submitted as {job}.  Watch it with: pipetask status {path}")
        if self._options.wait:
            yield from _follow(directory, system, context)
        else:
            yield from (QuantumOutcome(id, Status.SUBMITTED) for id in taken.ids)

    def _system_for(self, context: ExecutionContext) -> BatchSystem:
        system = self._system.for_run(context.graph.structure.labels, context.retries)
        if context.resources is not None:
            system, left = system.with_resources(context.resources)
            if left:
                _say(
                    f"Jobs of {system.title} do not ask for {', '.join(sorted(left))}, as --resources says: use the "
                    "settings of the batch system for that."
                )
        return system

    def _path(self, context: ExecutionContext) -> Path:
        run = context.later.output_run if context.later is not None else "run"
        return Path(self._options.run_dir or default_name(run)).absolute()


def _options_for(system: type[BatchSystem]) -> type[Any]:
    """Return a group of the options of all batch runs, ``batch``, and of those of one system, ``system``."""
    groups: dict[str, type[Any]] = {"batch": BatchOptions}
    if system.options_group is not None:
        groups["system"] = system.options_group
    members = [(name, group, section("", group)) for name, group in groups.items()]
    return make_dataclass("BatchRunOptions", members, frozen=True, kw_only=True)


class _Remembered:
    """A stream whose ids are remembered as it is read."""

    def __init__(self, quanta: Iterable[QuantumData]):
        self._quanta = quanta
        self.ids = array("i")

    def __iter__(self) -> Iterator[QuantumData]:
        for quantum in self._quanta:
            self.ids.append(quantum.id)
            yield quantum


# Writing.


def _write(path: Path, nodes: NodeGraph, system: BatchSystem, context: ExecutionContext) -> RunDirectory:
    run_id = str(uuid.uuid4())
    with new_run_directory(path) as draft:
        files = bring_along(dict(context.runner.files), draft)
        structure = context.graph.structure
        tasks = [
            (label, tuple(structure.data_id(structure.positions(label)[0]))) for label in structure.labels
        ]

        def write_nodes(target: Path, some: Iterable[Node]) -> None:
            write_index(target, tasks, _indexed(some, context))

        write_nodes(draft / "index.sqlite", nodes.nodes)
        parts = _parts(nodes.nodes, system)
        if parts:
            write_parts(draft, parts, context, write_nodes)
        first = context.later is not None and context.later.deferred
        recipe = _recipe(system, context)
        system.write(RunPlan(run_id, path, draft, nodes, parts, first, recipe.shared))
        write_facts(draft, _facts(run_id, nodes, files, system, context), recipe)
    return RunDirectory(path)


def _parts(nodes: Sequence[Node], system: BatchSystem) -> list[Part]:
    """Deal those nodes into parts whose jobs do not see the run directory."""
    brought = {kind for kind in {node.labels for node in nodes} if not system.shares_files(kind)}
    return list(deal([node for node in nodes if node.labels in brought]))


def _recipe(system: BatchSystem, context: ExecutionContext) -> Recipe:
    source, labels = context.graph.source, context.graph.structure.labels
    serial = any(not source.task_node(label).task_class.canMultiprocess for label in labels)
    shared = all(system.shares_files([label]) for label in labels)
    retries = system.retried_in_jobs(context.retries, labels)
    # Paths of the draft would be gone: jobs say themselves where the files are.
    return Recipe(context.runner.moved("."), context.later, context.timeout, serial, shared, retries)


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


def _facts(
    run_id: str, nodes: NodeGraph, files: dict[str, str], system: BatchSystem, context: ExecutionContext
) -> RunFacts:
    counts: dict[str, int] = dict.fromkeys(context.graph.structure.labels, 0)
    for node in nodes.nodes:
        for id in node.ids:
            counts[context.graph.label(id)] += 1
    later = context.later
    return RunFacts(
        id=run_id,
        batch_system=system.name,
        output_run=later.output_run if later is not None else "run",
        repository=later.repository if later is not None else "",
        labels={label: count for label, count in counts.items() if count},
        nodes=len(nodes.nodes),
        files=files,
    )


def _hand_over(context: ExecutionContext, directory: RunDirectory) -> None:
    """Let the new run directory have the output run; one that does not get it must never be submitted."""
    try:
        context.hand_over(directory.facts.id, str(directory.path))
    except Exception:
        shutil.rmtree(directory.path)
        raise


# Following.


def _follow(
    directory: RunDirectory, system: BatchSystem, context: ExecutionContext
) -> Generator[QuantumOutcome, None, None]:
    watch = system.watch(directory)

    def wait() -> bool:
        if not context.stop:
            time.sleep(_TICK)
        return watch.phase().over

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


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
