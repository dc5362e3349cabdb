"""One graph on several execution models at once."""

from __future__ import annotations

import os
import random
import threading
from collections import Counter
from collections.abc import Callable, Generator, Iterable
from dataclasses import replace
from functools import partial
from itertools import accumulate
from multiprocessing.connection import wait
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipetask.errors import PipetaskError, UsageError
from pipetask.executors.base import ExecutionContext, QuantumExecutor, Traits
from pipetask.executors.elsewhere import Elsewhere, Ended
from pipetask.executors.frontier import Frontier
from pipetask.executors.futures import FuturesExecutor
from pipetask.executors.futures.engines.local import Threads
from pipetask.executors.in_process import InProcessExecutor
from pipetask.executors.ledger import Ledger
from pipetask.executors.pool import MultiprocessExecutor
from pipetask.executors.pool.bundling import BundlePolicy
from pipetask.executors.pool.packing import bundler_for
from pipetask.executors.resources import Resources
from pipetask.executors.retries import RetryPolicy, RetryRule
from pipetask.executors.routed import RoutedExecutor
from pipetask.executors.routed.choice import groups_of, with_routes
from pipetask.executors.routed.switchboard import Switchboard
from pipetask.graph.enumeration import EnumeratedGraph, QuantumData
from pipetask.options.models import FuturesOptions
from pipetask.outcome import QuantumOutcome, Status
from pipetask.testing import CallSpec, enumerated
from pipetask.testing.conformance import ModelConformance, execute
from pipetask.testing.work import Misbehaviour, NotedWork

from test_enumeration import random_graphs  # isort: skip

pytestmark = pytest.mark.usefixtures("speaks_of_flags")


class Serial(QuantumExecutor):
    """Decides the status of one quantum after the other, without running anything."""

    traits = Traits(retries=True, resources=True, parts=True)

    def __init__(self, decide: Callable[[int], Status] = lambda id: Status.SUCCEEDED):
        self.decide = decide
        self.seen: list[int] = []
        self.threads: set[threading.Thread] = set()

    def execute(
        self, quanta: Iterable[QuantumData], context: ExecutionContext
    ) -> Generator[QuantumOutcome, None, None]:
        frontier = Frontier(quanta, context.retries, elsewhere=context.elsewhere)
        self.threads.add(threading.current_thread())
        while not context.stop and not frontier.exhausted:
            if (quantum := frontier.take()) is not None:
                self.seen.append(quantum.id)
                ended = frontier.finish(
                    QuantumOutcome(quantum.id, self.decide(quantum.id), start=0.0, end=0.0)
                )
                if ended is not None:
                    context.note_failure(ended)
                    yield ended
            yield from frontier.blocked()
            if quantum is None and not frontier.exhausted and not context.stop:
                assert context.elsewhere is not None
                wait([context.elsewhere, context.stop])  # type: ignore[list-item]
                context.elsewhere.acknowledge()
        yield from frontier.cancel(context.stop.reason or "")


# What a frontier makes of what it is told


def numbered(count: int, edges: list[tuple[int, int]]) -> tuple[EnumeratedGraph, list[QuantumData]]:
    graph = enumerated({"a": count}, edges)
    return graph, list(graph)


@pytest.fixture
def told() -> Iterable[Elsewhere]:
    elsewhere = Elsewhere()
    yield elsewhere
    elsewhere.close()


def test_a_quantum_waits_for_one_that_runs_elsewhere(told: Elsewhere) -> None:
    _, quanta = numbered(3, [(0, 1), (1, 2)])
    frontier = Frontier(quanta[1:], elsewhere=told)
    assert frontier.take() is None
    told.tell(Ended(0, unblocks=True))
    taken = frontier.take()
    assert taken is quanta[1]
    assert frontier.has_new_inputs(quanta[1])


