"""Jobs that know their walltime begin no quantum that will not fit, and lose nothing when it ends."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from pipetask import BatchExecutor, BatchOptions, ExecutionContext
from pipetask.batch.exit_codes import ExitCode
from pipetask.batch.index import IndexedQuantum
from pipetask.batch.ledger import Ledger
from pipetask.batch.outcomes import attempts_of
from pipetask.batch.run_directory import RunDirectory
from pipetask.batch.systems import system_of
from pipetask.batch.walltime import Walltime
from pipetask.executors.base import QuantumExecutor
from pipetask.executors.in_process import InProcessExecutor
from pipetask.executors.pool import MultiprocessExecutor
from pipetask.executors.stop import StopLevel, StopRequest
from pipetask.outcome import QuantumOutcome, Status
from pipetask.testing import CallSpec, enumerated
from pipetask.testing.local_batch import LocalBatchSystem
from pipetask.testing.plain_runs import wait_until
from pipetask.testing.work import Misbehaviour, NotedWork
from stingy_batch import NOTES, SECONDS, StingySystem

from conftest import environment  # isort: skip

LONG, SHORT = 0, 1
"""Two tasks."""


class Clock:
    """A clock that stands until it is set."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def quanta(*tasks: int) -> list[IndexedQuantum]:
    return [
        IndexedQuantum(id, task, bytes(16), (), registered_before=False, needs=())
        for id, task in enumerate(tasks)
    ]


def ended(id: int, seconds: float, status: Status = Status.SUCCEEDED) -> QuantumOutcome:
    return QuantumOutcome(id, status, start=0.0, end=seconds)


def walltime(
    clock: Clock, left: float | None, tasks: Sequence[int], earlier: Sequence[QuantumOutcome] = ()
) -> Walltime:
    done = {outcome.id for outcome in earlier if outcome.status.unblocks}
    todo = [id for id in range(len(tasks)) if id not in done]
    return Walltime(left, quanta(*tasks), todo, earlier, clock)


def test_what_is_known_not_to_fit_is_not_begun(clock: Clock) -> None:
    made, stop = walltime(clock, 1000, [LONG, LONG, LONG]), StopRequest()
    clock.now += 400
    made.note(ended(0, 400), (), stop)
    assert not stop, "570 s are left but for the reserve of 30 s"
    clock.now += 300
    made.note(ended(1, 300), (), stop)
    assert (stop.level, stop.reason) == (StopLevel.FINISH, "the job's walltime ends")
    left = [ended(0, 400), ended(1, 300), QuantumOutcome(2, Status.CANCELLED)]
    assert made.exit_code(left, stop) is ExitCode.UNFINISHED
    stop.close()


def test_a_task_is_judged_by_its_own_quanta_and_one_without_any_is_begun(clock: Clock) -> None:
    made, stop = walltime(clock, 1000, [LONG, SHORT, SHORT, LONG]), StopRequest()
    clock.now += 900
    made.note(ended(0, 900), (), stop)
    assert not stop, "of the other task nothing is known"
    clock.now += 10
    made.note(ended(1, 10), (), stop)
    assert not stop
    clock.now += 10
    made.note(ended(2, 10), (), stop)
    assert stop.level is StopLevel.FINISH
    stop.close()


def test_what_runs_is_not_what_comes_next(clock: Clock) -> None:
    made, stop = walltime(clock, 1000, [LONG, SHORT, LONG, SHORT]), StopRequest()
    clock.now += 600
    made.note(ended(0, 600), {1, 2}, stop)
    assert not stop, "a short one is next"
    stop.close()


def test_earlier_jobs_have_told_how_long_quanta_take(clock: Clock) -> None:
    earlier = [ended(0, 500), ended(1, 1.0, Status.CANCELLED)]
    made, stop = walltime(clock, 1000, [LONG, LONG, LONG, LONG], earlier), StopRequest()
    clock.now += 480
    made.note(ended(1, 480), (), stop)
    assert stop.level is StopLevel.FINISH
    stop.close()


def test_without_a_limit_everything_fits(clock: Clock) -> None:
    made, stop = walltime(clock, None, [LONG, LONG]), StopRequest()
    clock.now += 1e9
    made.note(ended(0, 1e9), (), stop)
    assert not stop
    assert made.exit_code([ended(0, 1e9), QuantumOutcome(1, Status.CANCELLED)], stop) is None
    stop.close()


@pytest.mark.parametrize(
    ("seconds", "code"), [(500, None), (990, ExitCode.OUT_OF_TIME)], ids=["long before", "at the limit"]
)
def test_a_signal_at_the_limit_is_the_limit(clock: Clock, seconds: float, code: ExitCode | None) -> None:
    """Slurm sends the same signal when a job is cancelled or preempted."""
    made, stop = walltime(clock, 1000, [LONG]), StopRequest()
    clock.now += seconds
    stop.ask("interrupted by SIGTERM", signal=signal.SIGTERM)
    assert made.exit_code([QuantumOutcome(0, Status.CANCELLED)], stop) is code
    stop.close()


def test_a_failure_of_the_last_quantum_is_none_of_the_walltime(clock: Clock) -> None:
    made, stop = walltime(clock, 10, [LONG]), StopRequest()
    clock.now += 20
    with made.interrupting(stop):
        wait_until(lambda: bool(stop), "the warning has come", 60)
    assert made.exit_code([ended(0, 20, Status.FAILED)], stop) is None
    stop.close()


