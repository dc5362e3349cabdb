"""What every execution model keeps to, written once and run against each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from pipetask.executors.base import ExecutionContext, QuantumExecutor
from pipetask.executors.frontier import Frontier
from pipetask.executors.in_process import InProcessExecutor
from pipetask.executors.pool import MultiprocessExecutor
from pipetask.executors.retries import RetryPolicy, RetryRule
from pipetask.graph.enumeration import EnumeratedGraph, QuantumData
from pipetask.outcome import QuantumOutcome, Status
from pipetask.testing import CallSpec, enumerated
from toy_work import Recorder

from test_enumeration import random_graphs  # isort: skip
from example_executor import ReverseLabelExecutor  # isort: skip

MODELS: dict[str, Callable[[], QuantumExecutor]] = {
    "in-process": InProcessExecutor,
    "forkserver": lambda: MultiprocessExecutor(3),
    "spawn": lambda: MultiprocessExecutor(2, "spawn"),
    "example": ReverseLabelExecutor,
}


SLOW = {"forkserver", "spawn"}


@pytest.fixture(params=[pytest.param(name, marks=[pytest.mark.slow] * (name in SLOW)) for name in MODELS])
def model(request: pytest.FixtureRequest) -> QuantumExecutor:
    return MODELS[request.param]()


def execute(
    model: QuantumExecutor, graph: EnumeratedGraph, work: Callable[[int], object], **options: object
) -> dict[int, QuantumOutcome]:
    """Execute a graph; check that each quantum has exactly one outcome."""
    context = ExecutionContext(graph, CallSpec(work), **options)
    outcomes = list(model.execute(graph, context))
    context.stop.close()
    counts = Counter(outcome.id for outcome in outcomes)
    assert set(counts.values()) <= {1}, "exactly one outcome each"
    assert set(counts) == {quantum.id for quantum in graph}
    return {outcome.id: outcome for outcome in outcomes}


def test_the_guide_shows_all_that_a_model_can_say() -> None:
    guide = (Path(__file__).parent.parent / "doc/guide/execution_model.md").read_text()
    names = {name for name in vars(QuantumExecutor) if not name.startswith("_")}
    assert "execute" in names
    assert {name for name in names if f"`{name}`" not in guide and f"`{name}(" not in guide} == {"traits"}
    assert "`traits = Traits(" in guide


LAYERS = {"isr": 6, "characterize": 6, "gather": 2}
EDGES = [(i, i + 6) for i in range(6)] + [(i, 12 + (i - 6) // 3) for i in range(6, 12)]


def test_a_model_that_says_so_makes_other_attempts(model: QuantumExecutor, tmp_path: Path) -> None:
    work = Recorder(tmp_path, bombs=((0, "fail_twice"),))
    outcomes = execute(
        model, enumerated(LAYERS, EDGES), work, retries=RetryPolicy(RetryRule(error_retries=2))
    )
    tried = 3 if model.traits.retries else 1
    assert (work.attempts(0), outcomes[0].status.is_failure) == (tried, not model.traits.retries)


def test_everything_runs_once_and_in_order(model: QuantumExecutor, tmp_path: Path) -> None:
    graph, work = enumerated(LAYERS, EDGES), Recorder(tmp_path)
    outcomes = execute(model, graph, work)
    assert {outcome.status for outcome in outcomes.values()} == {Status.SUCCEEDED}
    for quantum in graph:
        assert work.attempts(quantum.id) == 1
        start = float((tmp_path / f"{quantum.id}.start").read_text().split()[1])
        for needed in quantum.prerequisites:
            assert float((tmp_path / f"{needed}.end").read_text()) <= start, "prerequisites end first"


def test_outcomes_say_when_and_where(model: QuantumExecutor, tmp_path: Path) -> None:
    outcomes = execute(model, enumerated({"a": 3}), Recorder(tmp_path, seconds=0.01))
    for outcome in outcomes.values():
        assert outcome.duration is not None
        assert outcome.duration >= 0.01


def test_a_failure_blocks_its_dependents_and_nobody_else(model: QuantumExecutor, tmp_path: Path) -> None:
    graph = enumerated(LAYERS, EDGES)
    ids = {quantum.position: quantum.id for quantum in graph}
    work = Recorder(tmp_path, bombs=((ids[1], "fail"),))
    outcomes = execute(model, graph, work)
    assert outcomes[ids[1]].status is Status.FAILED
    blocked = {id for id, outcome in outcomes.items() if outcome.status is Status.BLOCKED}
    assert blocked == {ids[7], ids[12]}
    assert all(outcomes[id].blocked_by == ids[1] for id in blocked)
    assert work.started() == set(ids.values()) - blocked, "all else goes on"


def test_a_failure_is_told_with_its_cause(model: QuantumExecutor, tmp_path: Path) -> None:
    outcomes = execute(model, enumerated({"a": 1}), Recorder(tmp_path, bombs=((0, "fail"),)))
    error = outcomes[0].error
    assert error is not None
    assert (error.type_name, error.message) == ("ValueError", "bomb")
    assert "KeyError: 'cause'" in error.traceback
    assert "toy_work.py" in error.traceback, "the remote traceback, with the failing line"


@pytest.mark.parametrize(
    ("bomb", "type_name"),
    [
        ("raise_unpicklable", "toy_work.UnpicklableError"),
        ("raise_huge", "ValueError"),
        ("exit_by_sys", "SystemExit"),
        ("raise_interrupt", "KeyboardInterrupt"),
    ],
)
def test_strange_exceptions_are_failures_like_others(
    model: QuantumExecutor, tmp_path: Path, bomb: str, type_name: str
) -> None:
    outcomes = execute(model, enumerated({"a": 3}), Recorder(tmp_path, bombs=((1, bomb),)))
    assert [outcomes[id].status for id in range(3)] == [Status.SUCCEEDED, Status.FAILED, Status.SUCCEEDED]
    error = outcomes[1].error
    assert error is not None
    assert error.type_name == type_name
    assert len(error.message) < 200_000


def test_an_interrupt_that_a_task_catches_itself_is_nobody_elses_concern(
    model: QuantumExecutor, tmp_path: Path
) -> None:
    outcomes = execute(model, enumerated({"a": 3}), Recorder(tmp_path, bombs=((1, "catch_interrupt"),)))
    assert {outcome.status for outcome in outcomes.values()} == {Status.SUCCEEDED}


def test_a_log_of_any_size_is_no_problem(model: QuantumExecutor, tmp_path: Path) -> None:
    outcomes = execute(model, enumerated({"a": 3}), Recorder(tmp_path, bombs=((1, "log_much"),)))
    assert {outcome.status for outcome in outcomes.values()} == {Status.SUCCEEDED}


def test_fail_fast_starts_nothing_more(model: QuantumExecutor, tmp_path: Path) -> None:
    graph, work = enumerated({"a": 200}), Recorder(tmp_path, seconds=0.02, bombs=((0, "fail"),))
    outcomes = execute(model, graph, work, fail_fast=True)
    counts = Counter(outcome.status for outcome in outcomes.values())
    assert counts[Status.FAILED] == 1
    assert counts[Status.CANCELLED] > 100
    assert all("a (number=0) failed" in (o.reason or "") for o in outcomes.values() if o.start is None)


def test_a_stop_request_ends_the_run(model: QuantumExecutor, tmp_path: Path) -> None:
    graph = enumerated({"a": 500})
    context = ExecutionContext(graph, CallSpec(Recorder(tmp_path, seconds=0.01)))
    statuses = Counter[Status]()
    for outcome in model.execute(graph, context):
        statuses[outcome.status] += 1
        context.stop.ask("enough")
    context.stop.close()
    assert sum(statuses.values()) == 500
    assert statuses[Status.SUCCEEDED] >= 1
    assert statuses[Status.CANCELLED] > 300


def test_a_stop_request_before_the_start_starts_nothing(model: QuantumExecutor, tmp_path: Path) -> None:
    graph, work = enumerated({"a": 5}), Recorder(tmp_path)
    context = ExecutionContext(graph, CallSpec(work))
    context.stop.ask("never mind")
    assert [outcome.status for outcome in model.execute(graph, context)] == [Status.CANCELLED] * 5
    context.stop.close()
    assert not work.started()


def test_the_stream_is_read_only_as_far_as_needed(model: QuantumExecutor, tmp_path: Path) -> None:
    graph = enumerated({"a": 100_000})
    taken = 0

    def stream() -> Iterator[QuantumData]:
        nonlocal taken
        for quantum in graph:
            taken += 1
            yield quantum

    context = ExecutionContext(graph, CallSpec(Recorder(tmp_path)))
    outcomes = model.execute(stream(), context)
    for _ in range(5):
        next(outcomes)
    assert taken < 5_000
    outcomes.close()  # type: ignore[attr-defined]
    context.stop.close()


def test_whoever_abandons_the_run_leaves_nothing_behind(model: QuantumExecutor, tmp_path: Path) -> None:
    graph = enumerated({"a": 50})
    context = ExecutionContext(graph, CallSpec(Recorder(tmp_path, seconds=0.01)))
    outcomes = model.execute(graph, context)
    next(outcomes)
    outcomes.close()  # type: ignore[attr-defined]  # the check at teardown looks for processes
    context.stop.close()


def test_an_empty_stream_has_no_outcomes(model: QuantumExecutor, tmp_path: Path) -> None:
    assert execute(model, enumerated({}), Recorder(tmp_path)) == {}


def test_structure_is_all_that_is_asked_for(model: QuantumExecutor, tmp_path: Path) -> None:
    # The graphs of these tests have no content and raise when asked for a quantum.
    graph = enumerated({"a": 1})
    with pytest.raises(AssertionError):
        _ = next(iter(graph)).quantum
    execute(model, graph, Recorder(tmp_path))


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
