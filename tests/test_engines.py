"""Engines: what each of them can do, and what is made of one that loses, repeats, delays or refuses work."""

from __future__ import annotations

import os
import pickle
import random
import re
import resource
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import BrokenExecutor, CancelledError, Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines import ENGINES, MadeInTests, running_dask
from pipetask.errors import PipetaskError, UsageError
from pipetask.executors.base import ExecutionContext
from pipetask.executors.futures import FuturesExecutor
from pipetask.executors.futures.engine import Engine, _remedy, find_engine, names_mistake
from pipetask.executors.futures.engines.parsl import Parsl
from pipetask.executors.futures.far_side import (
    Answer,
    Order,
    _tickets,
    end_run,
    note_end,
    run_bundle,
    warm_up,
)
from pipetask.executors.futures.inquiry import Facts
from pipetask.executors.futures.lone_worker import Limits
from pipetask.executors.futures.losses import MOST_LOSSES
from pipetask.executors.futures.packages import Package
from pipetask.executors.futures.shared_folder import SharedFolder
from pipetask.executors.futures.warm_workers import WARM_WORKERS, Home
from pipetask.executors.in_process import InProcessExecutor
from pipetask.executors.resources import Resources
from pipetask.executors.stop import StopLevel
from pipetask.executors.stop_signals import FROM_TERMINALS
from pipetask.graph.enumeration import EnumeratedGraph
from pipetask.outcome import QuantumOutcome, Status
from pipetask.runner import Ticket
from pipetask.testing import CallSpec, enumerated
from pipetask.testing.plain_runs import wait_until
from toy_work import NotesDevices, Recorder, UnpicklableError

from brokers import need  # isort: skip
from conftest import TESTS  # isort: skip
from test_enumeration import random_graphs  # isort: skip

