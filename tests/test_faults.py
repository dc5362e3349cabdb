"""The pool when things go wrong: a table of faults, and what must hold after each."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

import psutil
import pytest

from pipetask.errors import PipetaskError, UsageError
from pipetask.executors.base import ExecutionContext
from pipetask.executors.pool import MultiprocessExecutor
from pipetask.executors.pool.bundling import BundlePolicy
from pipetask.executors.pool.death import CUT_OFF
from pipetask.executors.stop import StopLevel
from pipetask.outcome import QuantumOutcome, Status
from pipetask.testing import CallSpec, enumerated
from pipetask.testing.plain_runs import wait_until
from toy_work import Recorder, lives

from conftest import TESTS, environment  # isort: skip
from pipetask.testing.conformance import execute

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("speaks_of_flags")]

pool = partial(MultiprocessExecutor, 2)


@pytest.mark.parametrize(
    ("bomb", "status", "number", "exit_code", "words"),
    [
        ("segfault", Status.KILLED, signal.SIGSEGV, None, "SIGSEGV (Segmentation fault)"),
        ("abort", Status.KILLED, signal.SIGABRT, None, "SIGABRT (Aborted)"),
        ("kill_self", Status.KILLED, signal.SIGKILL, None, "out-of-memory"),
        ("exit_at_once", Status.KILLED, None, 3, "exit code 3"),
        ("close_descriptors", Status.KILLED, None, CUT_OFF, "closed descriptors"),
        ("take_descriptors", Status.KILLED, None, CUT_OFF, "closed descriptors"),
        ("real_time_signal", Status.KILLED, 40, None, "SIGRTMIN+6"),
        ("write_into_pipes", Status.KILLED, signal.SIGKILL, None, "no report"),
        ("answer_for_another", Status.KILLED, signal.SIGKILL, None, "no report"),
    ],
)
def test_a_death_costs_one_quantum(
    tmp_path: Path, bomb: str, status: Status, number: int | None, exit_code: int | None, words: str
) -> None:
    work = Recorder(tmp_path, bombs=((4, bomb),))
    # All nine in one bundle: what had finished stays finished, what had not begun goes to another worker.
    model = MultiprocessExecutor(1, policy=BundlePolicy(seconds=1e9))
    outcomes = execute(model, enumerated({"warm": 1, "a": 9}), work)
    victim = outcomes.pop(4)
    assert victim.status is status
    assert (victim.signal, victim.exit_code) == (number, exit_code)
    assert words in (victim.reason or "")
    assert victim.pid is not None
    assert {outcome.status for outcome in outcomes.values()} == {Status.SUCCEEDED}
    assert all(work.attempts(id) == 1 for id in range(10)), "nothing is run twice"


def test_dependents_of_a_killed_quantum_are_blocked(tmp_path: Path) -> None:
    outcomes = execute(
        pool(), enumerated({"a": 2, "b": 2}, [(0, 2), (1, 3)]), Recorder(tmp_path, bombs=((0, "kill_self"),))
    )
    assert [outcomes[id].status for id in range(4)] == [
        Status.KILLED,
        Status.BLOCKED,
        Status.SUCCEEDED,
        Status.SUCCEEDED,
    ]


def test_the_log_of_a_killed_quantum_survives(tmp_path: Path) -> None:
    outcomes = execute(pool(), enumerated({"a": 1}), Recorder(tmp_path, bombs=((0, "segfault"),)))
    log = Path(outcomes[0].log or "")
    text = log.read_text()
    log.unlink()
    log.parent.rmdir()
    assert "about to crash" in text, "what the task had logged"
    assert "toy_work.py" in text, "the Python stack of the crash"


@pytest.mark.parametrize("start_method", ["forkserver", "spawn"])
def test_programs_that_a_task_starts_do_not_get_the_workers_pipes(tmp_path: Path, start_method: str) -> None:
    execute(
        MultiprocessExecutor(1, start_method),
        enumerated({"a": 1}),
        Recorder(tmp_path, bombs=((0, "list_what_programs_get"),)),
    )
    lines = (tmp_path / "inherited").read_text().splitlines()
    pipes = [line for line in lines if "pipe:" in line or "socket:" in line]
    assert all(int(line.split(" -> ")[0].split()[-1]) <= 2 for line in pipes), pipes


def test_many_deaths_are_survived(tmp_path: Path) -> None:
    bombs = tuple((id, "kill_self") for id in range(0, 20, 2))
    outcomes = execute(pool(), enumerated({"a": 20}), Recorder(tmp_path, bombs=bombs))
    assert [outcomes[id].status for id in range(20)] == [Status.KILLED, Status.SUCCEEDED] * 10


def test_a_timeout_kills_the_whole_family(tmp_path: Path) -> None:
    work = Recorder(tmp_path, bombs=((1, "hang_with_family"),))
    outcomes = execute(pool(), enumerated({"a": 4}), work, timeout=6.0)
    assert outcomes[1].status is Status.TIMED_OUT
    assert "--timeout" in (outcomes[1].reason or "")
    assert {outcomes[id].status for id in (0, 2, 3)} == {Status.SUCCEEDED}
    assert (tmp_path / "family").exists(), "there was a family to kill; the teardown looks for survivors"


def test_a_timeout_counts_for_each_quantum_alone(tmp_path: Path) -> None:
    # Seven quanta of a second in one bundle take longer than the timeout together.
    model = MultiprocessExecutor(1, policy=BundlePolicy(seconds=1e9))
    outcomes = execute(model, enumerated({"a": 7}), Recorder(tmp_path, seconds=1.0), timeout=6.0)
    assert {outcome.status for outcome in outcomes.values()} == {Status.SUCCEEDED}


@pytest.mark.parametrize("bomb", ["leave_thread", "leave_child", "fork_and_go_on"])
def test_what_a_task_leaves_behind_ends_with_the_run(tmp_path: Path, bomb: str) -> None:
    outcomes = execute(pool(), enumerated({"a": 4}), Recorder(tmp_path, bombs=((1, bomb),)))
    assert {outcome.status for outcome in outcomes.values()} == {Status.SUCCEEDED}


def test_nobody_idles_while_another_holds_ready_work(tmp_path: Path) -> None:
    # Ten sleepers go out in one bundle, as quanta that are believed to be short.
    work = Recorder(tmp_path, seconds=0.5)
    model = MultiprocessExecutor(2, policy=BundlePolicy(seconds=1e9, most=10))
    outcomes = execute(model, enumerated({"a": 12}), work)
    assert {outcome.status for outcome in outcomes.values()} == {Status.SUCCEEDED}
    workers = [(tmp_path / f"{id}.start").read_text().split()[0] for id in range(12)]
    # One of them may come seconds late, and would get one or two without taking some from the other.
    assert min(workers.count(pid) for pid in set(workers)) >= 3, "both did their share"


def once_begun(
    model: MultiprocessExecutor, work: Recorder, act: Callable[[ExecutionContext], None]
) -> list[QuantumOutcome]:
    """Execute four quanta and, when quantum 1 has begun, do something to the run."""
    context = ExecutionContext(enumerated({"a": 4}), CallSpec(work))

    def watch() -> None:
        wait_until(lambda: 1 in work.started(), "quantum 1 has begun")
        act(context)

    thread = threading.Thread(target=watch)
    thread.start()
    outcomes = list(model.execute(context.graph, context))
    thread.join()
    context.stop.close()
    return sorted(outcomes, key=lambda outcome: outcome.id)


def test_a_stop_interrupts_what_runs(tmp_path: Path) -> None:
    work = Recorder(tmp_path, bombs=((1, "hang"),))
    outcomes = once_begun(MultiprocessExecutor(1), work, lambda context: context.stop.ask("enough"))
    assert [outcome.status for outcome in outcomes] == [Status.SUCCEEDED] + [Status.CANCELLED] * 3
    assert outcomes[1].reason == "interrupted"
    assert outcomes[2].reason == "not started: enough"


def test_a_second_stop_kills_what_does_not_obey(tmp_path: Path) -> None:
    work = Recorder(tmp_path, bombs=((1, "ignore_interrupts"),))

    def stop_twice(context: ExecutionContext) -> None:
        context.stop.ask("enough")
        context.stop.ask("now", StopLevel.KILL)

    outcomes = once_begun(MultiprocessExecutor(1), work, stop_twice)
    assert [outcome.status for outcome in outcomes] == [Status.SUCCEEDED] + [Status.CANCELLED] * 3
    assert "killed" in (outcomes[1].reason or "")


def test_an_interrupted_quantum_that_does_not_stop_is_killed_after_a_while(
    tmp_path: Path,
) -> None:
    work = Recorder(tmp_path, bombs=((1, "ignore_interrupts"),))
    model = MultiprocessExecutor(1, policy=BundlePolicy(grace=5.0))
    outcomes = once_begun(model, work, lambda context: context.stop.ask("enough"))
    assert outcomes[1].status is Status.CANCELLED
    assert (tmp_path / "ignored").exists(), "it was asked first"


def test_workers_end_with_a_killed_foreman(tmp_path: Path) -> None:
    script = f"""
        from pathlib import Path
        from toy_work import Recorder
        from pipetask.executors.base import ExecutionContext
        from pipetask.executors.pool import MultiprocessExecutor
        from pipetask.testing import CallSpec, enumerated
        if __name__ == "__main__":
            work = Recorder(Path({str(tmp_path)!r}), bombs=((0, "hang_with_family"), (1, "hang")))
            context = ExecutionContext(enumerated({{"a": 2}}), CallSpec(work))
            list(MultiprocessExecutor(2).execute(context.graph, context))
    """
    path = tmp_path / "foreman.py"
    path.write_text(textwrap.dedent(script))
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    foreman = subprocess.Popen(
        [sys.executable, str(path)],
        env=environment() | {"TMPDIR": str(scratch)},
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_until(lambda: (tmp_path / "family").exists() and (tmp_path / "1.start").exists(), "both have begun")
    family = psutil.Process(foreman.pid).children(recursive=True)
    assert len(family) >= 4
    assert os.getpgid(family[0].pid) != os.getpgid(foreman.pid), "Ctrl-C is for the foreman alone"
    foreman.kill()
    _, err = foreman.communicate()
    wait_until(lambda: not any(map(lives, family)), "the family has ended")
    assert not err
    wait_until(lambda: not list(scratch.iterdir()), "its temporary files are removed")


@pytest.mark.parametrize("start_method", ["forkserver", "spawn"])
@pytest.mark.parametrize(
    ("bomb", "status"),
    [("interrupt_self", Status.FAILED), ("interrupt_self_and_catch", Status.SUCCEEDED)],
)
def test_an_interrupt_that_nobody_ordered_concerns_one_quantum(
    tmp_path: Path, start_method: str, bomb: str, status: Status
) -> None:
    work = Recorder(tmp_path, bombs=((2, bomb),))
    model = MultiprocessExecutor(1, start_method, policy=BundlePolicy(seconds=1e9))
    outcomes = execute(model, enumerated({"a": 6}), work)
    assert [outcomes[id].status for id in range(6)] == [
        *[Status.SUCCEEDED] * 2,
        status,
        *[Status.SUCCEEDED] * 3,
    ]
    if status is Status.FAILED:
        assert outcomes[2].error is not None
        assert outcomes[2].error.type_name == "KeyboardInterrupt"


def test_a_stop_after_a_stray_interrupt_still_interrupts(tmp_path: Path) -> None:
    work = Recorder(tmp_path, bombs=((0, "interrupt_self_and_catch"), (1, "hang")))
    outcomes = once_begun(MultiprocessExecutor(1), work, lambda context: context.stop.ask("enough"))
    assert [outcome.status for outcome in outcomes] == [Status.SUCCEEDED] + [Status.CANCELLED] * 3


class BrokenSpec(CallSpec):
    """A runner that cannot be opened."""

    def open(self, on_exception: object = None) -> None:  # type: ignore[override]
        raise ImportError("no module named nonesuch")


class DeadlySpec(CallSpec):
    """A runner whose opening kills the process."""

    def open(self, on_exception: object = None) -> None:  # type: ignore[override]
        os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize(
    ("spec", "words"), [(BrokenSpec, "no module named nonesuch"), (DeadlySpec, "died before")]
)
def test_workers_that_cannot_start_end_the_run(tmp_path: Path, spec: type[CallSpec], words: str) -> None:
    context = ExecutionContext(enumerated({"a": 3}), spec(Recorder(tmp_path)))
    with pytest.raises(PipetaskError, match=words):
        list(pool().execute(context.graph, context))
    context.stop.close()


@pytest.mark.parametrize("arguments", [{"processes": 0}, {"processes": 1, "start_method": "fork"}])
def test_bad_options_are_refused(arguments: dict) -> None:
    with pytest.raises(UsageError):
        MultiprocessExecutor(**arguments)


def test_no_idle_worker_is_started(tmp_path: Path) -> None:
    work = Recorder(tmp_path)
    execute(MultiprocessExecutor(8), enumerated({"a": 1, "b": 1}, [(0, 1)]), work)
    workers = {(tmp_path / f"{id}.start").read_text().split()[0] for id in range(2)}
    assert len(workers) == 1


def test_tests_can_be_imported_by_workers() -> None:
    assert str(TESTS) in sys.path
