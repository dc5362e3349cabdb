"""What every execution model keeps to, and what a run leaves in a repository, on every engine."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from pathlib import Path
from typing import Any

import pytest

from engines import ENGINES, without_pytest
from peer import find_peer
from pipetask.executors.base import QuantumExecutor
from pipetask.executors.futures import FuturesExecutor
from pipetask.executors.futures.engine import Engine, find_engine
from pipetask.testing.conformance import ModelConformance

from conftest import Finished, environment  # isort: skip
from test_equivalence import assert_as_the_peer_leaves_it, shared_folder  # noqa: F401  isort: skip

pytestmark = pytest.mark.slow


class StayingEngine(Engine):
    """An engine that goes on after a run, as a cluster of other people does."""

    def __init__(self, engine: Engine):
        self._engine = engine
        self.reruns, self.is_here = engine.reruns, engine.is_here

    @classmethod
    def make(cls, argument: str | None, workers: int) -> Engine:
        raise AssertionError("it is made in tests only")

    @property
    def slots(self) -> int:
        return self._engine.slots

    def submit(self, function: Callable[..., Any], /, *arguments: Any) -> Future[Any]:
        return self._engine.submit(function, *arguments)

    def renew(self) -> None:
        self._engine.renew()

    def end_of_life(self) -> str | None:
        return self._engine.end_of_life()

    def tell_all(self, function: Callable[..., Any], /, *arguments: Any) -> None:
        self._engine.tell_all(function, *arguments)


@pytest.fixture(scope="module", params=[case.name for case in ENGINES.values() if case.launcher is list])
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
        options = ["-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
        ended = subprocess.run(
            [*case.launcher(), "-m", "pytest", *options, "test_suite.py"],
            cwd=tmp_path,
            env=without_pytest(),
            capture_output=True,
            text=True,
            timeout=300,
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
                timeout=200,
                check=False,
            )
            return Finished(done.returncode, done.stdout, done.stderr, time.monotonic() - start)

        more = ("--mode", "futures", "-j", "2", "--engine", text)
        assert_as_the_peer_leaves_it("failures", run, more, shared_folder, tmp_path)