def test_it_may_be_told_first(told: Elsewhere) -> None:
    _, quanta = numbered(2, [(0, 1)])
    told.tell(Ended(0, unblocks=True, skipped=True))
    frontier = Frontier(quanta[1:], elsewhere=told)
    assert frontier.take() is quanta[1]
    assert not frontier.has_new_inputs(quanta[1]), "what it needs was found done"


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize(("root", "blocked_by"), [(None, 1), (0, 0)])
def test_a_failure_elsewhere_blocks(told: Elsewhere, first: bool, root: int | None, blocked_by: int) -> None:
    _, quanta = numbered(4, [(0, 1), (1, 2), (2, 3)])
    frontier = Frontier(quanta[2:], elsewhere=told)
    if not first:
        assert frontier.take() is None
    told.tell(Ended(1, unblocks=False, root=root))
    assert frontier.take() is None
    assert [(each.id, each.blocked_by) for each in frontier.blocked()] == [(2, blocked_by), (3, blocked_by)]
    assert frontier.exhausted


# Several models


@given(
    drawn=random_graphs(),
    owners=st.lists(st.integers(0, 2), min_size=4, max_size=4),
    bad=st.integers(2, 9),
    retries=st.integers(0, 1),
)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_the_end_is_that_of_one_model(
    drawn: tuple[dict, list], owners: list[int], bad: int, retries: int
) -> None:
    """The same quanta succeed, fail and are blocked, by the same failures, whoever runs them."""

    def decide(id: int) -> Status:
        return Status.FAILED if id % bad == 1 else Status.SKIPPED if id % bad == 0 else Status.SUCCEEDED

    policy = RetryPolicy(RetryRule(error_retries=retries))
    alone = execute(Serial(decide), enumerated(*drawn), print, retries=policy)
    models = [Serial(decide) for _ in range(3)]
    graph = enumerated(*drawn)
    routes = {
        label: models[owner] for label, owner in zip(graph.structure.labels, owners, strict=False) if owner
    }
    together = execute(RoutedExecutor(routes, models[0]), graph, print, retries=policy)
    assert {id: each.status for id, each in together.items()} == {id: e.status for id, e in alone.items()}
    for outcome in together.values():
        if outcome.status is Status.BLOCKED:
            assert outcome.blocked_by is not None
            assert together[outcome.blocked_by].status is Status.FAILED
    for label, model in routes.items():
        ids = {quantum.id for quantum in graph if quantum.label == label}
        for other in models:
            assert other is model or ids.isdisjoint(other.seen)


def test_each_model_has_a_thread_of_its_own() -> None:
    first, second = Serial(), Serial()
    execute(RoutedExecutor({"a": first}, second), enumerated({"a": 2, "b": 2}), print)
    assert len(first.threads | second.threads) == 2
    assert threading.current_thread() not in first.threads | second.threads


def test_a_failure_that_ends_one_ends_all() -> None:
    """`--fail-fast`: the other model waits for something that it will never be told of."""
    graph = enumerated({"a": 2, "b": 2}, [(1, 2), (1, 3)])
    fails = Serial(lambda id: Status.FAILED)
    outcomes = execute(RoutedExecutor({"b": Serial()}, fails), graph, print, fail_fast=True)
    counts = Counter(outcome.status for outcome in outcomes.values())
    assert counts[Status.FAILED] == 1
    assert counts[Status.SUCCEEDED] == 0


@pytest.mark.parametrize("stopping", [True, False])
def test_what_needs_a_cancelled_quantum_is_not_blocked_where_all_models_stop(stopping: bool) -> None:
    graph = enumerated({"a": 2, "b": 2}, [(0, 2), (1, 3)])
    board = Switchboard(graph, graph, [0, 1], 2)
    first, _ = board.stream(0)
    board.note(QuantumOutcome(first.id, Status.CANCELLED), stopping=stopping)
    assert len(list(board.stream(1))) == 2
    assert [ended.id for ended in board.inboxes[1].take()] == ([] if stopping else [first.id])
    assert (board.n_open(0), board.n_open(1)) == (1, 2)
    board.close()


class Broken(Serial):
    """Raises after its first outcome."""

    def execute(
        self, quanta: Iterable[QuantumData], context: ExecutionContext
    ) -> Generator[QuantumOutcome, None, None]:
        yield next(super().execute(quanta, context))
        raise PipetaskError("it is broken")


