"""Ray, on one cluster for all tests.  It is large, so the extra ``test`` does not bring it: ``make test-ray``."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import wait
from pathlib import Path

import pytest

from brokers import need
from engines import StayingEngine
from peer import find_peer
from pipetask.errors import PipetaskError
from pipetask.executors.base import QuantumExecutor
from pipetask.executors.futures import FuturesExecutor
from pipetask.executors.futures.engine import Engine, find_engine
from pipetask.outcome import Status
from pipetask.testing import enumerated
from pipetask.testing.conformance import ModelConformance
from toy_work import Recorder

from conftest import TESTS, environment, run_pipetask  # isort: skip
from test_engines import EDGES, LAYERS, execute, none_is_left  # isort: skip
from test_equivalence import assert_as_the_peer_leaves_it, shared_folder  # noqa: F401  isort: skip

pytestmark = [pytest.mark.slow, pytest.mark.ray]


@pytest.fixture(scope="module")
def ray_engine() -> Iterator[Engine]:
    """Start a cluster, as ``--engine ray`` does."""
    need("ray")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(TESTS), prepend=":")  # its workers import these modules
        patch.setenv("RAY_OVERRIDE_RESOURCES", '{"GPU": 2}')  # which it takes on trust
        engine = find_engine("ray", 2)
        try:
            # All its processes are there before a test that looks for processes that are left.
            wait([engine.submit(time.sleep, 0.2) for _ in range(4)])
            yield engine
        finally:
            engine.close()


class TestRay(ModelConformance):
    @pytest.fixture
    def model(self, ray_engine: Engine) -> QuantumExecutor:
        return FuturesExecutor(StayingEngine(ray_engine))


def test_deaths_cost_what_they_must(ray_engine: Engine, tmp_path: Path) -> None:
    """A worker of ours crashes, and one of the engine's is killed."""
    graph = enumerated(LAYERS, EDGES)
    ids = {quantum.position: quantum.id for quantum in graph}
    work = Recorder(tmp_path, bombs=((ids[0], "segfault"), (ids[1], "fail"), (ids[4], "kill_driver_once")))
    outcomes = execute(StayingEngine(ray_engine), graph, work)
    status = {position: outcomes[id].status for position, id in ids.items()}
    blocked = dict.fromkeys((6, 7, 12), Status.BLOCKED)
    expected = {0: Status.KILLED, 1: Status.FAILED, **blocked}
    assert status == {**dict.fromkeys(status, Status.SUCCEEDED), **expected}
    assert work.attempts(ids[4]) == 2, "what is tested must have happened"
    none_is_left(tmp_path)


def test_an_address_where_nothing_listens_is_told_at_once() -> None:
    need("ray")
    with socket.socket() as bound:  # and does not listen
        bound.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{bound.getsockname()[1]}"
        engine = find_engine(f"ray:{address}", 1)
        with pytest.raises(
            PipetaskError, match=rf"^No head of Ray answers at {address} \(Connection refused\): "
        ):
            engine.submit(abs, -1)
        engine.close()


def test_quanta_get_the_gpus_that_they_need(ray_engine: Engine, tmp_path: Path) -> None:
    """Also where a worker of Ray has run quanta that need none; and the token of the cluster is found."""
    import ray

    address = ray.get_runtime_context().gcs_address
    env = {name: value for name, value in environment().items() if name != "RAY_AUTH_MODE"}
    command = [sys.executable, str(TESTS / "ray_needs.py"), address, str(tmp_path)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.stdout == "{'SUCCEEDED': 12}\n", done.stderr
    seen = [(tmp_path / str(id)).read_text() for id in range(12)]
    assert seen[:6] == [""] * 6
    assert set(seen[6:]) <= {"0", "1"}


@pytest.mark.peer
def test_what_is_left_is_what_the_peer_leaves(
    ray_engine: Engine,
    shared_folder: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    """The command finds the cluster by its address, as one that other people have started."""
    find_peer()
    import ray

    address = ray.get_runtime_context().gcs_address
    more = ("--mode", "futures", "--engine", f"ray:{address}")
    assert_as_the_peer_leaves_it("failures", run_pipetask, more, shared_folder, tmp_path)
