"""Engines whose workers are stopped, whose managers die, or whose workers have another Python."""

from __future__ import annotations

import os
import pickle
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from engines import ENGINES, MadeInTests
from pipetask.errors import PipetaskError
from pipetask.executors.base import ExecutionContext
from pipetask.executors.futures import FuturesExecutor
from pipetask.executors.futures.engine import Engine, find_engine
from pipetask.executors.futures.far_side import Order
from pipetask.outcome import Status
from pipetask.testing import CallSpec, enumerated
from pipetask.testing.plain_runs import wait_until
from toy_work import Recorder

from conftest import TESTS, environment, wait_for_all_processes  # isort: skip
from test_engines import execute, none_is_left  # isort: skip

SOURCES = TESTS.parent / "python"


@pytest.fixture(autouse=True)
def _workers_find_these_modules(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(TESTS), prepend=os.pathsep)


@pytest.mark.slow
def test_what_a_stopped_worker_has_is_given_to_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name, seconds in (("LOOK", 0.5), ("SILENCE", 8.0), ("GIVEN_UP", 10.0)):
        monkeypatch.setattr(f"pipetask.executors.futures.silence.{name}", seconds)
    work = Recorder(tmp_path, bombs=((5, "stop_driver_once"),))
    outcomes = execute(find_engine("processes", 2), enumerated({"a": 12}), work)
    assert {outcome.status for outcome in outcomes.values()} == {Status.SUCCEEDED}
    assert work.attempts(5) > 1, "what is tested must have happened"
    assert "Nothing is heard of the worker that runs a (number=" in caplog.text
    none_is_left(tmp_path)


@pytest.mark.slow
def test_a_manager_of_parsl_that_is_killed_costs_nothing(tmp_path: Path) -> None:
    work = Recorder(tmp_path, bombs=((5, "kill_manager_once"),))
    outcomes = execute(find_engine("parsl", 2), enumerated({"a": 12}), work)
    assert {outcome.status for outcome in outcomes.values()} == {Status.SUCCEEDED}
    assert work.attempts(5) == 2, "what is tested must have happened"
    none_is_left(tmp_path)  # workers end with their manager


