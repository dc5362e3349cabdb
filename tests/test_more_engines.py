"""What is special about Celery, ipyparallel and Globus Compute; and Ray, which is too large for CI.

The other tests of engines run on Celery, ipyparallel and executorlib, too.
"""

from __future__ import annotations

import importlib.util
import sys
import time
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import ExitStack
from inspect import Signature, signature
from pathlib import Path
from typing import Any, ClassVar

import pytest

from brokers import need, running_celery, running_redis
from pipetask.errors import PipetaskError, UsageError
from pipetask.executors.base import ExecutionContext
from pipetask.executors.futures import FuturesExecutor
from pipetask.executors.futures.engine import BUILT_IN, find_engine
from pipetask.outcome import Status
from pipetask.testing import CallSpec, enumerated
from toy_work import Recorder

from conftest import TESTS  # isort: skip
from test_engines import EDGES, LAYERS, execute, none_is_left, stages_of_death  # isort: skip

COURIER = "pipetask.executors.futures.engines.celery_courier"


@pytest.fixture(autouse=True)
def _workers_find_these_modules(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(TESTS), prepend=":")


@pytest.mark.slow
@pytest.mark.ray
def test_ray_runs_a_graph_and_deaths_cost_what_they_must(tmp_path: Path) -> None:
    """A worker of ours crashes, and one of the engine's is killed."""
    if importlib.util.find_spec("ray") is None:
        pytest.skip("RAY IS NOT TESTED: make test-ray.")
    graph = enumerated(LAYERS, EDGES)
    ids = {quantum.position: quantum.id for quantum in graph}
    work = Recorder(tmp_path, bombs=((ids[0], "segfault"), (ids[1], "fail"), (ids[4], "kill_driver_once")))
    outcomes = execute(find_engine("ray", 2), graph, work)
    status = {position: outcomes[id].status for position, id in ids.items()}
    blocked = dict.fromkeys((6, 7, 12), Status.BLOCKED)
    expected = {0: Status.KILLED, 1: Status.FAILED, **blocked}
    assert status == {**dict.fromkeys(status, Status.SUCCEEDED), **expected}
    assert work.attempts(ids[4]) == 2, "what is tested must have happened"
    none_is_left(tmp_path)


# Celery.