def test_the_warning_of_a_batch_system_ends_what_runs(clock: Clock) -> None:
    made, stop = walltime(clock, None, [LONG]), StopRequest()
    before = signal.getsignal(signal.SIGUSR2)
    with made.interrupting(stop):
        os.kill(os.getpid(), signal.SIGUSR2)
        wait_until(lambda: bool(stop), "the warning has come", 60)
    assert stop.level is StopLevel.STOP
    assert signal.getsignal(signal.SIGUSR2) is before
    assert made.exit_code([QuantumOutcome(0, Status.CANCELLED)], stop) is ExitCode.OUT_OF_TIME
    stop.close()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("executor", "at_once"), [(InProcessExecutor(), 1), (MultiprocessExecutor(2), 2)], ids=["here", "pool"]
)
def test_a_run_that_is_to_finish_lets_running_quanta_end_and_begins_no_other(
    executor: QuantumExecutor, at_once: int, tmp_path: Path
) -> None:
    graph = enumerated({"a": 5})
    work = NotedWork(tmp_path, dict.fromkeys(range(at_once), Misbehaviour.HANG_UNTIL_MENDED))
    context = ExecutionContext(graph, CallSpec(work))

    def ask() -> None:
        wait_until(lambda: len(work.started()) == at_once, "as many run as can", 120)
        context.stop.ask("no time is left", StopLevel.FINISH)
        work.mend()

    thread = threading.Thread(target=ask)
    thread.start()
    statuses = {outcome.id: outcome.status for outcome in executor.execute(graph, context)}
    thread.join()
    context.stop.close()
    assert statuses == {
        id: Status.SUCCEEDED if id < at_once else Status.CANCELLED for id in range(len(graph.structure))
    }
    assert work.started() == set(range(at_once))


def run(system: LocalBatchSystem, work: NotedWork, path: Path, quanta: int = 2) -> RunDirectory:
    """Run some quanta in one node."""
    graph = enumerated({"a": quanta})
    executor = BatchExecutor(system, BatchOptions(run_dir=str(path), bundle_size=2))
    context = ExecutionContext(graph, CallSpec(work))
    executor.check(context)
    assert {outcome.status for outcome in executor.execute(graph, context)} == {Status.SUBMITTED}
    context.stop.close()
    directory = RunDirectory(path)
    watch = system_of(directory).watch(directory)
    wait_until(lambda: watch.phase().over, "the run is over", 120)
    return directory


@pytest.fixture
def seconds_of_jobs(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Let jobs find `StingySystem`."""
    monkeypatch.setenv("PYTHONPATH", environment()["PYTHONPATH"])
    return monkeypatch


def exit_codes(directory: RunDirectory) -> list[int | None]:
    return [attempt.exit_code for attempt in attempts_of(directory.outcomes, 0)]


@pytest.mark.slow
def test_a_job_leaves_to_another_attempt_what_does_not_fit(
    seconds_of_jobs: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    seconds_of_jobs.setenv(SECONDS, "20")
    work = NotedWork(tmp_path, seconds=10.0)
    directory = run(StingySystem(attempts=1), work, tmp_path / "run")
    assert exit_codes(directory) == [ExitCode.UNFINISHED, ExitCode.DONE], "it counts as no failed attempt"
    assert [work.attempts(id) for id in range(2)] == [1, 1]
    outcomes = [outcome for record in Ledger(directory).nodes() for outcome in record.outcomes()]
    assert {outcome.id: outcome.status for outcome in outcomes} == dict.fromkeys((0, 1), Status.SUCCEEDED)
    (not_begun,) = next(outcome for outcome in outcomes if outcome.id == 1).earlier
    assert (not_begun.status, not_begun.reason) == (
        Status.CANCELLED,
        "not started: the job's walltime ends",
    )


@pytest.mark.slow
def test_what_runs_when_the_walltime_ends_is_interrupted_and_what_is_done_stays_done(
    seconds_of_jobs: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    seconds_of_jobs.setenv(SECONDS, "5")
    work = NotedWork(tmp_path, {1: Misbehaviour.HANG_UNTIL_MENDED})
    directory = run(StingySystem(attempts=1), work, tmp_path / "run")
    assert exit_codes(directory)[-2:] == [ExitCode.UNFINISHED, ExitCode.OUT_OF_TIME]
    assert work.attempts(0) == 1
    assert Ledger(directory).statuses() == {0: Status.SUCCEEDED, 1: Status.CANCELLED}


@pytest.mark.slow
def test_a_job_in_whose_walltime_nothing_has_ended_gets_more(
    seconds_of_jobs: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    seconds_of_jobs.setenv(SECONDS, "2")
    seconds_of_jobs.setenv(NOTES, str(tmp_path / "notes"))
    work = NotedWork(tmp_path, {0: Misbehaviour.HANG_UNTIL_MENDED})
    directory = run(StingySystem(attempts=2, walltime=1e6), work, tmp_path / "run", quanta=1)
    assert exit_codes(directory) == [ExitCode.OUT_OF_TIME] * 2
    first, second = map(float, (tmp_path / "notes").read_text().split())
    assert first <= 1e6 < second <= 2e6
