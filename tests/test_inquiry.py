"""What a run tells of itself: when it is asked, at its end, and when it breaks."""

from __future__ import annotations

import logging
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fault_tasks import BombTask
from pipetask.executors.activity import Activity
from pipetask.executors.base import ExecutionContext
from pipetask.executors.inquiry import answer_inquiries
from pipetask.executors.pool import MultiprocessExecutor
from pipetask.executors.pool.state import PoolState
from pipetask.outcome import Status
from pipetask.testing import CallSpec, MockPipeline, enumerated
from pipetask.testing.conformance import execute
from pipetask.testing.plain_runs import wait_until
from toy_work import Recorder

from conftest import Repository, start_pipetask  # isort: skip
from test_program import handles  # isort: skip

pytestmark = pytest.mark.slow


def test_the_command_answers_and_goes_on(make_repository: Callable[..., Repository], tmp_path: Path) -> None:
    config = {"bomb": "hang_until_defused", "bomb_where": "exposure=0", "bomb_folder": str(tmp_path)}
    repository = make_repository(MockPipeline(2, 1, task_classes={"isr": BombTask}, configs={"isr": config}))
    process = start_pipetask(*repository.arguments("-j", "2"))
    assert process.stderr is not None
    for line in process.stderr:
        if "quanta" in line:  # it has begun
            break
    answer = ""
    while "ready; quanta" not in answer:
        process.send_signal(signal.SIGUSR1)
        answer = ""
        while not answer.endswith("last decisions:\n"):
            line = process.stderr.readline()
            assert line, answer
            answer += line
    (tmp_path / "defused").touch()
    rest = process.stderr.read()
    assert process.wait(100) == 0, rest
    assert "worker 1    ready" in rest
    assert "6 succeeded" in rest


def test_a_signal_before_anything_runs_is_survived(repository: Repository) -> None:
    process = start_pipetask(*repository.arguments())
    # Until then, it is an interpreter that starts.
    wait_until(lambda: handles(process, signal.SIGUSR1), "the command has begun", pause=0.02)
    process.send_signal(signal.SIGUSR1)
    _, err = process.communicate()
    assert process.returncode == 0, err
    assert "pipetask: " in err


@pytest.fixture
def free_signal() -> Iterator[None]:
    before = signal.signal(signal.SIGUSR1, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGUSR1, before)


@pytest.mark.usefixtures("free_signal")
def test_any_model_says_which_quanta_run(capfd: pytest.CaptureFixture[str]) -> None:
    activity = Activity()
    with answer_inquiries(activity):
        signal.raise_signal(signal.SIGUSR1)
        activity.report_with(lambda: [3, 5])
        signal.raise_signal(signal.SIGUSR1)
    assert signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL
    err = capfd.readouterr().err
    assert "running: no quantum" in err
    assert "running: 3, 5" in err


@pytest.mark.usefixtures("free_signal")
def test_an_answer_that_fails_ends_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    activity = Activity()
    activity.report_with(lambda: [1 // 0])
    with answer_inquiries(activity):
        signal.raise_signal(signal.SIGUSR1)
    assert "ZeroDivisionError" in capfd.readouterr().err


@pytest.mark.usefixtures("free_signal")
def test_a_handler_of_the_callers_stays(capfd: pytest.CaptureFixture[str]) -> None:
    heard = []
    signal.signal(signal.SIGUSR1, lambda number, frame: heard.append(number))
    with answer_inquiries(Activity()):
        signal.raise_signal(signal.SIGUSR1)
    assert heard == [signal.SIGUSR1]
    assert not capfd.readouterr().err


def test_the_trace_is_in_the_log_at_debug_level(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "pipetask"):
        execute(MultiprocessExecutor(1), enumerated({"a": 3}), Recorder(tmp_path))
    assert "The pool at its end:" in caplog.text
    assert "worker 1    succeeded 2" in caplog.text


def test_an_error_of_our_own_leaves_what_explains_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    calls = []

    def wrong(state: PoolState) -> Iterator[None]:
        calls.append(state)
        if len(calls) == 20:
            raise RuntimeError("a mistake of ours")
        return iter(())

    monkeypatch.setattr(PoolState, "_remove_faulty", wrong)
    work = Recorder(tmp_path, seconds=0.01)
    context = ExecutionContext(enumerated({"a": 100}), CallSpec(work))
    statuses = []

    def run() -> None:
        statuses.extend(outcome.status for outcome in MultiprocessExecutor(1).execute(context.graph, context))

    with pytest.raises(RuntimeError, match="a mistake of ours"):
        run()
    context.stop.close()
    assert len(statuses) == 100, "and nothing is lost"
    assert {Status.SUCCEEDED, Status.CANCELLED} == set(statuses)
    (file,) = tmp_path.glob("pipetask-*/decisions.txt")
    assert str(file) in caplog.text
    assert "worker 1    give 0" in file.read_text()
    assert "RuntimeError: a mistake of ours" in file.read_text()
