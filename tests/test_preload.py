"""Tasks are imported once, by the server that workers are forked from, where that is safe."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from pipetask.executors.pool import MultiprocessExecutor, launcher
from pipetask.executors.stop import StopRequest
from pipetask.outcome import Status
from pipetask.testing import MockPipeline, enumerated
from pipetask.testing.conformance import execute

import noted_tasks  # isort: skip
from conftest import Repository, run_pipetask  # isort: skip

pytestmark = pytest.mark.slow

MODULE = """
import os, socket, threading, time, traceback
from pathlib import Path
FOLDER = Path({folder!r})
(FOLDER / f"imported-{{os.getpid()}}").touch()
print("noise")

class Task:
    pass

def work(id):
    (FOLDER / f"quantum-{{os.getpid()}}").touch()
    deadline = time.monotonic() + 100
    while len(list(FOLDER.glob("quantum-*"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)  # until the other worker has something, too

if os.getpid() != {here}:
    {odd}
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """Return a function that makes a module which does something odd where it is imported by others than the test."""

    def make(odd: str) -> str:
        name = f"preloaded_{os.getpid()}_{len(sys.modules)}"
        (tmp_path / f"{name}.py").write_text(MODULE.format(folder=str(tmp_path), here=os.getpid(), odd=odd))
        monkeypatch.syspath_prepend(str(tmp_path))
        return name

    return make


def run(name: str, **options: object) -> None:
    model = MultiprocessExecutor(2, **options)  # type: ignore[arg-type]
    model.preload(lambda: [f"{name}.Task"])
    work = __import__(name).work
    outcomes = execute(model, enumerated({"a": 4}), work)
    assert {outcome.status for outcome in outcomes.values()} == {Status.SUCCEEDED}


def pids(folder: Path, what: str) -> set[int]:
    return {int(path.name.split("-")[1]) for path in folder.glob(f"{what}-*")}


def test_the_server_imports_for_all(
    tmp_path: Path, module: Callable[[str], str], capfd: pytest.CaptureFixture[str]
) -> None:
    run(module("pass"))
    assert len(pids(tmp_path, "quantum")) == 2
    assert len(pids(tmp_path, "imported") - {os.getpid()}) == 1, "one server"
    assert not pids(tmp_path, "imported") & pids(tmp_path, "quantum")
    assert capfd.readouterr().out == "noise\n", "printed where the test imports it, and nowhere else"


def test_tasks_that_are_imported_already_are_not_imported_again(
    tmp_path: Path, module: Callable[[str], str]
) -> None:
    name = module("pass")
    model = MultiprocessExecutor(2)
    model.preload(lambda: [f"{name}.Task", f"{name}.Other"])
    with closing(StopRequest()) as stop:
        model._prepared().get_ready(stop)
    model.preload(lambda: [f"{name}.Task"])
    outcomes = execute(model, enumerated({"a": 4}), __import__(name).work)
    assert {outcome.status for outcome in outcomes.values()} == {Status.SUCCEEDED}
    assert len(pids(tmp_path, "imported") - {os.getpid()}) == 1, "one server"


IN_SERVER = "if any(frame.name == 'import_tasks' for frame in traceback.extract_stack()): "


@pytest.mark.parametrize(
    ("odd", "words"),
    [
        ("threading.Thread(target=time.sleep, args=(60,), daemon=True).start()", "leaves 1 thread(s) behind"),
        ("kept = socket.socketpair()", "leaves socket:"),
        (IN_SERVER + "os._exit(3)", "the process that did it has died"),
        (IN_SERVER + "time.sleep(60)", "it takes longer than 2 s"),
        (IN_SERVER + "raise ImportError('not here')", ""),
    ],
    ids=["thread", "socket", "exit", "hang", "failure"],
)
def test_where_that_is_not_safe_each_worker_imports(
    tmp_path: Path,
    module: Callable[[str], str],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    odd: str,
    words: str,
) -> None:
    if "longer" in words:
        monkeypatch.setattr(launcher, "PATIENCE", 2.0)
    with caplog.at_level(logging.DEBUG, logger="pipetask"):
        run(module(odd))
    assert pids(tmp_path, "imported") > pids(tmp_path, "quantum")
    lines = [line for line in caplog.messages if "Each worker imports the tasks by itself" in line]
    assert len(lines) == bool(words)
    assert words in "".join(lines)


@pytest.mark.parametrize(("options", "n_imports"), [([], 2), (["--no-preload"], 3)])
def test_the_command_has_tasks_imported_once(
    make_repository: Callable[..., Repository],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: list[str],
    n_imports: int,
) -> None:
    classes = dict.fromkeys(("isr", "characterize"), noted_tasks.NotedTask)
    # Quanta take so long that a worker which comes late is still needed.
    configs = {"isr": {"sleep": 3.0}}
    repository = make_repository(MockPipeline(1, 2, task_classes=classes, configs=configs))
    (notes := tmp_path / "notes").mkdir()
    monkeypatch.setenv("PIPETASK_NOTES", str(notes))
    done = run_pipetask(*repository.arguments("-j", "2", *options))
    assert done.code == 0, done.err
    assert len(list(notes.iterdir())) == n_imports, "the parent and the server, or the parent and two workers"
