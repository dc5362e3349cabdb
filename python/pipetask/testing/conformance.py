"""What every execution model should do, as tests to run against one of them.

In a test module of your own, make a subclass whose ``model`` makes an instance::

    from pipetask import QuantumExecutor
    from pipetask.testing.conformance import ModelConformance


    class TestMyModel(ModelConformance):
        @pytest.fixture
        def model(self) -> QuantumExecutor:
            return MyExecutor()

The quanta are functions, so no repository is needed.  Models for batch systems have a suite of their own:
`pipetask.testing.batch_conformance`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import psutil
import pytest

from ..executors.base import ExecutionContext, QuantumExecutor
from ..executors.retries import RetryPolicy, RetryRule
from ..graph.enumeration import EnumeratedGraph, QuantumData
from ..outcome import QuantumOutcome, Status
from .functions import CallSpec, enumerated
from .work import Misbehaviour, NotedWork, TalkingWork

__all__ = ["ModelConformance", "execute"]

LAYERS = {"isr": 6, "characterize": 6, "gather": 2}
EDGES = [(i, i + 6) for i in range(6)] + [(i, 12 + (i - 6) // 3) for i in range(6, 12)]
"""Six chains of two, and two quanta that each need three of them."""

STRANGE: Mapping[Misbehaviour, str | None] = {
    Misbehaviour.RAISE_UNPICKLABLE: "pipetask.testing.work.UnpicklableError",
    Misbehaviour.RAISE_HUGE: "ValueError",
    Misbehaviour.EXIT: "SystemExit",
    Misbehaviour.RAISE_INTERRUPT: "KeyboardInterrupt",
    Misbehaviour.CATCH_INTERRUPT: None,
}
"""What a task may do, and the type of the error that is told; `None` if it succeeds."""


def execute(
    model: QuantumExecutor,
    graph: EnumeratedGraph,
    work: Callable[[int], object],
    *,
    logs: Path | None = None,
    **options: object,
) -> dict[int, QuantumOutcome]:
    """Execute a graph, and check that each quantum has exactly one outcome.

    Parameters
    ----------
    model
        The execution model.
    graph
        The graph.
    work
        Called with the id of each quantum.
    logs
        Folder for the logs of quanta.
    options
        Fields of `~pipetask.executors.base.ExecutionContext`.

    Returns
    -------
    outcomes
        Outcomes by id.
    """
    context = ExecutionContext(graph, CallSpec(work, logs), **options)  # type: ignore[arg-type]
    try:
        outcomes = list(model.execute(graph, context))
    finally:
        context.stop.close()
    counts = Counter(outcome.id for outcome in outcomes)
    assert set(counts.values()) <= {1}, f"quanta have several outcomes: {counts}"
    assert set(counts) == {quantum.id for quantum in graph}, "every quantum has an outcome"
    return {outcome.id: outcome for outcome in outcomes}


class ModelConformance:
    """Tests of an execution model; derive from it, and say in ``model`` which."""

    patience: float = 0.5
    """Seconds that a quantum waits for another one to begin in its process.  A longer time costs as much once in each
    process, and finds models that are slow to do what they must not do."""

    @pytest.fixture
    def model(self) -> QuantumExecutor:
        """Return the execution model; to be overridden."""
        raise NotImplementedError(f"{type(self).__name__} has to say which model it tests: override 'model'")

    @pytest.fixture(autouse=True)
    def _no_process_is_left(self) -> Iterator[None]:
        """Check after each test that what it has started has ended."""
        before = {process.pid for process in _children()}
        yield
        _, alive = psutil.wait_procs([each for each in _children() if each.pid not in before], timeout=120)
        assert not alive, f"the model has left processes: {alive}"

    def test_everything_runs_once_and_in_order(self, model: QuantumExecutor, tmp_path: Path) -> None:
        """A quantum starts when its prerequisites have ended; only the structure of the graph is read."""
        graph, work = enumerated(LAYERS, EDGES), NotedWork(tmp_path, seconds=0.01)
        with pytest.raises(AssertionError):  # these graphs have no content, so a model that asks for it fails
            _ = next(iter(graph)).quantum
        outcomes = execute(model, graph, work)
        assert {outcome.status for outcome in outcomes.values()} == {Status.SUCCEEDED}
        for quantum in graph:
            assert work.attempts(quantum.id) == 1
            duration = outcomes[quantum.id].duration
            assert duration is not None, "an outcome has start and end"
            assert duration >= 0.01, "an outcome says how long the quantum took"
            for needed in quantum.prerequisites:
                ended = work.ended(needed)
                assert ended is not None
                assert ended <= work.began(quantum.id), "prerequisites end first"

    def test_each_log_is_of_one_quantum(self, model: QuantumExecutor, tmp_path: Path) -> None:
        """A runner captures what its process logs, so a process runs one quantum at a time."""
        outcomes = execute(model, enumerated({"a": 4}), TalkingWork(tmp_path, self.patience), logs=tmp_path)
        assert {outcome.status for outcome in outcomes.values()} == {Status.SUCCEEDED}
        for id in outcomes:
            log = (tmp_path / f"{id}.log").read_text().splitlines()
            assert log == [f"quantum {id} begins", f"quantum {id} ends"], (
                f"the log of quantum {id} has messages of others: run one quantum at a time in each process"
            )

    def test_a_model_that_says_so_makes_other_attempts(self, model: QuantumExecutor, tmp_path: Path) -> None:
        """Only a model whose traits have ``retries`` is asked for other attempts, and then it makes them."""
        work = NotedWork(tmp_path, {0: Misbehaviour.FAIL_TWICE})
        policy = RetryPolicy(RetryRule(error_retries=2))
        outcomes = execute(model, enumerated(LAYERS, EDGES), work, retries=policy)
        tried = 3 if model.traits.retries else 1
        assert (work.attempts(0), outcomes[0].status.is_failure) == (tried, not model.traits.retries)

    def test_a_failure_blocks_its_dependents_and_nothing_else(
        self, model: QuantumExecutor, tmp_path: Path
    ) -> None:
        """What cannot run any more is blocked, and everything else goes on; the failure is told with its cause."""
        graph = enumerated(LAYERS, EDGES)
        ids = {quantum.position: quantum.id for quantum in graph}
        work = NotedWork(tmp_path, {ids[1]: Misbehaviour.FAIL})
        outcomes = execute(model, graph, work)
        assert outcomes[ids[1]].status is Status.FAILED
        blocked = {id for id, outcome in outcomes.items() if outcome.status is Status.BLOCKED}
        assert blocked == {ids[7], ids[12]}
        assert all(outcomes[id].blocked_by == ids[1] for id in blocked)
        assert work.started() == set(ids.values()) - blocked, "all else goes on"
        error = outcomes[ids[1]].error
        assert error is not None
        assert (error.type_name, error.message) == ("ValueError", "it misbehaves")
        assert "KeyError: 'cause'" in error.traceback, "the traceback is that of the process that raised"
        assert "testing/work.py" in error.traceback, "the failing line"

    def test_strange_exceptions_are_failures_like_others(
        self, model: QuantumExecutor, tmp_path: Path
    ) -> None:
        """Whatever a task raises, it fails that quantum, and the next one runs; what it catches is no failure."""
        strange = dict(zip(range(1, 2 * len(STRANGE), 2), STRANGE, strict=True))
        outcomes = execute(model, enumerated({"a": 2 * len(STRANGE) + 1}), NotedWork(tmp_path, strange))
        for id, outcome in outcomes.items():
            what = strange.get(id)
            type_name = STRANGE[what] if what is not None else None
            if type_name is None:
                assert outcome.status is Status.SUCCEEDED, f"{what}: {outcome}"
                continue
            assert (outcome.status, outcome.error is None) == (Status.FAILED, False), f"{what}: {outcome}"
            assert outcome.error is not None
            assert outcome.error.type_name == type_name
            assert len(outcome.error.message) < 200_000

    def test_a_log_may_be_of_any_size(self, model: QuantumExecutor, tmp_path: Path) -> None:
        """A process whose messages are not read must not hang."""
        outcomes = execute(model, enumerated({"a": 3}), NotedWork(tmp_path, {1: Misbehaviour.LOG_MUCH}))
        assert {outcome.status for outcome in outcomes.values()} == {Status.SUCCEEDED}

    def test_fail_fast_starts_nothing_more(self, model: QuantumExecutor, tmp_path: Path) -> None:
        """What has not been started when the first quantum fails is cancelled, with the reason."""
        work = NotedWork(tmp_path, {0: Misbehaviour.FAIL}, seconds=0.02)
        outcomes = execute(model, enumerated({"a": 200}), work, fail_fast=True)
        counts = Counter(outcome.status for outcome in outcomes.values())
        assert counts[Status.FAILED] == 1
        assert counts[Status.CANCELLED] > 100
        assert all("a (number=0) failed" in (o.reason or "") for o in outcomes.values() if o.start is None)

    def test_a_stop_request_ends_the_run(self, model: QuantumExecutor, tmp_path: Path) -> None:
        """Every quantum still has an outcome."""
        graph = enumerated({"a": 500})
        context = ExecutionContext(graph, CallSpec(NotedWork(tmp_path, seconds=0.01)))
        statuses = Counter[Status]()
        for outcome in model.execute(graph, context):
            statuses[outcome.status] += 1
            context.stop.ask("enough")
        context.stop.close()
        assert sum(statuses.values()) == 500
        assert statuses[Status.SUCCEEDED] >= 1
        assert statuses[Status.CANCELLED] > 300

    def test_a_stop_request_before_the_start_starts_nothing(
        self, model: QuantumExecutor, tmp_path: Path
    ) -> None:
        """The run may be over before it has begun."""
        graph, work = enumerated({"a": 5}), NotedWork(tmp_path)
        context = ExecutionContext(graph, CallSpec(work))
        context.stop.ask("never mind")
        assert [outcome.status for outcome in model.execute(graph, context)] == [Status.CANCELLED] * 5
        context.stop.close()
        assert not work.started()

    def test_the_stream_is_read_only_as_far_as_needed(self, model: QuantumExecutor, tmp_path: Path) -> None:
        """The graph may be large."""
        graph, taken = enumerated({"a": 100_000}), 0

        def stream() -> Iterator[QuantumData]:
            nonlocal taken
            for quantum in graph:
                taken += 1
                yield quantum

        context = ExecutionContext(graph, CallSpec(NotedWork(tmp_path)))
        outcomes = model.execute(stream(), context)
        for _ in range(5):
            next(outcomes)
        assert taken < 5_000
        outcomes.close()
        context.stop.close()

    def test_an_abandoned_run_leaves_no_process(self, model: QuantumExecutor, tmp_path: Path) -> None:
        """Closing the generator ends the run; the check after each test looks for processes."""
        graph = enumerated({"a": 50})
        context = ExecutionContext(graph, CallSpec(NotedWork(tmp_path, seconds=0.01)))
        outcomes = model.execute(graph, context)
        next(outcomes)
        outcomes.close()
        context.stop.close()

    def test_an_empty_stream_has_no_outcomes(self, model: QuantumExecutor, tmp_path: Path) -> None:
        """Nor does it fail."""
        assert execute(model, enumerated({}), NotedWork(tmp_path)) == {}


def _children() -> list[psutil.Process]:
    """Return all processes below this one, but for those that Python itself keeps."""
    return [each for each in psutil.Process().children(recursive=True) if not _is_pythons_own(each)]


def _is_pythons_own(process: psutil.Process) -> bool:
    try:
        return "resource_tracker" in " ".join(process.cmdline())
    except psutil.Error:
        return True  # it has ended
