"""The engines that tests of all engines are run on; a line for each."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from brokers import running_broker, running_celery
from needs import not_tested
from pipetask.executors.futures.engine import Engine
from pipetask.testing.plain_runs import wait_until

from conftest import environment  # isort: skip


@dataclass(frozen=True)
class EngineCase:
    """An engine, and what has to be there before it can be used."""

    name: str

    module: str | None = None
    """What it cannot be tested without."""

    start: Callable[[], AbstractContextManager[str]] | None = None
    """Starts what it needs besides, and gives the value of ``--engine``; without it that is the name."""

    stays: bool = False
    """Whether it takes seconds to start, so that one is used for many tests."""

    launcher: Callable[[], list[str]] = list
    """Returns the words before ``-m module`` of a command that runs on it, if it has to be started in a special way."""

    @contextmanager
    def started(self) -> Iterator[str]:
        """Give the value of ``--engine``; skip the test if something is missing."""
        if self.module is not None and importlib.util.find_spec(self.module) is None:
            not_tested(f"THE ENGINE {self.name} IS NOT TESTED: there is no module {self.module}.")
        with nullcontext(self.name) if self.start is None else self.start() as text:
            yield text


class MadeInTests(Engine):
    """An engine that has no name, and one slot if it says nothing else."""

    @classmethod
    def make(cls, argument: str | None, workers: int) -> Engine:
        raise AssertionError("it is made in tests only")

    @property
    def slots(self) -> int:
        return 1


class StayingEngine(MadeInTests):
    """An engine that goes on after a run, as a cluster of other people does."""

    def __init__(self, engine: Engine):
        self._engine = engine
        self.reruns, self.is_here = engine.reruns, engine.is_here

    @property
    def slots(self) -> int:
        return self._engine.slots

    def submit(self, function: Callable[..., Any], /, *arguments: Any) -> Future[Any]:
        return self._engine.submit(function, *arguments)

    def lost(self, error: Exception) -> bool:
        return self._engine.lost(error)

    def renew(self) -> None:
        self._engine.renew()

    def end_of_life(self) -> str | None:
        return self._engine.end_of_life()

    def tell_all(self, function: Callable[..., Any], /, *arguments: Any) -> None:
        self._engine.tell_all(function, *arguments)


def mpi_launcher() -> list[str]:
    """Return how a module is run by one rank of three, which gives work to the others."""
    beside = Path(sys.executable).with_name("mpiexec")
    mpiexec = str(beside) if beside.exists() else shutil.which("mpiexec")
    if mpiexec is None:
        not_tested("MPI IS NOT TESTED: there is no mpiexec.")
    return [mpiexec, "-n", "3", sys.executable, "-m", "mpi4py.futures"]


@contextmanager
def celery_with_broker() -> Iterator[str]:
    """Start a broker and a worker with two processes."""
    with ExitStack() as stack:
        url, _ = stack.enter_context(running_broker())
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        stack.enter_context(running_celery(url, Path(folder, "worker.log")))
        yield f"celery:{url}"


ENGINES = {
    case.name: case
    for case in (
        EngineCase("threads"),
        EngineCase("processes", stays=True),
        EngineCase("loky", "loky", stays=True),
        EngineCase("dask", "distributed", stays=True),
        EngineCase("parsl", "parsl", stays=True),
        EngineCase("mpi", "mpi4py", launcher=mpi_launcher),
        EngineCase("celery", "celery", celery_with_broker, stays=True),
        EngineCase("ipyparallel", "ipyparallel", stays=True),
        EngineCase("executorlib", "executorlib", stays=True),
    )
}


def without_pytest() -> dict[str, str]:
    """Return an environment in which pytest can be run by a test."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}


@contextmanager
def running_dask(folder: Path, workers: int = 1, *, gpus: int = 0) -> Iterator[tuple[str, int]]:
    """Start a scheduler and workers, as users do; give its address and its process ID.

    With ``gpus``, one more worker is said to have so many.
    """
    folder.mkdir(exist_ok=True)
    file = folder / "scheduler.json"
    words = ["--scheduler-file", str(file), "--no-dashboard", "--host", "127.0.0.1"]
    env = {**environment(), "DASK_DISTRIBUTED__WORKER__DAEMON": "False"}
    commands = [
        ("dask_scheduler", ["--port", "0"], env),
        ("dask_worker", ["--nthreads", "1", "--nworkers", str(workers)], env),
    ]
    if gpus:
        with_gpus = ["--nthreads", "1", "--resources", f"GPU={gpus}"]
        commands.append(("dask_worker", with_gpus, {**env, "HAS_GPU": "yes"}))
    with ExitStack() as stack:
        processes = []
        for name, more, variables in commands:
            command = [sys.executable, "-m", f"distributed.cli.{name}", *words, *more]
            output = stack.enter_context((folder / f"{name}.log").open("a"))
            process = subprocess.Popen(command, env=variables, stdout=output, stderr=output)
            processes.append(process)
            stack.callback(end, process)
            address = dask_address(file, process, folder / f"{name}.log")
        yield address, processes[0].pid


def dask_address(file: Path, process: subprocess.Popen[bytes], log: Path) -> str:
    """Wait for the file of a scheduler, which is there a moment before it is whole; return its address."""
    found: list[str] = []

    def is_whole() -> bool:
        assert process.poll() is None, log.read_text()
        with suppress(FileNotFoundError, json.JSONDecodeError):
            found.append(str(json.loads(file.read_text())["address"]))
        return bool(found)

    wait_until(is_whole, f"{file} is whole")
    return found[0]


def end(process: subprocess.Popen[bytes]) -> None:
    """End a process, and kill it if it does not obey: a test that waits in its teardown is ended by nothing."""
    process.terminate()
    try:
        process.wait(60)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