class Forgetful(Serial):
    """Returns although there is more to do."""

    def execute(
        self, quanta: Iterable[QuantumData], context: ExecutionContext
    ) -> Generator[QuantumOutcome, None, None]:
        stream = iter(quanta)
        next(stream)
        yield QuantumOutcome(next(stream).id, Status.SUCCEEDED)


@pytest.mark.parametrize(
    ("model", "message"), [(Broken, "it is broken"), (Forgetful, "has not said what became of 1 quanta")]
)
def test_an_error_of_one_model_ends_the_run_and_is_raised(model: type[Serial], message: str) -> None:
    graph = enumerated({"a": 2, "b": 50}, [(a, b) for a in (0, 1) for b in range(2, 52)])
    context = ExecutionContext(graph, CallSpec(print))
    got = []
    with pytest.raises(PipetaskError, match=message):
        got.extend(RoutedExecutor({"a": model()}, Serial()).execute(graph, context))
    context.stop.close()
    assert Counter(outcome.status for outcome in got)[Status.CANCELLED] >= 49, "the others are accounted for"


def test_abandoning_the_run_ends_the_threads() -> None:
    before, files = set(threading.enumerate()), len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    graph = enumerated({"a": 5000, "b": 5000})
    context = ExecutionContext(graph, CallSpec(print))
    outcomes = RoutedExecutor({"a": Serial()}, Serial()).execute(graph, context)
    next(outcomes)
    outcomes.close()
    context.stop.close()
    assert set(threading.enumerate()) <= before, "those of other tests may end meanwhile"
    assert len(os.listdir("/proc/self/fd")) <= files  # noqa: PTH208


def test_models_that_cannot_run_parts_are_refused() -> None:
    with pytest.raises(
        UsageError, match="--route a=InProcessExecutor: this execution model cannot run a part"
    ):
        RoutedExecutor({"a": InProcessExecutor()}, Serial())
    with pytest.raises(UsageError, match="cannot run a part"):
        RoutedExecutor({"a": Serial()}, InProcessExecutor("pdb"))


def test_unknown_labels_are_refused_and_subsets_are_labels() -> None:
    graph = enumerated({"isr": 2, "coadd": 2})
    context = ExecutionContext(graph, CallSpec(print), subsets=lambda: {"step1": {"isr", "elsewhere"}})
    with pytest.raises(
        UsageError, match="--route isrr=Serial: there is no label or subset 'isrr': did you mean"
    ):
        RoutedExecutor({"isrr": Serial()}, Serial()).check(context)
    one, other = Serial(), Serial()
    model = RoutedExecutor({"step1": one}, other)
    model.check(context)
    list(model.execute(graph, context))
    assert {graph.label(id) for id in one.seen} == {"isr"}
    context.stop.close()


def test_a_label_must_fit_only_where_it_runs() -> None:
    graph = enumerated({"small": 1, "large": 1})
    needs = {"small": {"cpus": 1}, "large": {"cpus": 8}}
    context = ExecutionContext(graph, CallSpec(print), resources=Resources(needs, {}))
    RoutedExecutor({"large": Serial()}, MultiprocessExecutor(2)).check(context)
    with pytest.raises(UsageError, match="A quantum of large needs 8 CPUs"):
        RoutedExecutor({"small": Serial()}, MultiprocessExecutor(2)).check(context)
    context.stop.close()


def test_an_engine_may_be_given_by_its_class_path() -> None:
    path = "pipetask.executors.futures.engines.local.Threads"
    (group,) = groups_of([f"a={path}"])
    model = with_routes(MultiprocessExecutor(1), "multiprocess", [f"a={path}"], lambda group: group())
    assert isinstance(model, RoutedExecutor)
    (route,) = model._routes
    assert group is FuturesOptions
    assert isinstance(route.model, FuturesExecutor)
    assert isinstance(route.model._engine, Threads)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (
            "pipetask.text.Nothing",
            "--route a=pipetask.text.Nothing: cannot be imported .*no attribute 'Nothing'",
        ),
        ("pipetask.errors.UsageError", "--route a=.*: .* is neither a QuantumExecutor nor a BatchSystem"),
        ("no_such_package.Engine", "--route a=no_such_package.Engine: cannot be imported .* PYTHONPATH"),
    ],
)
def test_a_class_path_that_is_no_model_is_refused_in_terms_of_its_route(name: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        list(groups_of([f"a={name}"]))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("globus-compute:mine", "name an endpoint by its ID"),
        ("threads:2", "it takes no argument"),
        ("example_engine.NiceProcesses:many", "invalid literal for int"),
        ("executorlib:no_such.executor", "it cannot be imported .*"),
    ],
)
def test_an_engine_that_cannot_be_made_is_refused_in_terms_of_its_route(name: str, words: str) -> None:
    with pytest.raises(UsageError, match=f"^--route a={name}: {words}"):
        with_routes(MultiprocessExecutor(1), "multiprocess", [f"a={name}"], lambda group: group())


