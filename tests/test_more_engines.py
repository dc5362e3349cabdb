"""What is special about Celery, ipyparallel and Globus Compute.

The other tests of engines run on Celery, ipyparallel and executorlib, too.
"""

from __future__ import annotations

import re
import sys
import time
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from brokers import need, running_broker, running_celery, running_endpoint
from pipetask.errors import PipetaskError, UsageError
from pipetask.executors.base import ExecutionContext
from pipetask.executors.futures import FuturesExecutor
from pipetask.executors.futures.engine import BUILT_IN, find_engine
from pipetask.options.models import FuturesOptions
from pipetask.outcome import Status
from pipetask.testing import CallSpec, enumerated
from pipetask.testing.plain_runs import wait_until
from pipetask.text import without_password
from toy_work import Recorder

from conftest import TESTS  # isort: skip
from test_engines import execute, none_is_left, stages_of_death  # isort: skip

COURIER = "pipetask.executors.futures.engines.celery_courier"


@pytest.fixture(autouse=True)
def _workers_find_these_modules(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(TESTS), prepend=":")


# Celery.


@pytest.mark.slow
def test_a_worker_of_celery_that_is_killed_with_all_its_processes_costs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither broker nor Celery says that it is gone, and what it had is given to no other."""
    need("celery")
    monkeypatch.setattr(f"{COURIER}.LOOK", 0.5)
    work = Recorder(tmp_path, bombs=((5, "kill_victim_once"),))
    with running_broker() as (url, _), ExitStack() as stack:
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
    monkeypatch.setattr(f"{COURIER}.CONNECTING", 6.0)
    with running_broker() as (url, pid), running_celery(url, tmp_path / "worker.log", 1):
        outcomes = stages_of_death(find_engine(f"celery:{url}", 1), pid, tmp_path)
        none_is_left(tmp_path)
    assert {outcomes[id].status for id in range(5)} == {Status.SUCCEEDED}
    assert {outcome.status for outcome in outcomes.values()} <= {Status.SUCCEEDED, Status.CANCELLED}


@pytest.mark.slow
def test_what_no_worker_has_begun_is_taken_back(tmp_path: Path) -> None:
    need("celery")
    with running_broker() as (url, _), running_celery(url, tmp_path / "worker.log", 1):
        engine = find_engine(f"celery:{url}", 1)
        try:
            gate = tmp_path / "gate"
            begun = engine.submit(wait_for, gate)
            wait_until(gate.with_name("begun").exists, "the first has begun")
            waiting = engine.submit(int, "7")
            wait_until(lambda: waiting.id in engine._courier._sent, "the other one is sent")
            for future in (begun, waiting):
                assert not future.cancel(), "it is asked for, and not done yet"
            wait_until(
                lambda: waiting.id in str(engine._app.control.inspect().revoked()), "the worker knows of it"
            )
            gate.touch()
            assert begun.result(120) == "waited"
            with pytest.raises(CancelledError):
                waiting.result(120)
            assert waiting.cancelled()
            assert engine.slots == 1
        finally:
            gate.touch()
            engine.close()


def wait_for(path: Path) -> str:
    path.with_name("begun").touch()
    while not path.exists():
        time.sleep(0.02)
    return "waited"


def give_out_again(url: str, **keys: str) -> int:
    """Do what any application at a broker does for which functions have taken too long; return how many there are."""
    from kombu import Connection

    with Connection(url, transport_options={"visibility_timeout": 0, **keys}) as connection:
        channel = connection.default_channel
        with channel.conn_or_acquire() as client:
            number = client.zcard(channel.qos.unacked_index_key)
        channel.qos.restore_visible()
        return int(number)


@pytest.mark.slow
def test_what_a_broker_gives_out_again_while_it_runs_is_run_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    need("celery")
    from pipetask.executors.futures.engines.celery_app import _OWN_KEYS

    monkeypatch.setattr("pipetask.executors.futures.silence.LOOK", 0.5)
    work = Recorder(tmp_path, bombs=((3, "hang_until_defused"),))
    log = tmp_path / "worker.log"
    with running_broker() as (url, _), running_celery(url, log), ThreadPoolExecutor(1) as thread:
        if not url.startswith("redis"):
            pytest.skip("only Redis can be made to do that at once")
        ended = thread.submit(execute, find_engine(f"celery:{url}", 2), enumerated({"a": 8}), work)
        try:
            wait_until(lambda: 3 in work.started(), "what hangs has begun")
            assert give_out_again(url) == 0, (
                "functions that take long are none of other applications' business"
            )
            assert give_out_again(url, **_OWN_KEYS) > 0
            wait_until(lambda: "BundleTakenError" in log.read_text(), "the other one was refused")
        finally:
            (tmp_path / "defused").touch()
        outcomes = ended.result(120)
    assert {outcome.status for outcome in outcomes.values()} == {Status.SUCCEEDED}
    assert [work.attempts(id) for id in range(8)] == [1] * 8


def test_a_broker_is_not_lost_because_this_process_was_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    """After Ctrl-Z, what asks may go on before what reaches the broker does."""
    need("celery")
    from pipetask.executors.futures.engines.celery_courier import CONNECTING, Courier

    courier = object.__new__(Courier)
    courier._late, courier._reached = None, time.monotonic() - CONNECTING - 1
    assert not courier.is_lost()
    courier._reached = time.monotonic()
    assert not courier.is_lost()
    courier._reached -= CONNECTING + 1
    monkeypatch.setattr(f"{COURIER}.MOMENT", 0.0)
    assert [courier.is_lost(), courier.is_lost()] == [False, True]


@pytest.mark.usefixtures("speaks_of_flags")
@pytest.mark.slow
def test_a_broker_that_is_not_there_is_told_at_once_in_terms_of_its_option(tmp_path: Path) -> None:
    need("celery")
    name = f"celery:redis+socket://me:secret@{tmp_path}/none"
    context, said = ExecutionContext(enumerated({"a": 1}), CallSpec(print)), name.replace("secret", "***")
    model = FuturesExecutor.from_options(FuturesOptions(engine=name), f"--route a={name}")
    words = f"--route a={said}: The engine cannot run a function: OperationalError: "
    with pytest.raises(PipetaskError, match=f"^{re.escape(words)}"):
        model.check(context)
    context.stop.close()


@pytest.mark.slow
def test_a_broker_without_workers_is_told_with_the_command_that_starts_one() -> None:
    need("celery")
    with running_broker() as (url, _):
        engine = find_engine(f"celery:{url}", 1)
        try:
            assert engine.missing() is None, "before it is asked"
            assert engine.slots == 1, "a worker may be starting"
            wait_until(lambda: engine.missing() is not None, "workers were asked")
            assert f"start one with `CELERY_BROKER_URL={without_password(url)} celery -A pipetask." in (
                engine.missing() or ""
            )
        finally:
            engine.close()


def test_a_broker_that_brings_no_results_back_needs_something_that_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    need("celery")
    monkeypatch.delenv("CELERY_RESULT_BACKEND", raising=False)
    assert find_engine("celery:amqp://host//", 1)._app.conf.result_backend == "rpc://"
    with pytest.raises(UsageError, match=r"sqs: brings no results back: .* CELERY_RESULT_BACKEND"):
        find_engine("celery:sqs://me:secret@host//", 1)


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
def test_the_engine_that_the_guide_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is installed as the guide says, and found by its name."""
    about = tmp_path / "nice-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: nice\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[pipetask.engines]\nnice = example_engine:NiceProcesses\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    work = Recorder(tmp_path, bombs=((5, "kill_driver_once"),))
    engine = find_engine("nice:3", 2)
    outcomes = execute(engine, enumerated({"a": 12}), work)
    assert {outcome.status for outcome in outcomes.values()} == {Status.SUCCEEDED}
    assert work.attempts(5) == 2, "what is tested must have happened"