THREAD_OF_PARSL = re.compile(r"JobStatusPoller|Task-Launch|.*cleanup|HTEX|pipetask-parsl-end")
LAYERS = {"isr": 6, "characterize": 6, "gather": 2}
EDGES = [(i, i + 6) for i in range(6)] + [(i, 12 + (i - 6) // 3) for i in range(6, 12)]


def execute(
    engine: Engine, graph: EnumeratedGraph, work: Callable[[int], object], **options: Any
) -> dict[int, QuantumOutcome]:
    """Execute a graph as a run does: look around first.  Each quantum has one outcome."""
    context = ExecutionContext(graph, CallSpec(work), **options)
    model = FuturesExecutor(engine)
    model.check(context)
    outcomes = list(model.execute(graph, context))
    context.stop.close()
    assert sorted(outcome.id for outcome in outcomes) == list(range(len(graph.structure)))
    return {outcome.id: outcome for outcome in outcomes}


@pytest.fixture(autouse=True)
def _workers_find_these_modules(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let workers that do not inherit ``sys.path`` import what stands in for tasks."""
    monkeypatch.setenv("PYTHONPATH", str(TESTS), prepend=os.pathsep)


# The engines.


@pytest.fixture(params=[case.name for case in ENGINES.values() if case.launcher is list])
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    with ENGINES[request.param].started() as text:
        yield find_engine(text, 2)


@pytest.mark.slow
def test_an_engine_runs_a_graph_and_a_crash_costs_one_quantum(engine: Engine, tmp_path: Path) -> None:
    graph = enumerated(LAYERS, EDGES)
    ids = {quantum.position: quantum.id for quantum in graph}
    outcomes = execute(engine, graph, Recorder(tmp_path, bombs=((ids[0], "segfault"), (ids[1], "fail"))))
    assert outcomes[ids[0]].status is Status.KILLED
    assert outcomes[ids[0]].signal == signal.SIGSEGV
    assert "about to crash" in Path(outcomes[ids[0]].log or "").read_text(), "its log is kept"
    assert outcomes[ids[1]].status is Status.FAILED
    blocked = {id for id, outcome in outcomes.items() if outcome.status is Status.BLOCKED}
    assert blocked == {ids[6], ids[7], ids[12]}
    assert {outcome.status for outcome in outcomes.values()} == {
        Status.KILLED,
        Status.FAILED,
        Status.BLOCKED,
        Status.SUCCEEDED,
    }


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["processes", "loky", "dask", "parsl", "celery", "ipyparallel", "executorlib"]
)
def test_a_worker_of_the_engine_that_is_killed_costs_nothing(name: str, tmp_path: Path) -> None:
    work = Recorder(tmp_path, bombs=((5, "kill_driver_once"),))
    with ENGINES[name].started() as text:
        outcomes = execute(find_engine(text, 2), enumerated({"a": 12}), work)
    assert {outcome.status for outcome in outcomes.values()} == {Status.SUCCEEDED}
    assert work.attempts(5) == 2, "what is tested must have happened"


def stages_of_death(engine: Engine, victim: int | None, tmp_path: Path) -> dict[int, QuantumOutcome]:
    """Execute a graph of which quantum 5 kills what the engine cannot do without; each quantum has one outcome."""
    graph = enumerated({"a": 20})
    context = ExecutionContext(graph, CallSpec(Recorder(tmp_path, bombs=((5, "kill_victim"),))))
    model = FuturesExecutor(engine)
    model.check(context)
    if isinstance(engine, Parsl):
        (executor,) = (
            each for each in engine._kernel.executors.values() if hasattr(each, "interchange_proc")
        )
        victim = executor.interchange_proc.pid
    (tmp_path / "victim").write_text(str(victim))
    outcomes: list[QuantumOutcome] = []
    reason = ""
    try:
        outcomes.extend(_noted(model.execute(graph, context), outcomes))
    except PipetaskError as error:
        reason = str(error)
    if reason:
        assert re.match(r"The engine (is gone|takes no more work): .* (lost|has ended)\.$", reason)
    else:  # a worker may get to the end of what it has before it notices, and that counts
        assert {outcome.status for outcome in outcomes} == {Status.SUCCEEDED}
    context.stop.close()
    assert sorted(outcome.id for outcome in outcomes) == list(range(20))
    return {outcome.id: outcome for outcome in outcomes}


def _noted(found: Iterable[QuantumOutcome], noted: list[QuantumOutcome]) -> Iterator[QuantumOutcome]:
    for outcome in found:
        noted.append(outcome)
        yield from ()


def none_is_left(folder: Path) -> None:
    """Wait until all processes that have run quanta are gone."""
    pids = {int(line.split()[0]) for path in folder.glob("*.start") for line in path.read_text().splitlines()}
    wait_until(lambda: not any(map(psutil.pid_exists, pids)), "none of them is left", 200)


@pytest.mark.slow
def test_a_scheduler_of_dask_that_is_killed_ends_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipetask.executors.futures.engines.dask.CONNECTING", 15.0)
    with running_dask(tmp_path) as (address, pid):
        outcomes = stages_of_death(find_engine(f"dask:{address}", 2), pid, tmp_path)
        none_is_left(tmp_path)
    assert {outcomes[id].status for id in range(5)} == {Status.SUCCEEDED}
    assert {outcome.status for outcome in outcomes.values()} <= {Status.SUCCEEDED, Status.CANCELLED}


@pytest.mark.slow
def test_quanta_run_on_those_workers_of_dask_that_have_what_they_need(tmp_path: Path) -> None:
    graph = enumerated({"a": 6, "b": 6})
    work = Recorder(tmp_path, bombs=tuple((id, "fail_without_gpu") for id in range(6, 12)))

    def needing(gpus: int, **limits: int) -> ExecutionContext:
        resources = Resources({"a": {"cpus": 1}, "b": {"cpus": 1, "gpus": gpus}}, limits)
        return ExecutionContext(graph, CallSpec(work), resources=resources)

    with running_dask(tmp_path, gpus=1) as (address, _):
        engine = find_engine(f"dask:{address}", 2)
        engine.submit(abs, -1).result()
        wait_until(lambda: len(engine.inventory()) == 2, "the other worker has come, too")
        assert sorted(map(dict, engine.inventory()), key=len) == [{}, {"gpus": 1}]
        assert engine.missing() is None
        model = FuturesExecutor(engine)
        context = needing(2)
        with pytest.raises(
            UsageError, match=r"A quantum of b needs 2 GPUs, and no worker of the engine has .*gpus=N"
        ):
            model.check(context)
        context.stop.close()
        context = needing(1)
        model = FuturesExecutor(find_engine(f"dask:{address}", 2))
        model.check(context)
        outcomes = list(model.execute(graph, context))
        context.stop.close()
    assert [outcome.status for outcome in outcomes] == [Status.SUCCEEDED] * 12


@pytest.mark.slow
def test_a_worker_of_dask_on_this_machine_goes_on_after_an_interrupt() -> None:
    engine = find_engine("dask", 1)
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, FROM_TERMINALS)  # as in the thread that starts an engine
    try:
        worker = engine.submit(os.getpid).result(120)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for _ in range(3):  # a terminal sends it to all processes of a command
            engine.submit(os.kill, worker, signal.SIGINT).result(120)
            assert engine.submit(os.getpid).result(120) == worker
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        engine.close()


@pytest.mark.slow
def test_an_interchange_of_parsl_that_is_killed_ends_the_run(tmp_path: Path) -> None:
    before = set(threading.enumerate())
    outcomes = stages_of_death(find_engine("parsl", 1), None, tmp_path)
    none_is_left(tmp_path)
    wait_until(
        lambda: not any(THREAD_OF_PARSL.match(each.name) for each in set(threading.enumerate()) - before),
        "no thread of Parsl is left",
        200,
    )
    assert {outcomes[id].status for id in range(5)} == {Status.SUCCEEDED}
    assert {outcome.status for outcome in outcomes.values()} <= {Status.SUCCEEDED, Status.CANCELLED}


@pytest.mark.slow
def test_a_full_shared_folder_costs_the_record_only(tmp_path: Path) -> None:
    graph = enumerated({"a": 12})
    work = Recorder(tmp_path, bombs=((5, "kill_driver_once"),))
    context = ExecutionContext(graph, CallSpec(work))
    model = FuturesExecutor(find_engine("processes", 2))
    model.check(context)
    assert model._folder is not None
    for number in range(1, 40):  # none can be made
        (model._folder.path / f"bundle-{number}.outcomes").symlink_to(tmp_path / "gone" / "file")
    outcomes = {outcome.id: outcome for outcome in model.execute(graph, context)}
    context.stop.close()
    assert {id: outcome.status for id, outcome in outcomes.items()} == dict.fromkeys(
        range(12), Status.SUCCEEDED
    )
    assert work.attempts(5) == 2, "what is tested must have happened"


def test_a_disk_that_gets_full_in_the_middle_of_an_outcome_leaves_those_before(tmp_path: Path) -> None:
    folder = SharedFolder.make(tmp_path)
    outcomes = [QuantumOutcome(id, Status.SUCCEEDED) for id in range(10)]
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with folder.recording(1) as writer:
        head = folder.bundle(1).stat().st_size
        writer.note(outcomes[0])
        with_one = folder.bundle(1).stat().st_size
        size = with_one - head
        resource.setrlimit(resource.RLIMIT_FSIZE, (with_one + size + size // 2, hard))
        try:
            writer.note(outcomes[1])
            writer.note(outcomes[2])
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        writer.note(outcomes[3])
    assert folder.bundle(1).stat().st_size == with_one + size + size // 2
    assert folder.recorded(1) == outcomes[:2]
    assert not folder.runs(1), "that it has ended can be told without room for it"
    assert writer.fault == "No space left on device"


@pytest.mark.slow
@pytest.mark.parametrize("sign", ["message", "folder"])
def test_idle_workers_notice_the_end_of_their_run(tmp_path: Path, sign: str) -> None:
    folder = SharedFolder.make(tmp_path / "shared")
    work = pickle.dumps(CallSpec(Recorder(tmp_path)))
    order = Order("a run", 1, work, (Ticket(0, bytes(16)),), Limits(None, 5.0), folder, {})
    answer = run_bundle(order)
    assert QuantumOutcome.from_wire(answer.outcomes[0]).status is Status.SUCCEEDED
    assert "a run" not in WARM_WORKERS._over
    if sign == "message":
        note_end("a run")
    else:
        folder.remove()
    none_is_left(tmp_path)  # long before they would end for want of work
    WARM_WORKERS._over.clear()
    assert not answer.failure


@pytest.mark.slow
def test_a_bundle_sees_the_devices_that_its_engine_has_given_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ray says for each function which GPUs it may use, and a worker that is warm has those of an earlier one."""
    work = pickle.dumps(CallSpec(NotesDevices(tmp_path)))
    for id, device in enumerate(("0", "1", "1", "0")):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", device)
        run_bundle(Order("a run", id, work, (Ticket(id, bytes(16)),), Limits(None, 5.0), None, {}))
    end_run("a run")
    WARM_WORKERS._over.clear()
    assert [(tmp_path / str(id)).read_text() for id in range(4)] == ["0", "1", "1", "0"]
    none_is_left(tmp_path)


@pytest.mark.slow
def test_what_was_started_for_a_run_without_bundles_ends_with_it(tmp_path: Path) -> None:
    folder = SharedFolder.make(tmp_path / "shared")
    before = {each.pid for each in psutil.Process().children(recursive=True)}
    warm_up("short run", {}, folder=folder)
    started = {each.pid for each in psutil.Process().children(recursive=True)} - before
    assert started
    folder.remove()
    wait_until(
        lambda: Home("short run", {}).key not in WARM_WORKERS._runs, "it is seen that the folder is gone"
    )
    assert not WARM_WORKERS.is_over("short run"), "it may go on without the folder"
    wait_until(
        lambda: not started & {each.pid for each in psutil.Process().children(recursive=True)},
        "what was started has ended",
    )
    warm_up("short run", {}, folder=folder)
    assert Home("short run", {}).key not in WARM_WORKERS._runs, "it would not notice the end"


@pytest.mark.slow
def test_a_timeout_kills_one_quantum(tmp_path: Path) -> None:
    work = Recorder(tmp_path, bombs=((2, "hang_in_children"),))
    outcomes = execute(find_engine("threads", 2), enumerated({"a": 6}), work, timeout=6.0)
    assert outcomes.pop(2).status is Status.TIMED_OUT, "it may not tell that its children were killed"
    assert {outcome.status for outcome in outcomes.values()} == {Status.SUCCEEDED}


@pytest.mark.slow
@pytest.mark.parametrize("level", [StopLevel.STOP, StopLevel.KILL])
def test_a_stop_ends_what_runs(tmp_path: Path, level: StopLevel) -> None:
    graph = enumerated({"a": 30})
    context = ExecutionContext(
        graph, CallSpec(Recorder(tmp_path, bombs=tuple((i, "hang") for i in range(30))))
    )
    model = FuturesExecutor(find_engine("threads", 2))
    model.check(context)

    def stop_when_it_runs() -> None:
        wait_until(lambda: bool(list(tmp_path.glob("*.start"))), "one has begun")
        context.stop.ask("enough", level)

    asker = threading.Thread(target=stop_when_it_runs)
    asker.start()
    outcomes = list(model.execute(graph, context))
    asker.join()
    context.stop.close()
    assert [outcome.status for outcome in outcomes] == [Status.CANCELLED] * 30


# A cruel engine, which has neither threads nor processes: it calls functions when and as often as it likes.


class CruelEngine(MadeInTests):
    """Loses, repeats, delays and reorders what it is given; the far side is simulated, too."""

    reruns = True

    def __init__(self, seed: int, failing: frozenset[int], losses: float):
        self.random = random.Random(seed)
        self._losses = losses
        self._failing = failing
        self._waiting: list[tuple[Order, Future[Answer]]] = []
        self._lock = threading.Lock()
        self.ran: list[int] = []
        self.sizes: list[float] = []
        """Of each order, as a part of what it may have."""

    @property
    def slots(self) -> int:
        return self.random.randint(0, 3)  # a cluster may have no workers yet

    def submit(self, function: Callable[..., Any], /, *arguments: Any) -> Future[Any]:
        if self.random.random() < self._losses / 4:
            raise BrokenExecutor("no more")
        future: Future[Any] = Future()
        (order,) = arguments
        self.sizes.append(len(pickle.dumps(order)) / (2000 + 100 * len(order.tickets)))
        self._waiting.append((order, future))
        self.random.shuffle(self._waiting)
        threading.Thread(target=self._end_one).start()
        return future

    def _end_one(self) -> None:
        with self._lock:
            order, future = self._waiting.pop()
            outcomes: list[QuantumOutcome] = []
            loses = self.random.random() < self._losses
            dies_after = self.random.randint(0, len(order.tickets)) if loses else len(order.tickets)
            for ticket in order.tickets[:dies_after]:
                self.ran.append(ticket.id)
                status = Status.FAILED if ticket.id in self._failing else Status.SUCCEEDED
                outcomes.append(QuantumOutcome(ticket.id, status))
            if order.folder is not None:
                with order.folder.recording(order.number) as writer:
                    for outcome in outcomes:
                        writer.note(outcome)
            if self.random.random() < 0.3:
                outcomes *= 2
            if loses:
                self._lose(future)
            else:
                future.set_result(Answer(tuple(outcome.to_wire() for outcome in outcomes)))

    def _lose(self, future: Future[Answer]) -> None:
        """Say so as engines do: by an exception of theirs, by one that has no text, or by a cancellation."""
        match self.random.choice(["exception", "no text", "cancelled", "cancellation as exception"]):
            case "exception":
                future.set_exception(OSError("the worker is gone"))
            case "no text":
                future.set_exception(UnpicklableError(self._lock))
            case "cancelled":
                future.cancel()
                future.set_running_or_notify_cancel()
            case _:
                future.set_exception(CancelledError())


@settings(max_examples=40, deadline=None)
@given(
    shape=random_graphs(),
    seed=st.integers(0, 2**32),
    shared=st.booleans(),
    failing=st.sets(st.integers(0, 20)),
)
def test_a_cruel_engine_changes_no_outcome(
    shape: tuple[dict[str, int], list[tuple[int, int]]], seed: int, shared: bool, failing: set[int]
) -> None:
    graph = enumerated(*shape)
    # It loses a third, so that a few are lost as often as is allowed.
    engine = CruelEngine(seed, frozenset(failing), losses=0.3)
    context = ExecutionContext(graph, CallSpec(print))
    model = FuturesExecutor(engine)
    if shared:
        model._folder = model._new_folder()
    outcomes = {outcome.id: outcome for outcome in model.execute(graph, context)}
    context.stop.close()
    lost = {id for id, outcome in outcomes.items() if "lost it" in (outcome.reason or "")}
    assert set(outcomes) == {quantum.id for quantum in graph}
    assert max(engine.sizes, default=0) < 1, "what travels is small, whatever the size of the graph"
    reference = ExecutionContext(graph, CallSpec(Failing(frozenset(failing))))
    expected = {o.id: o.status for o in InProcessExecutor().execute(graph, reference)}
    reference.stop.close()
    untouched = {id: o.status for id, o in outcomes.items() if not lost & {id, o.blocked_by}}
    assert untouched == {id: expected[id] for id in untouched}
    assert len(outcomes) - len(untouched) >= len(lost)


class Failing:
    """Fails for some quanta."""

    def __init__(self, failing: frozenset[int]):
        self._failing = failing

    def __call__(self, id: int) -> None:
        if id in self._failing:
            raise ValueError("it is to fail")


def test_quanta_look_what_is_there_where_their_bundle_may_have_been_begun_before(tmp_path: Path) -> None:
    folder = SharedFolder.make(tmp_path / "shared")
    order = Order("a run", 1, b"", (Ticket(0, bytes(16)),), Limits(None, 5.0), folder, {})
    with folder.recording(1) as writer:
        assert _tickets(order, writer) == order.tickets
    folder.bundle(2).symlink_to(tmp_path / "gone" / "file")  # it cannot be made
    with folder.recording(2) as writer:
        assert [ticket.attempt for ticket in _tickets(order, writer)] == [2]


# What is no loss.


class FailingEngine(MadeInTests):
    """Fails with one exception, from the start or when it has run something."""

    def __init__(self, error: Exception, *, at_once: bool):
        self._error = error
        self._at_once = at_once
        self.n_submitted = 0

    def submit(self, function: Callable[..., Any], /, *arguments: Any) -> Future[Any]:
        if function is not run_bundle:
            return Future()
        self.n_submitted += 1
        if self._at_once:
            raise self._error
        (order,) = arguments
        with order.folder.recording(order.number) as writer:
            writer.note(QuantumOutcome(order.tickets[0].id, Status.SUCCEEDED))
        future: Future[Any] = Future()
        future.set_exception(self._error)
        return future


class LosingEngine(FailingEngine):
    """Loses all that it is given before anything of it has begun."""

    def __init__(self, error: Exception):
        super().__init__(error, at_once=False)

    def submit(self, function: Callable[..., Any], /, *arguments: Any) -> Future[Any]:
        future: Future[Any] = Future()
        if function is run_bundle:
            self.n_submitted += 1
            future.set_exception(self._error)
        return future


@pytest.mark.parametrize("at_once", [True, False], ids=["at once", "later"])
@pytest.mark.parametrize(
    "error",
    [
        TypeError("cannot pickle it"),
        pickle.PicklingError("cannot pickle it"),
        ModuleNotFoundError("cannot find it"),
        PipetaskError("cannot do it"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_mistake_ends_the_run_at_once(error: Exception, at_once: bool) -> None:
    """It is told with its own words, what had ended by then counts, and nothing is tried again."""
    engine, graph = FailingEngine(error, at_once=at_once), enumerated({"a": 20})
    context = ExecutionContext(graph, CallSpec(print))
    outcomes: list[QuantumOutcome] = []
    with pytest.raises(PipetaskError, match=rf"^The engine cannot run what it is given: .*{error}"):
        outcomes.extend(_noted(FuturesExecutor(engine).execute(graph, context), outcomes))
    context.stop.close()
    assert engine.n_submitted <= 2 * engine.slots
    assert sorted(outcome.id for outcome in outcomes) == list(range(20))
    by_status = Counter(outcome.status for outcome in outcomes)
    n_ended = 0 if at_once else engine.n_submitted
    assert by_status == Counter({Status.CANCELLED: 20 - n_ended, Status.SUCCEEDED: n_ended})


@pytest.mark.parametrize(
    "error",
    [OSError("the worker is gone"), BrokenExecutor("the worker is gone"), EOFError("the worker is gone")],
)
def test_what_is_lost_is_tried_again_and_then_told_in_the_engines_words(error: Exception) -> None:
    engine, graph = LosingEngine(error), enumerated({"a": 2})
    context = ExecutionContext(graph, CallSpec(print))
    outcomes = list(FuturesExecutor(engine).execute(graph, context))
    context.stop.close()
    assert [outcome.status for outcome in outcomes] == [Status.KILLED] * 2
    assert engine.n_submitted == 2 * MOST_LOSSES
    assert all(
        f"the engine has lost it 3 times: {type(error).__name__}: the worker is gone"
        in (outcome.reason or "")
        for outcome in outcomes
    )


def test_exceptions_of_which_only_the_name_is_known() -> None:
    names = ("TypeError", "builtins.KeyError", "pickle.PicklingError", "_pickle.UnpicklingError")
    assert all(map(names_mistake, names))
    assert not any(map(names_mistake, ("OSError", "distributed.KilledWorker", "print", "", "RuntimeError")))


# The end of an engine.


class SlowToEnd(MadeInTests):
    """Takes as long to end as it is let."""

    def __init__(self) -> None:
        self.may_end = threading.Event()
        self.ended = False

    def submit(self, function: Callable[..., Any], /, *arguments: Any) -> Future[Any]:
        raise BrokenExecutor("nothing is to be started")

    def close(self) -> None:
        self.may_end.wait()
        self.ended = True
        raise OSError("it is gone already")


def test_the_end_of_a_run_does_not_wait_for_that_of_the_engine(caplog: pytest.LogCaptureFixture) -> None:
    engine, graph = SlowToEnd(), enumerated({})
    model, context = FuturesExecutor(engine), ExecutionContext(graph, CallSpec(print))
    assert list(model.execute(graph, context)) == []
    context.stop.close()
    assert not engine.ended
    engine.may_end.set()
    model.settle()
    assert engine.ended
    assert "The engine has not ended as it should: OSError: it is gone already" in caplog.text


# What is refused before anything is touched.


class ElsewhereEngine(MadeInTests):
    """A worker that differs from this process: what it sees is changed on the way back."""

    def __init__(self, **changes: Any):
        self._changes = changes

    def submit(self, function: Callable[..., Any], /, *arguments: Any) -> Future[Any]:
        future: Future[Any] = Future()
        answer = function(*arguments)
        future.set_result(replace(answer, **self._changes) if isinstance(answer, Facts) else answer)
        return future


class FileSpec(CallSpec):
    """Needs a file."""

    @property
    def files(self) -> dict[str, str]:
        return {"graph.qg": __file__}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"python": ""}, "have no Python, and this is Python 3"),
        (
            {"packages": {"lsst.pipe.base": Package("1.0")}},
            r"have lsst\.pipe\.base 1\.0, and this is lsst\.pipe\.base",
        ),
        ({"files": {__file__: None}}, "cannot read"),
        ({"files": {__file__: (1, 1)}}, "see another file as"),
        ({"runner_error": "no module"}, "cannot read what runs a quantum: no module"),
    ],
)
def test_a_worker_that_differs_is_refused(changes: dict[str, Any], words: str) -> None:
    graph = enumerated({"a": 1})
    context = ExecutionContext(graph, FileSpec(print))
    with pytest.raises(PipetaskError, match=words):
        FuturesExecutor(ElsewhereEngine(**changes)).check(context)
    context.stop.close()


@pytest.mark.slow
def test_workers_that_do_not_see_the_folder_are_told_of_once(caplog: pytest.LogCaptureFixture) -> None:
    context = ExecutionContext(enumerated({"a": 1}), FileSpec(print))
    model = FuturesExecutor(ElsewhereEngine(sees_folder=False))
    model.check(context)
    context.stop.close()
    assert model._folder is None
    (message,) = caplog.messages
    assert "--engine-folder" in message


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("daks", "there is no such engine.*dask"),
        ("threads:4", "it takes no argument"),
        ("parsl:config", "package.module.name"),
        ("dask:", "engine dask:: there is nothing behind the colon"),
        ("dask:head", "engine dask:head: missing port number in address 'head'"),
        ("example_engine.NiceProcesses:many", "NiceProcesses:many: invalid literal .*'many'"),
        ("pipetask.Engine", "its method make has returned NoneType"),
        (
            "no_such_module.Engine",
            "cannot be imported .*: install its package, or put the folder .* PYTHONPATH",
        ),
        ("pipetask.errors:Engine", "has no attribute 'make': write .* package.module.Class:ARGUMENT"),
        (
            "pipetask.no_such_module.Engine:x",
            r"cannot be imported \(No module named 'pipetask.no_such_module'\)\.",
        ),
    ],
)
def test_an_engine_that_cannot_be_made_is_refused(text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        find_engine(text, 2)


def test_the_module_that_is_missing_is_the_one_to_bring() -> None:
    own, engines = (ModuleNotFoundError(name, name=name) for name in ("my_site", "parsl"))
    assert "PYTHONPATH" in _remedy("parsl", "my_site.slurm", own)
    assert _remedy("parsl", "my_site.slurm", engines) == ": pip install 'pipetask[parsl]'"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "parsl:os.getcwd",
            "os.getcwd is or returns an object of type str: name a parsl.Config, or what returns one",
        ),
        (
            "executorlib:os.sep",
            "os.sep is or returns an object of type str: name an executor, or what returns one",
        ),
    ],
)
def test_an_object_of_the_users_that_is_something_else_is_refused(text: str, words: str) -> None:
    need(text.partition(":")[0])
    engine = find_engine(text, 2)
    with pytest.raises(UsageError, match=f"^{words}"):
        engine.submit(len, "")
    engine.close()


