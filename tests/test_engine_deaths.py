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
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from needs import not_tested
from peer import find_peer
from pipetask.errors import PipetaskError
from pipetask.executors.base import ExecutionContext
from pipetask.executors.futures import FuturesExecutor
from pipetask.executors.futures.engine import Engine, find_engine
from pipetask.outcome import Status
from pipetask.testing import CallSpec, enumerated
from toy_work import Recorder

from conftest import TESTS  # isort: skip
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
        monkeypatch.setattr(f"pipetask.executors.futures.dispatch.{name}", seconds)
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


# Workers with another interpreter.


class OtherInterpreter(Engine):
    """Calls functions in a process of another interpreter, which finds our sources."""

    def __init__(self, python: str, *folders: Path):
        self._python = python
        self._path = os.pathsep.join(map(str, folders))

    @classmethod
    def make(cls, argument: str | None, workers: int) -> Engine:
        raise AssertionError("it is made in tests only")

    @property
    def slots(self) -> int:
        return 1

    def submit(self, function: Callable[..., Any], /, *arguments: Any) -> Future[Any]:
        future: Future[Any] = Future()
        call = (
            "import pickle, sys; function, arguments = pickle.load(sys.stdin.buffer); "
            "sys.stdout.buffer.write(pickle.dumps(function(*arguments)))"
        )
        done = subprocess.run(
            [self._python, "-c", call],
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


@pytest.mark.peer
def test_a_worker_of_another_environment_is_refused(tmp_path: Path) -> None:
    """That of LSST's command has the packages of LSST, and not ours."""
    python = find_peer().with_name("python")
    if not python.exists():
        not_tested(f"A WORKER OF ANOTHER ENVIRONMENT IS NOT TESTED: there is no {python}.")
    # Without the metadata that an editable installation leaves beside the sources.
    (tmp_path / "pipetask").symlink_to(Path(SOURCES, "pipetask"))
    said = refusal(OtherInterpreter(str(python), str(tmp_path)))
    assert said.startswith("Workers on ")
    assert " have no pipetask, and this is pipetask " in said
    assert "\n" not in said


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
