"""What every execution model keeps to, run against each; and the frontier that they share."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from pipetask.executors.base import ExecutionContext, QuantumExecutor
from pipetask.executors.frontier import Frontier
from pipetask.executors.futures import FuturesExecutor
from pipetask.executors.futures.engines.local import Threads
from pipetask.executors.in_process import InProcessExecutor
from pipetask.executors.pool import MultiprocessExecutor
from pipetask.graph.enumeration import QuantumData
from pipetask.outcome import QuantumOutcome, Status
from pipetask.testing import enumerated
from pipetask.testing.conformance import ModelConformance

from conftest import environment, inner_pytest  # isort: skip
from test_enumeration import random_graphs  # isort: skip
from example_executor import ReverseLabelExecutor  # isort: skip

MODELS: dict[str, Callable[[], QuantumExecutor]] = {
    "in-process": InProcessExecutor,
    "forkserver": lambda: MultiprocessExecutor(3),
    "spawn": lambda: MultiprocessExecutor(2, "spawn"),
    "threads": lambda: FuturesExecutor(Threads(3)),
    "example": ReverseLabelExecutor,
}

SLOW = {"forkserver", "spawn", "threads"}


class TestModels(ModelConformance):
    @pytest.fixture(params=[pytest.param(name, marks=[pytest.mark.slow] * (name in SLOW)) for name in MODELS])
    def model(self, request: pytest.FixtureRequest) -> QuantumExecutor:
        return MODELS[request.param]()


class ThreadsExecutor(QuantumExecutor):
    """Runs two quanta at a time in this process, which no model may do."""

    def execute(
        self, quanta: Iterable[QuantumData], context: ExecutionContext
    ) -> Generator[QuantumOutcome, None, None]:
        def run(quantum: QuantumData) -> QuantumOutcome:
            with closing(context.runner.open()) as runner:
                return runner.run(context.ticket(quantum))

        with ThreadPoolExecutor(2) as pool:
            for done in as_completed([pool.submit(run, quantum) for quantum in quanta]):
                yield done.result()


THEIR_TESTS = """
import pytest
from pipetask import InProcessExecutor
from pipetask.testing.conformance import ModelConformance
from test_conformance import ThreadsExecutor

class TestGood(ModelConformance):
    @pytest.fixture
    def model(self):
        return InProcessExecutor()

class TestBad(ModelConformance):
    patience = 60  # the second quantum comes at once, on a slow machine as well

    @pytest.fixture
    def model(self):
        return ThreadsExecutor()
"""


@pytest.mark.slow
def test_others_run_the_suite_on_their_models_and_it_finds_mixed_logs(tmp_path: Path) -> None:
    (tmp_path / "test_theirs.py").write_text(THEIR_TESTS)
    kept = {name: value for name, value in environment().items() if name != "PYTEST_ADDOPTS"}
    tests = ("test_theirs.py::TestGood", "test_theirs.py::TestBad::test_each_log_is_of_one_quantum")
    ended = subprocess.run(
        inner_pytest(tmp_path, "-q", "-rA", *tests),
        cwd=tmp_path,
        env=kept,
        capture_output=True,
        text=True,
        check=False,
    )
    lines = re.findall(r"^(PASSED|FAILED) test_theirs.py::(\w+)::(\w+)", ended.stdout, re.MULTILINE)
    failed = {(model, test) for result, model, test in lines if result == "FAILED"}
    assert len({test for _, model, test in lines if model == "TestGood"}) > 11, ended.stdout
    assert [test for model, test in failed if model == "TestGood"] == []
    assert ("TestBad", "test_each_log_is_of_one_quantum") in failed
    assert "run one quantum at a time in each process" in ended.stdout


def test_the_guide_shows_all_that_a_model_can_say() -> None:
    guide = (Path(__file__).parent.parent / "doc/guide/execution_model.md").read_text()
    names = {name for name in vars(QuantumExecutor) if not name.startswith("_")}
    assert "execute" in names
    assert {name for name in names if f"`{name}`" not in guide and f"`{name}(" not in guide} == {"traits"}
    assert "`traits = Traits(" in guide


@given(random_graphs())
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_frontier_on_random_graphs_with_random_failures(drawn: tuple[dict, list]) -> None:
    graph = enumerated(*drawn)
    prerequisites = {quantum.id: quantum.prerequisites for quantum in graph}
    frontier = Frontier(graph)
    ended: dict[int, Status] = {}

    def note(outcomes: Iterable[QuantumOutcome]) -> None:
        for outcome in outcomes:
            assert outcome.id not in ended
            ended[outcome.id] = outcome.status

    while not frontier.exhausted:
        batch = [quantum for quantum in (frontier.take() for _ in range(3)) if quantum is not None]
        assert batch, "something is ready as long as something is left"
        assert [quantum.id for quantum in batch] == sorted(quantum.id for quantum in batch)
        *kept, back = batch
        if kept:
            frontier.give_back(back)
        else:
            kept = [back]
        for quantum in kept:
            assert all(ended[id] is Status.SUCCEEDED for id in prerequisites[quantum.id])
            status = Status.FAILED if quantum.id % 4 == 1 else Status.SUCCEEDED
            frontier.finish(QuantumOutcome(quantum.id, status))
            note([QuantumOutcome(quantum.id, status)])
        note(frontier.blocked())
    assert set(ended) == set(prerequisites)
    for id, status in ended.items():
        upstream_bad = any(ended[p] is not Status.SUCCEEDED for p in prerequisites[id])
        assert (status is Status.BLOCKED) == upstream_bad
