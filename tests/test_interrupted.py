"""Ctrl-C on a terminal, at any moment: no traceback, and a line that says what is left and how to go on."""

from __future__ import annotations

import re
import shlex
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pipetask.cli import interrupted
from pipetask.testing import MockPipeline
from terminals import Terminal, lines_of, screen_of

from conftest import Repository, environment, run_pipetask  # isort: skip

pytestmark = pytest.mark.slow

PROGRAM = Path(__file__).parent.parent / "bin/pipetask"
SLOW = MockPipeline(1, 2, configs={"isr": {"sleep": 1.0}})
SLOWER = MockPipeline(1, 2, configs={"isr": {"sleep": 6.0}})
"""It still runs when a test that has seen it begin gets to do something."""
DEMO = str(Path(__file__).parent.parent / "python/pipetask_demo/pipeline.yaml")


def commands(repository: Repository) -> dict[str, list[str]]:
    run = repository.arguments()
    return {
        "run -j 2": [*run, "-j", "2"],
        "run -j 1": [*run, "-j", "1"],
        "run --start-method spawn": [*run, "-j", "2", "--start-method", "spawn"],
        "run-qbb": ["run-qbb", str(repository.root), str(repository.graph), "-j", "2"],
        "build": ["build", "-p", DEMO, "--show", "pipeline"],
        "qgraph": ["qgraph", "-b", str(repository.root), "-g", str(repository.graph), "--show", "graph"],
    }


MOMENTS = {
    "run -j 2": (0.05, 0.8, 1.6),
    "run -j 1": (0.1, 2.0),
    "run --start-method spawn": (0.8, 2.2),
    "run-qbb": (0.3, 1.3),
    "build": (0.07, 0.5),
    "qgraph": (0.1, 1.0),
}


def interrupt(arguments: list[str], seconds: float) -> tuple[str, int]:
    """Press Ctrl-C some time after the start of a command; return what it shows, and its exit code."""
    terminal = Terminal(*arguments, program=[str(PROGRAM)])
    time.sleep(seconds)  # whenever that is in the life of the command, what is asserted holds
    terminal.press("\x03")
    shown = terminal.read_until(None)
    return shown, terminal.close()


def python_was_starting(shown: str, code: int) -> bool:
    """Return whether Python itself was interrupted, before it came to the first line of the command."""
    silent = shown.replace("\r\n", "") in ("", "^C")
    return "Fatal Python error: init" in shown or (silent and code == -signal.SIGINT)


@pytest.mark.parametrize(("name", "seconds"), [(name, s) for name in MOMENTS for s in MOMENTS[name]])
def test_ctrl_c_at_any_moment(make_repository: Callable[..., Repository], name: str, seconds: float) -> None:
    arguments = commands(make_repository(SLOW))[name]
    shown, code = interrupt(arguments, seconds)
    if python_was_starting(shown, code) or code == 0:  # nothing of ours runs, or nothing any more
        return
    assert code in (128 + signal.SIGINT, -signal.SIGINT), shown
    for word in ("Traceback", "KeyboardInterrupt", "Exception ignored", "forkserver"):
        assert word not in shown
    *_, last = lines_of(shown)
    ways = r"(\^C)?pipetask: interrupted by SIGINT: [a-z ]+(; go on: pipetask .+)?|go on: pipetask .+"
    assert code == -signal.SIGINT or re.fullmatch(ways, last), shown
    if "go on: " in last:
        going_on = shlex.split(last.partition("go on: ")[2])
        assert going_on[: len(arguments) + 1] == ["pipetask", *arguments]
        assert going_on[len(arguments) + 1 :] in ([], ["--extend-run"], ["--extend-run", "--clobber-outputs"])


@pytest.mark.parametrize("name", ["run -j 2", "run-qbb"])
def test_the_command_that_is_given_goes_on(make_repository: Callable[..., Repository], name: str) -> None:
    arguments = commands(make_repository(SLOWER))[name]
    terminal = Terminal(*arguments, program=[str(PROGRAM)])
    shown = terminal.read_until("running")  # the head of the progress table
    terminal.press("\x03")
    shown += terminal.read_until(None)
    assert terminal.close() == 130
    lines = screen_of(shown)
    assert not [line for line in lines if "running" in line or "elapsed" in line], (
        "the progress table is gone"
    )
    assert all(lines[n + 1].startswith("isr ") for n, line in enumerate(lines) if line.startswith("task "))
    last = lines[-1]
    assert last.startswith("go on: "), shown
    again = run_pipetask(*shlex.split(last)[3:])
    assert again.code == 0, again.err


SWALLOWED = """
    import os, signal, time
    from pipetask.cli.program import Interruption
    interruption = Interruption()
    interruption.handle()
    cleaned = False
    try:
        try:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(100)
        except BaseException:
            pass
        time.sleep(100)
    except KeyboardInterrupt:
        try:
            time.sleep(1)  # several times as long as the patience
            cleaned = True
        finally:
            interruption.heard()
            print(interruption.number, cleaned)
"""


def test_an_interruption_that_is_swallowed_comes_again_and_leaves_cleaning_up_alone() -> None:
    words = [sys.executable, "-c", textwrap.dedent(SWALLOWED)]
    done = subprocess.run(words, env=environment(), capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["2", "True"], done.stderr


def test_what_is_left_is_said_with_the_command() -> None:
    interrupted.begin(["run", "-b", "my repo"])
    assert interrupted.left_so_far() == "nothing was begun; go on: pipetask run -b 'my repo'"
    interrupted.note("no quantum was run")
    assert interrupted.left_so_far() == "no quantum was run; go on: pipetask run -b 'my repo'"