# Globus Compute: no service can be reached, so something stands in for it that keeps to the same interface.


@pytest.mark.slow
def test_globus_compute_gets_what_its_interface_takes(tmp_path: Path) -> None:
    need("globus_compute_sdk", "globus-compute")
    from globus_stand_in import StandIn

    with running_endpoint() as endpoint:
        engine = find_engine(f"globus-compute:{endpoint}", 2)
        outcomes = execute(engine, enumerated({"a": 6}), Recorder(tmp_path))
    assert {outcome.status for outcome in outcomes.values()} == {Status.SUCCEEDED}
    (executor,) = StandIn.made
    wait_until(lambda: executor.is_shut, "it is shut in the background")


def test_globus_compute_brings_back_only_the_text_of_an_exception() -> None:
    need("globus_compute_sdk", "globus-compute")
    from globus_compute_sdk.errors import TaskExecutionFailed

    engine = find_engine("globus-compute:4b116d3c-1703-4f8f-9f6f-39921e5864df", 1)
    trace = 'Traceback (most recent call last):\n  File "x.py", line 1, in f\n'
    assert not engine.lost(TaskExecutionFailed(f"{trace}ModuleNotFoundError: No module named 'pipetask'\n"))
    gone = "parsl.executors.high_throughput.errors.ManagerLost: Task failure due to loss of manager\n"
    assert engine.lost(TaskExecutionFailed(trace + gone))


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
