"""What every execution model keeps to, and what a run leaves in a repository, on every engine."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import wait
from pathlib import Path

import pytest

from engines import ENGINES, StayingEngine, without_pytest
from peer import find_peer
from pipetask.executors.base import QuantumExecutor
from pipetask.executors.futures import FuturesExecutor
from pipetask.executors.futures.engine import Engine, find_engine
from pipetask.testing.conformance import ModelConformance

from conftest import Finished, environment, inner_pytest  # isort: skip
from test_equivalence import assert_as_the_peer_leaves_it, shared_folder  # noqa: F401  isort: skip

pytestmark = pytest.mark.slow


ELSEWHERE = {"threads"} | {case.name for case in ENGINES.values() if case.launcher is not list}
"""The first is among the models of test_conformance, and the others have to start the command: see below."""


@pytest.fixture(scope="module", params=[name for name in ENGINES if name not in ELSEWHERE])
def make_engine(request: pytest.FixtureRequest) -> Iterator[Callable[[], Engine]]:
    """Return what makes the engine for one test."""
    case = ENGINES[request.param]
    with case.started() as text:
        if not case.stays:
            yield lambda: find_engine(text, 2)
            return
        engine = find_engine(text, 2)
        try:
            # All its processes are there before a test that looks for processes that are left.
            wait([engine.submit(time.sleep, 0.2) for _ in range(4)])
            yield lambda: StayingEngine(engine)
        finally:
            engine.close()


class TestEngines(ModelConformance):
    @pytest.fixture
    def model(self, make_engine: Callable[[], Engine]) -> QuantumExecutor:
        return FuturesExecutor(make_engine())


@pytest.mark.parametrize("argument", [["a mistake"], threading.Lock()], ids=["raises", "cannot be pickled"])
def test_a_mistake_is_no_loss(make_engine: Callable[[], Engine], argument: object) -> None:
    """That a worker that dies is one, tests of deaths show."""
    engine = make_engine()
    try:
        error = engine.submit(int, argument).exception(60)
    except Exception as at_once:
        error = at_once
    finally:
        engine.close()
    assert isinstance(error, Exception)
    assert not engine.lost(error), repr(error)


SUITE = """
import pytest
from pipetask.executors.futures import FuturesExecutor
from pipetask.executors.futures.engine import find_engine
from pipetask.testing.conformance import ModelConformance

class TestEngine(ModelConformance):
    @pytest.fixture
    def model(self):
        return FuturesExecutor(find_engine({text!r}, 2))
"""


@pytest.mark.parametrize("name", [case.name for case in ENGINES.values() if case.launcher is not list])
def test_an_engine_that_starts_the_command_passes_the_suite(name: str, tmp_path: Path) -> None:
    case = ENGINES[name]
    with case.started() as text:
        (tmp_path / "test_suite.py").write_text(SUITE.format(text=text))
        ended = subprocess.run(
            [*case.launcher(), *inner_pytest(tmp_path, "-q", "test_suite.py")[1:]],
            cwd=tmp_path,
            env=without_pytest(),
            capture_output=True,
            text=True,
            check=False,
        )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert " passed" in ended.stdout


@pytest.mark.peer
@pytest.mark.parametrize("name", [name for name in ENGINES if name != "threads"])
def test_what_is_left_is_what_the_peer_leaves(
    name: str,
    shared_folder: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    find_peer()
    case = ENGINES[name]
    with case.started() as text:

        def run(*arguments: str) -> Finished:
            start = time.monotonic()
            done = subprocess.run(
                [*(case.launcher() or [sys.executable]), "-m", "pipetask.cli", *arguments],
                env=environment(),
                capture_output=True,
                text=True,
                check=False,
            )
            return Finished(done.returncode, done.stdout, done.stderr, time.monotonic() - start)

        summary = tmp_path / "summary.json"
        more = ("--mode", "futures", "-j", "2", "--engine", text, "--summary", str(summary))
        assert_as_the_peer_leaves_it("failures", run, more, shared_folder, tmp_path)
        quanta = json.loads(summary.read_text())["quanta"]
        peaks = [each["usage"].get("peakMemory") for each in quanta if "usage" in each]
        assert len(peaks) > 1
        assert all(peaks)