COMMAND = """
import sys
from pathlib import Path
from pipetask.executors.base import ExecutionContext
from pipetask.executors.futures import FuturesExecutor
from pipetask.executors.futures.engine import Engine, find_engine
from pipetask.testing import CallSpec, enumerated
from pipetask.testing.plain_runs import wait_until
from toy_work import Recorder

if __name__ == "__main__":
    graph, work = enumerated({"a": 4}), Recorder(Path(sys.argv[2]), bombs=((1, "hang_until_defused"),))
    list(FuturesExecutor(find_engine(sys.argv[1], 2)).execute(graph, ExecutionContext(graph, CallSpec(work))))
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", ["processes", "loky", "executorlib"])
def test_what_a_killed_command_has_started_ends_what_it_runs_and_then_itself(
    name: str, tmp_path: Path
) -> None:
    """Dask's processes end at once, and for Parsl's see the tests of reuniting."""
    with ENGINES[name].started():
        (tmp_path / "command.py").write_text(COMMAND)
        with (tmp_path / "log").open("w") as log:
            command = [sys.executable, str(tmp_path / "command.py"), name, str(tmp_path)]
            process = subprocess.Popen(command, env=environment(), stdout=log, stderr=log)

    def has_begun() -> bool:
        assert process.poll() is None, (tmp_path / "log").read_text()
        return (tmp_path / "1.start").exists()

    wait_until(has_begun, "what hangs has begun")
    process.kill()
    process.wait()
    (tmp_path / "defused").touch()
    wait_for_all_processes()
    assert (tmp_path / "1.end").exists()


CALL = (
    "import pickle, sys; function, arguments = pickle.load(sys.stdin.buffer); "
    "sys.stdout.buffer.write(pickle.dumps(function(*arguments)))"
)


class Forgetful(MadeInTests):
    """Calls each function in a process of its own, and never says that one has died, as Dask does now and then.

    Parameters
    ----------
    n_lost
        The number of bundles whose answers are lost on the way.
    """

    slots = 2

    def __init__(self, n_lost: int = 0) -> None:
        self.n_lost = n_lost
        self._threads = ThreadPoolExecutor(self.slots)

    def submit(self, function: Callable[..., Any], /, *arguments: Any) -> Future[Any]:
        told: Future[Any] = Future()

        def call() -> None:
            words, given = [sys.executable, "-c", CALL], pickle.dumps((function, arguments))
            done = subprocess.run(words, input=given, capture_output=True, check=False)
            if self.n_lost and isinstance(arguments[0], Order):
                self.n_lost -= 1
            elif not done.returncode:
                told.set_result(pickle.loads(done.stdout))

        self._threads.submit(call)
        return told

    def close(self) -> None:
        self._threads.shutdown()


@pytest.mark.slow
def test_what_a_dead_worker_had_is_missed_where_the_engine_does_not_say_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, seconds in (("LOOK", 0.5), ("MISSED", 1.0)):
        monkeypatch.setattr(f"pipetask.executors.futures.silence.{name}", seconds)
    work = Recorder(tmp_path, bombs=((1, "kill_driver_once"),))
    outcomes = execute(Forgetful(), enumerated({"a": 3}), work)
    assert {outcome.status for outcome in outcomes.values()} == {Status.SUCCEEDED}
    assert work.attempts(1) == 2, "what is tested must have happened"
    none_is_left(tmp_path)


@pytest.mark.slow
def test_an_answer_that_is_lost_with_its_worker_is_read_in_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, seconds in (("LOOK", 0.5), ("MISSED", 1.0)):
        monkeypatch.setattr(f"pipetask.executors.futures.silence.{name}", seconds)
    work, engine = Recorder(tmp_path), Forgetful(n_lost=1)
    outcomes = execute(engine, enumerated({"a": 3}), work)
    assert {outcome.status for outcome in outcomes.values()} == {Status.SUCCEEDED}
    assert engine.n_lost == 0, "what is tested must have happened"
    assert [work.attempts(id) for id in range(3)] == [1, 1, 1]
    none_is_left(tmp_path)


# Workers with another interpreter.


class OtherInterpreter(MadeInTests):
    """Calls functions in a process of another interpreter, which finds our sources."""

    def __init__(self, python: str, *folders: Path):
        self._python = python
        self._path = os.pathsep.join(map(str, folders))

    def submit(self, function: Callable[..., Any], /, *arguments: Any) -> Future[Any]:
        future: Future[Any] = Future()
        done = subprocess.run(
            [self._python, "-c", CALL],
            input=pickle.dumps((function, arguments)),
            capture_output=True,
            env={"PYTHONPATH": self._path},
            check=False,
        )
        if done.returncode:
            future.set_exception(RuntimeError(done.stderr.decode().splitlines()[-1]))
        else:
            future.set_result(pickle.loads(done.stdout))
        return future


def refusal(engine: Engine) -> str:
    context = ExecutionContext(enumerated({"a": 1}), CallSpec(print))
    with pytest.raises(PipetaskError) as caught:
        FuturesExecutor(engine).check(context)
    context.stop.close()
    return str(caught.value)


def test_a_worker_with_another_python_is_refused_although_it_can_import_nothing() -> None:
    python = other_python()
    said = refusal(OtherInterpreter(str(python), SOURCES))
    assert re.fullmatch(
        rf"Workers on \S+ have Python 3\.\d+\.\d+ \({python}\), and this is Python {platform.python_version()}: they "
        r"must be the same\.",
        said,
    )


def other_python() -> Path:
    """Return an interpreter of this machine with another version of Python."""
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    here = f"{sys.version_info.major}.{sys.version_info.minor}."
    for folder in sorted(root.glob("versions/3.*"), reverse=True):
        if not folder.name.startswith(here) and (folder / "bin" / "python3").exists():
            return folder / "bin" / f"python{folder.name.rpartition('.')[0]}"
    found = (
        shutil.which(f"python3.{minor}") for minor in range(15, 8, -1) if minor != sys.version_info.minor
    )
    for each in filter(None, found):
        return Path(each)
    pytest.skip("A WORKER WITH ANOTHER PYTHON IS NOT TESTED: there is only one on this machine.")