# A limit that several models draw on


def test_a_model_that_looks_at_its_own_use_only_is_refused_where_others_draw_on_a_limit() -> None:
    graph = enumerated({"one": 1, "other": 1, "rest": 1})
    needs = {"one": {"cpus": 1, "db": 1}, "other": {"cpus": 1, "db": 1}, "rest": {"cpus": 1}}
    context = ExecutionContext(graph, CallSpec(print), resources=Resources(needs, {"db": 2}))
    RoutedExecutor({"rest": Serial()}, Serial()).check(context)
    message = (
        "--limit db: Serial does not look at what other execution models use of it, and .* Serial and Serial"
    )
    with pytest.raises(UsageError, match=message):
        RoutedExecutor({"one": Serial()}, Serial()).check(context)
    context.stop.close()


def test_models_count_together_what_they_need_of_a_limit() -> None:
    woken: list[int] = []
    ledger = Ledger(["db"], [partial(woken.append, number) for number in range(3)])
    one, other, _ = ledger.accounts
    one.set({"db": 2, "cpus": 8})
    other.set({"db": 1})
    assert (one.elsewhere("db"), other.elsewhere("db"), other.elsewhere("cpus")) == (1, 2, 0)
    assert woken == []
    one.set({"db": 1})
    assert woken == [1, 2], "they may start something now"
    one.set({})
    assert other.elsewhere("db") == 0


class Juggler(Serial):
    """Has up to three quanta in the air, as the bundler lets it; they end in any order."""

    traits = replace(Serial.traits, shared_limits=True)

    def __init__(self, seed: int, air: Air):
        super().__init__()
        self._random = random.Random(seed)
        self._air = air

    def execute(
        self, quanta: Iterable[QuantumData], context: ExecutionContext
    ) -> Generator[QuantumOutcome, None, None]:
        frontier = Frontier(quanta, context.retries, elsewhere=context.elsewhere)
        flying: dict[int, QuantumData] = {}
        bundler = bundler_for(
            context,
            frontier,
            BundlePolicy(most=1),
            3,
            lambda: [{id: each} for id, each in list(flying.items())],
        )
        while not frontier.exhausted:
            bundle, _ = bundler.next(3, idle=len(flying) < 3)
            for quantum in bundle:
                self._air.rises(context, quantum)
                flying[quantum.id] = quantum
            if bundle and self._random.random() < 0.5:
                continue
            if flying:
                quantum = flying.pop(self._random.choice(list(flying)))
                self._air.falls(context, quantum)
                ended = frontier.finish(QuantumOutcome(quantum.id, Status.SUCCEEDED, start=0.0, end=0.0))
                assert ended is not None
                yield ended
            elif not bundle and not frontier.exhausted:
                assert context.elsewhere is not None
                wait([context.elsewhere])  # type: ignore[list-item]
                context.elsewhere.acknowledge()
            yield from frontier.blocked()


