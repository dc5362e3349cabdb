"""A maintainer can step the parent and a worker at the same time, each at a terminal."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipetask.errors import PipetaskError
from pipetask.executors.pool import MultiprocessExecutor
from pipetask.executors.pool.terminal import WORKER_TERMINAL
from pipetask.outcome import Status
from pipetask.testing import enumerated
from pipetask.testing.conformance import execute
from toy_work import Recorder

from conftest import Repository, environment  # isort: skip

pytestmark = pytest.mark.slow


class Terminal:
    """A terminal, with what is typed ahead, and what is shown there."""

    def __init__(self) -> None:
        self._keyboard, self._screen = pty.openpty()
        self.path = os.ttyname(self._screen)

    def type(self, *lines: str) -> None:
        os.write(self._keyboard, "".join(f"{line}\n" for line in lines).encode())

    def shown(self, *texts: str) -> str:
        """Return what is shown when some texts have come: the kernel passes on what was written when it gets to it."""
        shown, deadline = "", time.monotonic() + 100
        while not all(text in shown for text in texts):
            if not select.select([self._keyboard], [], [], max(0.0, deadline - time.monotonic()))[0]:
                break
            shown += os.read(self._keyboard, 1 << 16).decode()
        return shown

    def close(self) -> None:
        os.close(self._keyboard)
        os.close(self._screen)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Terminal]:
    made = Terminal()
    monkeypatch.setenv(WORKER_TERMINAL, made.path)
    yield made
    made.close()


@pytest.mark.parametrize("start_method", ["forkserver", "spawn"])
def test_a_worker_stops_before_it_begins(tmp_path: Path, terminal: Terminal, start_method: str) -> None:
    terminal.type("p 'log is', recipe.log.name", "import toy_work", "b toy_work.Recorder.__call__", "c")
    terminal.type("p 'id is', id", "cl 1", "c")
    outcomes = execute(MultiprocessExecutor(1, start_method), enumerated({"a": 3}), Recorder(tmp_path))
    assert {outcome.status for outcome in outcomes.values()} == {Status.SUCCEEDED}
    expected = ("('log is', 'worker-1.log')", "('id is', 0)")
    shown = terminal.shown(*expected)
    assert all(text in shown for text in expected), shown


def test_a_breakpoint_in_a_task_stops_there(tmp_path: Path, terminal: Terminal) -> None:
    terminal.type("c", "p 'where is', folder.name", "c")
    work = Recorder(tmp_path, bombs=((1, "stop_here"),))
    outcomes = execute(MultiprocessExecutor(1), enumerated({"a": 3}), work)
    assert {outcome.status for outcome in outcomes.values()} == {Status.SUCCEEDED}
    expected = f"('where is', '{tmp_path.name}')"
    assert expected in terminal.shown(expected)


def test_a_terminal_that_is_not_there_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(WORKER_TERMINAL, str(tmp_path / "nowhere"))
    with pytest.raises(PipetaskError, match=r"A worker could not start: FileNotFoundError: .*nowhere"):
        execute(MultiprocessExecutor(1), enumerated({"a": 1}), Recorder(tmp_path))


def test_both_sides_can_be_stepped(repository: Repository, terminal: Terminal) -> None:
    terminal.type("p 'worker at', recipe.log.name", "c")
    arguments = repository.arguments("--mode", "multiprocess", "-j", "1")
    begin = ["from pipetask.executors.pool.foreman import Foreman", "b Foreman._tell", "c"]
    done = subprocess.run(
        [sys.executable, "-m", "pdb", "-m", "pipetask.cli", "--", *arguments],
        input="\n".join([*begin, "p 'parent at', instruction", "cl 1", "c", "q", ""]),
        capture_output=True,
        text=True,
        env=environment(),
        check=False,
    )
    assert "('parent at', Give(worker=1, tickets=" in done.stdout
    expected = "('worker at', 'worker-1.log')"
    assert expected in terminal.shown(expected)
    assert "10 succeeded" in done.stderr