def test_what_is_no_engine_is_refused() -> None:
    with pytest.raises(UsageError, match="engine='loky' has no method submit: give an Engine or an executor"):
        FuturesExecutor("loky")  # type: ignore[arg-type]


class UnreachableEngine(MadeInTests):
    """Takes its time to find that it cannot be reached."""

    def __init__(self, error: Exception | None = None) -> None:
        self.given_up = threading.Event()
        self.n_tries = 0
        self.error = error or OSError("there is no such host")

    @property
    def slots(self) -> int:
        self.n_tries += 1
        assert self.given_up.wait(60), "a stop has waited for the engine"
        raise self.error

    def submit(self, function: Callable[..., Any], /, *arguments: Any) -> Future[Any]:
        self.n_tries += 1
        raise self.error


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError("there is no such host"), r"OSError: there is no such host .*\. Check the address"),
        (ModuleNotFoundError("None", name="pipetask"), r"ModuleNotFoundError: .*\. Install pipetask where"),
        (PipetaskError("it is full."), "^it is full.$"),
    ],
)
def test_an_engine_that_cannot_be_reached_is_tried_once(error: Exception, words: str) -> None:
    engine, graph = UnreachableEngine(error), enumerated({"a": 2})
    engine.given_up.set()
    context = ExecutionContext(graph, CallSpec(print))
    with pytest.raises(PipetaskError, match=words):
        FuturesExecutor(engine).check(context)
    context.stop.close()
    assert engine.n_tries == 1