@pytest.mark.slow
def test_a_worker_of_celery_that_is_killed_with_all_its_processes_costs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither broker nor Celery says that it is gone, and what it had is given to no other."""
    need("celery")
    monkeypatch.setattr(f"{COURIER}.LOOK", 0.5)
    work = Recorder(tmp_path, bombs=((5, "kill_victim_once"),))
    with running_redis() as (url, _), ExitStack() as stack:
        pids = [
            stack.enter_context(running_celery(url, tmp_path / f"worker{number}.log", 1)) for number in (1, 2)
        ]
        (tmp_path / "victims").write_text(" ".join(map(str, pids)))
        outcomes = execute(find_engine(f"celery:{url}", 2), enumerated({"a": 30}), work)
    assert {outcome.status for outcome in outcomes.values()} == {Status.SUCCEEDED}
    assert work.attempts(5) == 2, "what is tested must have happened"


@pytest.mark.slow
def test_a_broker_that_is_killed_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    need("celery")
    monkeypatch.setattr(f"{COURIER}.CONNECTING", 2.0)
    with running_redis() as (url, pid), running_celery(url, tmp_path / "worker.log", 1):
        outcomes = stages_of_death(find_engine(f"celery:{url}", 1), pid, tmp_path)
        none_is_left(tmp_path)
    assert {outcomes[id].status for id in range(5)} == {Status.SUCCEEDED}
    assert {outcome.status for outcome in outcomes.values()} <= {Status.SUCCEEDED, Status.CANCELLED}


@pytest.mark.slow
def test_what_no_worker_has_begun_is_taken_back(tmp_path: Path) -> None:
    need("celery")
    with running_redis() as (url, _), running_celery(url, tmp_path / "worker.log", 1):
        engine = find_engine(f"celery:{url}", 1)
        try:
            gate = tmp_path / "gate"
            begun = engine.submit(wait_for, gate)
            while not gate.with_name("begun").exists():
                time.sleep(0.02)
            waiting = engine.submit(int, "7")
            while waiting.id not in engine._courier._sent:
                time.sleep(0.02)
            for future in (begun, waiting):
                assert not future.cancel(), "it is asked for, and not done yet"
            while waiting.id not in str(engine._app.control.inspect().revoked()):
                time.sleep(0.02)
            gate.touch()
            assert begun.result(60) == "waited"
            with pytest.raises(CancelledError):
                waiting.result(60)
            assert waiting.cancelled()
            assert engine.slots == 1
        finally:
            engine.close()


def wait_for(path: Path) -> str:
    path.with_name("begun").touch()
    while not path.exists():
        time.sleep(0.02)
    return "waited"


def test_a_broker_that_is_not_there_is_told_at_once(tmp_path: Path) -> None:
    need("celery")
    graph = enumerated({"a": 1})
    context = ExecutionContext(graph, CallSpec(print))
    with pytest.raises(PipetaskError, match=r"^The engine cannot run a function: OperationalError: "):
        FuturesExecutor(find_engine(f"celery:redis+socket://{tmp_path}/none", 1)).check(context)
    context.stop.close()


def test_a_broker_that_keeps_no_results_needs_something_that_does(monkeypatch: pytest.MonkeyPatch) -> None:
    need("celery")
    monkeypatch.delenv("CELERY_RESULT_BACKEND", raising=False)
    with pytest.raises(
        UsageError, match="amqp://host// keeps no results: name what does in CELERY_RESULT_BACKEND"
    ):
        find_engine("celery:amqp://host//", 1)


# ipyparallel.


@pytest.mark.slow
def test_a_controller_of_ipyparallel_that_is_killed_ends_the_run(tmp_path: Path) -> None:
    need("ipyparallel")
    engine = find_engine("ipyparallel", 1)
    assert engine.slots == 1
    outcomes = stages_of_death(engine, engine._cluster.controller.pid, tmp_path)
    none_is_left(tmp_path)
    assert {outcomes[id].status for id in range(5)} == {Status.SUCCEEDED}
    assert {outcome.status for outcome in outcomes.values()} <= {Status.SUCCEEDED, Status.CANCELLED}


# The engine of the guide.


@pytest.mark.slow
def test_the_engine_that_the_guide_shows(tmp_path: Path) -> None:
    work = Recorder(tmp_path, bombs=((5, "kill_driver_once"),))
    engine = find_engine("example_engine.FreshProcesses:3", 2)
    outcomes = execute(engine, enumerated({"a": 12}), work)
    assert {outcome.status for outcome in outcomes.values()} == {Status.SUCCEEDED}
    assert work.attempts(5) == 2, "what is tested must have happened"


# Globus Compute: no service can be reached, so something stands in for its executor that keeps to the same interface.


class StandIn:
    """Takes what the executor takes, and sends functions and results through the same serializer."""

    interface: ClassVar[Signature]
    made: ClassVar[list[StandIn]] = []

    def __init__(self, *arguments: Any, **options: Any):
        self.interface.bind(*arguments, **options)
        self.options = options
        self.pool = ThreadPoolExecutor(2)
        self.is_shut = False
        StandIn.made.append(self)

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        from globus_compute_sdk.serialize import ComputeSerializer

        there = ComputeSerializer()
        packed = there.serialize(function), there.serialize(arguments)

        def call() -> Any:
            far, given = map(ComputeSerializer().deserialize, packed)
            return there.deserialize(there.serialize(far(*given)))

        return self.pool.submit(call)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self.pool.shutdown(wait, cancel_futures=cancel_futures)
        self.is_shut = True


@pytest.mark.slow
def test_globus_compute_gets_what_its_interface_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    need("globus_compute_sdk", "globus-compute")
    import globus_compute_sdk

    StandIn.interface = signature(globus_compute_sdk.Executor)
    monkeypatch.setattr(globus_compute_sdk, "Executor", StandIn)
    id = "4b116d3c-1703-4f8f-9f6f-39921e5864df"
    outcomes = execute(find_engine(f"globus-compute:{id}", 2), enumerated({"a": 6}), Recorder(tmp_path))
    assert {outcome.status for outcome in outcomes.values()} == {Status.SUCCEEDED}
    (executor,) = StandIn.made
    assert str(executor.options["endpoint_id"]) == id
    while not executor.is_shut:  # in the background
        time.sleep(0.02)


def test_globus_compute_needs_an_endpoint() -> None:
    for text in ("globus-compute", "globus-compute:mine"):
        with pytest.raises(UsageError, match="name an endpoint by its ID, as in globus-compute:ID"):
            find_engine(text, 1)


# What is not installed, or makes no sense.


@pytest.mark.parametrize("name", sorted(BUILT_IN.keys() - {"threads", "processes", "mpi"}))
def test_a_package_that_is_missing_is_named(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module = {"dask": "distributed", "globus-compute": "globus_compute_sdk"}.get(name, name)
    for each in [each for each in sys.modules if each == module or each.startswith(f"{module}.")]:
        monkeypatch.delitem(sys.modules, each)
    monkeypatch.delitem(sys.modules, "pipetask.executors.futures.engines.celery_app", raising=False)
    monkeypatch.setitem(sys.modules, module, None)
    argument = {"globus-compute": ":4b116d3c-1703-4f8f-9f6f-39921e5864df", "celery": ":redis://host"}
    with pytest.raises(UsageError, match=rf"cannot be imported .*: pip install 'pipetask\[{name}\]'\.$"):
        find_engine(f"{name}{argument.get(name, '')}", 1)


def test_each_engine_has_an_extra() -> None:
    text = (Path(__file__).parent.parent / "setup.cfg").read_text()
    extras = text.partition("[options.extras_require]")[2]
    assert [
        name for name in BUILT_IN.keys() - {"threads", "processes"} if f"\n{name} =\n" not in extras
    ] == []
