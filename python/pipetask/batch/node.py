"""The worker side of a batch run: run one node, wherever the batch system has started the job.

A job may be killed at any moment and started again elsewhere, even while an attempt believed dead still runs.  So
every outcome is written when its quantum ends; what is finished is not run again; and the exit code tells the batch
system whether another attempt makes sense.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial

from ..errors import PipetaskError
from ..executors.activity import Activity
from ..executors.base import ExecutionContext, QuantumExecutor
from ..executors.retries import raised_memory_error
from ..executors.stop import StopRequest
from ..executors.stop_signals import stop_on_signals
from ..journal.starts import noting_starts
from ..outcome import QuantumOutcome, Status
from ..runner.memory_kills import oom_kills
from .exit_codes import ExitCode
from .index import IndexedNode, IndexedQuantum, NodeIndex
from .ledger import Ledger, NodeRecord, blocked
from .node_commands import rerun_command
from .outcomes import AttemptWriter
from .part import PartOfGraph
from .run_directory import Recipe, RunDirectory
from .systems import system_class_of
from .upstream import failed_upstream
from .walltime import Walltime

__all__ = ["run_node"]


@dataclass(frozen=True)
class _Job:
    directory: RunDirectory
    recipe: Recipe
    index: NodeIndex
    node: IndexedNode
    processes: int


def run_node(
    directory: RunDirectory,
    name: str,
    *,
    processes: int = 1,
    quantum_ids: Collection[str] = (),
    prepared: bool = False,
    on_begin: Callable[[Callable[[], None]], None] | None = None,
    since: int | None = None,
) -> int:
    """Run the quanta of a node that are not done.

    Parameters
    ----------
    directory
        The run.
    name
        Name or number of the node.
    processes
        Quanta to run at the same time.
    quantum_ids
        UUIDs of the only quanta to run; all if empty.
    prepared
        Whether this process has run a node before.
    on_begin
        Called, before quanta are run, with a function that lets no more of them begin; any thread may call that.
    since
        Failures of attempts that began after this time stand, in nanoseconds since 1970-01-01 UTC; if `None`, what has
        failed is run again.

    Returns
    -------
    exit_code
        See `ExitCode`.

    Raises
    ------
    PipetaskError
        If there is no such node or quantum, or if outcomes cannot be written.
    """
    recipe = directory.recipe()
    with directory.index() as index:
        job = _Job(directory, recipe, index, index.node(name), processes)
        earlier = Ledger(directory).node(job.node.number)
        finished = _finished(job, earlier)
        stand = {} if since is None else earlier.failures_since(since)
        todo = _todo(job, finished | stand.keys(), quantum_ids)
        if not todo and not stand:
            return ExitCode.DONE
        outcomes = _blocked(job, todo, finished)
        todo = [quantum for quantum in todo if quantum.id not in outcomes]
        if todo and not prepared:
            recipe.runner.prepare_process()
        system, lost = system_class_of(directory), earlier.done - finished
        walltime = _walltime(job, earlier, todo, system.walltime_left())
        memory = system.requested_memory()
        writer = AttemptWriter(directory.outcomes, job.node.number, socket.gethostname(), memory, lost)
        for outcome in outcomes.values():
            writer.outcome(outcome)
        killed_before, activity = oom_kills(), Activity()
        with (
            stop_on_signals() as stop,
            walltime.interrupting(stop),
            noting_starts(activity, writer.started),
        ):
            if on_begin is not None:
                on_begin(partial(walltime.cut_short, stop))
            for outcome in _run(job, earlier, todo, stop, activity) if todo else ():
                writer.outcome(outcome)
                outcomes[outcome.id] = outcome
                walltime.note(outcome, activity.running(), stop)
        code = _exit_code(
            [*stand.values(), *outcomes.values()], stop, walltime, out_of_memory=oom_kills() > killed_before
        )
        writer.end(code)
        _say_what_failed(job, outcomes)
        if stand:
            print(f"{len(stand)} quanta had failed before, and were not run again", file=sys.stderr)
        return code


def _finished(job: _Job, earlier: NodeRecord) -> set[int]:
    """Return the quanta that have succeeded and whose output files are still intact.

    A disk may lose files that it had reported as written when the power fails.
    """
    outputs = {id: earlier.counting[id].outputs for id in earlier.done}
    if any(stored is not None for stored in outputs.values()):
        with closing(job.recipe.runner.moved(str(job.directory.path)).open()) as runner:
            return {id for id, stored in outputs.items() if stored is None or runner.is_whole(stored)}
    return set(outputs)


def _todo(job: _Job, settled: Collection[int], quantum_ids: Collection[str]) -> list[IndexedQuantum]:
    """Return the quanta that are to run."""
    wanted = _wanted(job, quantum_ids)
    return [q for q in job.node.quanta if q.id not in settled and (wanted is None or q.id in wanted)]


def _wanted(job: _Job, quantum_ids: Collection[str]) -> set[int] | None:
    if not quantum_ids:
        return None
    known = {str(job.index.quantum_id(quantum)): quantum.id for quantum in job.node.quanta}
    for quantum_id in quantum_ids:
        if quantum_id not in known:
            raise PipetaskError(
                f"Node {job.node.name} has no quantum {quantum_id}: leave --quantum out to run all."
            )
    return {known[quantum_id] for quantum_id in quantum_ids}


def _blocked(
    job: _Job, todo: Sequence[IndexedQuantum], finished: Collection[int]
) -> dict[int, QuantumOutcome]:
    """Return outcomes for the quanta that cannot run because of failures in this node or in others."""
    running = {quantum.id for quantum in todo}
    roots = {q.id: q.id for q in job.node.quanta if q.id not in running and q.id not in finished}
    if job.recipe.shared:  # elsewhere a node starts only if all that it waits for has succeeded
        roots |= failed_upstream(job.directory, job.index, job.node, todo)
    causes = blocked(todo, roots)
    return {id: QuantumOutcome(id, Status.BLOCKED, blocked_by=root) for id, root in causes.items()}


def _walltime(job: _Job, earlier: NodeRecord, todo: Sequence[IndexedQuantum], left: float | None) -> Walltime:
    outcomes = (outcome for attempt in earlier.attempts for outcome in attempt.outcomes)
    return Walltime(left, job.node.quanta, [quantum.id for quantum in todo], outcomes)


def _run(
    job: _Job, earlier: NodeRecord, quanta: Sequence[IndexedQuantum], stop: StopRequest, activity: Activity
) -> Iterator[QuantumOutcome]:
    again = bool(earlier.attempts)
    isolate = any(attempt.exit_code != ExitCode.UNFINISHED for attempt in earlier.attempts)
    spec = job.recipe.runner.moved(str(job.directory.path))
    part = PartOfGraph(job.index, quanta)
    context = ExecutionContext(
        part,
        spec.resuming() if again or not job.recipe.shared else spec,
        stop,
        timeout=job.recipe.timeout,
        registered_before=part.registered_before,
        activity=activity,
        retries=job.recipe.retries,
    )
    with closing(_executor(job, isolate=isolate).execute(part, context)) as executed:
        yield from executed


def _executor(job: _Job, *, isolate: bool) -> QuantumExecutor:
    """Return the execution model: a pool for several quanta at a time, for a timeout, or after a job has died.

    In the last case, a quantum that kills its process then takes down only a worker, not the job.
    """
    from ..executors.in_process import InProcessExecutor
    from ..executors.pool import MultiprocessExecutor

    recipe = job.recipe
    if recipe.serial or (job.processes == 1 and recipe.timeout is None and not isolate):
        return InProcessExecutor()
    return MultiprocessExecutor(job.processes)


def _exit_code(
    outcomes: Collection[QuantumOutcome], stop: StopRequest, walltime: Walltime, *, out_of_memory: bool
) -> int:
    cut_short = walltime.exit_code(outcomes, stop)
    if stop.signal is not None and cut_short is None:
        return 128 + stop.signal
    codes = {outcome.error.exit_code for outcome in outcomes if outcome.error is not None}
    statuses = {outcome.status for outcome in outcomes}
    if all(status.unblocks for status in statuses):
        return ExitCode.DONE
    if ExitCode.INVALID in codes:
        return ExitCode.INVALID
    if out_of_memory or any(map(raised_memory_error, outcomes)):
        return ExitCode.OUT_OF_MEMORY
    if cut_short is not None:
        return cut_short
    if any(status.transient for status in statuses):
        return ExitCode.INFRASTRUCTURE
    if ExitCode.REPEATABLE in codes:
        return ExitCode.REPEATABLE
    return ExitCode.BLOCKED if all(s.unblocks or s is Status.BLOCKED for s in statuses) else ExitCode.FAILED


def _say_what_failed(job: _Job, outcomes: Mapping[int, QuantumOutcome]) -> None:
    for quantum in job.node.quanta:
        outcome = outcomes.get(quantum.id)
        if outcome is None or not outcome.status.is_failure:
            continue
        error = outcome.error
        reason = f"{error.type_name}: {error.message}" if error is not None else outcome.reason
        command = rerun_command(job.directory, job.node.name, job.index.quantum_id(quantum))
        print(f"{job.index.describe(quantum)} {outcome.status.value}: {reason}", file=sys.stderr)
        print(f"  run it again: {command}", file=sys.stderr)
    if any(outcome.status.is_failure for outcome in outcomes.values()):
        print(f"run the whole node again: {rerun_command(job.directory, job.node.name)}", file=sys.stderr)
    if waiting := sum(outcome.status is Status.BLOCKED for outcome in outcomes.values()):
        print(f"{waiting} quanta were not run, because they need what has failed", file=sys.stderr)