class SilentEngine(MadeInTests):
    """Takes everything, and answers nothing."""

    def __init__(self, missing: str | Exception | None) -> None:
        self._missing = missing

    def submit(self, function: Callable[..., Any], /, *arguments: Any) -> Future[Any]:
        return Future()

    def missing(self) -> str | None:
        if isinstance(self._missing, Exception):
            raise self._missing
        return self._missing


@pytest.mark.parametrize(
    ("missing", "is_here", "told", "refused"),
    [
        (
            "there is no worker: start one",
            False,
            "There is no worker: start one. Waiting",
            "There is no .* one.$",
        ),
        (
            "there is no worker: start one",
            True,
            "There is no worker: start one. Waiting",
            "There is no .* one.$",
        ),
        (None, False, "No worker of the engine has answered yet. Waiting", "Check the address"),
        (OSError("not now"), False, "No worker of the engine has answered yet. Waiting", "Check the address"),
        (None, True, None, "Check the address"),
    ],
)
def test_what_is_waited_for_is_told_once_before_the_run_is_refused(
    missing: str | Exception | None,
    is_here: bool,
    told: str | None,
    refused: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr("pipetask.executors.futures.executor.PROMPTNESS", 0.02)
    monkeypatch.setattr("pipetask.executors.futures.patience.TELLING", 0.0)
    monkeypatch.setattr("pipetask.executors.futures.patience.STILLNESS", 0.0)
    monkeypatch.setattr("pipetask.executors.futures.patience.LIMIT", 0.3)
    engine = SilentEngine(missing)
    engine.is_here = is_here
    context = ExecutionContext(enumerated({"a": 1}), CallSpec(print))
    with pytest.raises(PipetaskError, match=f"^No worker of the engine has answered in .* {refused}"):
        FuturesExecutor(engine).check(context)
    context.stop.close()
    assert [message.partition(" for one")[0] for message in caplog.messages] == ([told] if told else [])


def test_a_stop_does_not_wait_for_an_engine_that_does_not_start() -> None:
    engine, graph = UnreachableEngine(), enumerated({"a": 2})
    context, model = ExecutionContext(graph, CallSpec(print)), FuturesExecutor(engine)
    context.stop.ask("enough")
    model.check(context)
    assert [outcome.status for outcome in model.execute(graph, context)] == 2 * [Status.CANCELLED]
    engine.given_up.set()
    model.settle()
    context.stop.close()


@pytest.mark.slow
def test_an_executor_of_the_callers_is_not_shut_down(tmp_path: Path) -> None:
    graph = enumerated({"a": 3})
    with ThreadPoolExecutor(2) as executor:
        context = ExecutionContext(graph, CallSpec(Recorder(tmp_path)))
        outcomes = list(FuturesExecutor(executor).execute(graph, context))
        context.stop.close()
        assert executor.submit(int, "7").result() == 7
    assert {outcome.status for outcome in outcomes} == {Status.SUCCEEDED}