class Air:
    """Counts what is in use at the same time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._used = 0
        self.most = 0

    def rises(self, context: ExecutionContext, quantum: QuantumData) -> None:
        self._add(context, quantum, 1)

    def falls(self, context: ExecutionContext, quantum: QuantumData) -> None:
        self._add(context, quantum, -1)

    def _add(self, context: ExecutionContext, quantum: QuantumData, sign: int) -> None:
        assert context.resources is not None
        with self._lock:
            self._used += sign * context.resources.needs[quantum.label]["db"]
            self.most = max(self.most, self._used)


@given(
    counts=st.lists(st.integers(1, 6), min_size=3, max_size=3),
    needs=st.lists(st.integers(0, 3), min_size=3, max_size=3),
    seed=st.integers(0, 2**32),
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_limit_is_never_exceeded_over_all_models(counts: list[int], needs: list[int], seed: int) -> None:
    labels = ("a", "b", "c")
    graph = enumerated(dict(zip(labels, counts, strict=True)), [(0, counts[0])])
    air = Air()
    resources = Resources(
        {label: {"cpus": 1, "db": n} for label, n in zip(labels, needs, strict=True)}, {"db": 3}
    )
    models = [Juggler(seed + number, air) for number in range(3)]
    model = RoutedExecutor({"a": models[0], "b": models[1]}, models[2])
    outcomes = execute(model, graph, print, resources=resources)
    assert {outcome.status for outcome in outcomes.values()} == {Status.SUCCEEDED}
    assert air.most <= 3


@pytest.mark.slow
def test_a_limit_holds_over_the_pool_and_an_engine(tmp_path: Path) -> None:
    graph, work = enumerated({"a": 12, "b": 12}), NotedWork(tmp_path, seconds=0.05)
    resources = Resources({label: {"cpus": 1, "db": 1} for label in "ab"}, {"db": 2})
    model = RoutedExecutor({"b": FuturesExecutor(Threads(3))}, MultiprocessExecutor(3))
    outcomes = execute(model, graph, work, resources=resources)
    assert {outcome.status for outcome in outcomes.values()} == {Status.SUCCEEDED}
    times = sorted(event for id in outcomes for event in ((work.began(id), 1), (work.ended(id) or 0.0, -1)))
    assert max(accumulate(sign for _, sign in times)) <= 2


# With processes


@pytest.mark.slow
class TestPoolAndThreads(ModelConformance):
    @pytest.fixture(params=["characterize", "a"])
    def model(self, request: pytest.FixtureRequest) -> QuantumExecutor:
        return RoutedExecutor({request.param: FuturesExecutor(Threads(2))}, MultiprocessExecutor(2))


class RepositorySpec(CallSpec):
    """Has a place to write to, by which an engine finds what an earlier attempt at a run has left."""

    @property
    def target(self) -> str | None:
        return "here"


@pytest.mark.slow
def test_engines_of_one_run_do_not_take_each_other_for_an_earlier_attempt(tmp_path: Path) -> None:
    graph, work = enumerated({"a": 3, "b": 3, "c": 3}, [(0, 3), (1, 4), (3, 6)]), NotedWork(tmp_path)
    models = [FuturesExecutor(Threads(1), folder=tmp_path / "engine") for _ in range(3)]
    model = RoutedExecutor({"b": models[0], "c": models[1]}, models[2])
    context = ExecutionContext(graph, RepositorySpec(work))
    model.check(context)
    outcomes = list(model.execute(graph, context))
    context.stop.close()
    model.settle()
    assert [outcome.status for outcome in outcomes] == 9 * [Status.SUCCEEDED]
    assert not list((tmp_path / "engine").iterdir())


@pytest.mark.slow
def test_a_timeout_and_a_failure_are_told_across_models(tmp_path: Path) -> None:
    """A quantum of the pool takes too long, and one of the engine that needs it is blocked."""
    graph = enumerated({"a": 3, "b": 3}, [(0, 3), (1, 4), (2, 5)])
    ids = {quantum.position: quantum.id for quantum in graph}
    work = NotedWork(tmp_path, {ids[0]: Misbehaviour.HANG_UNTIL_MENDED, ids[1]: Misbehaviour.FAIL})
    model = RoutedExecutor({"b": FuturesExecutor(Threads(1))}, MultiprocessExecutor(2))
    outcomes = execute(model, graph, work, timeout=8.0)
    statuses = [outcomes[ids[position]].status for position in range(6)]
    assert statuses[:3] == [Status.TIMED_OUT, Status.FAILED, Status.SUCCEEDED]
    assert statuses[3:] == [Status.BLOCKED, Status.BLOCKED, Status.SUCCEEDED]
    assert outcomes[ids[3]].blocked_by == ids[0]
