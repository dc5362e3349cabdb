"""The engines that tests of all engines are run on; a line for each."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from brokers import running_celery, running_redis
from needs import not_tested

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


def mpi_launcher() -> list[str]:
    """Return how a module is run by one rank of three, which gives work to the others."""
    beside = Path(sys.executable).with_name("mpiexec")
    mpiexec = str(beside) if beside.exists() else shutil.which("mpiexec")
    if mpiexec is None:
        not_tested("MPI IS NOT TESTED: there is no mpiexec.")
    return [mpiexec, "-n", "3", sys.executable, "-m", "mpi4py.futures"]


@contextmanager
def celery_with_redis() -> Iterator[str]:
    """Start a broker and a worker with two processes."""
    with ExitStack() as stack:
        url, _ = stack.enter_context(running_redis())
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        stack.enter_context(running_celery(url, Path(folder, "worker.log")))
        yield f"celery:{url}"


ENGINES = {
    case.name: case
    for case in (
        EngineCase("threads"),
        EngineCase("processes"),
        EngineCase("loky", "loky"),
        EngineCase("dask", "distributed", stays=True),
        EngineCase("parsl", "parsl", stays=True),
        EngineCase("mpi", "mpi4py", launcher=mpi_launcher),
        EngineCase("celery", "celery", celery_with_redis, stays=True),
        EngineCase("ipyparallel", "ipyparallel", stays=True),
        EngineCase("executorlib", "executorlib", stays=True),
    )
}


def without_pytest() -> dict[str, str]:
    """Return an environment in which pytest can be run by a test."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}


@contextmanager
def running_dask(folder: Path, workers: int = 1) -> Iterator[tuple[str, int]]:
    """Start a scheduler and workers, as users do; give its address and its process ID."""
    folder.mkdir(exist_ok=True)
    file = folder / "scheduler.json"
    words = ["--scheduler-file", str(file), "--no-dashboard", "--host", "127.0.0.1"]
    env = {**environment(), "DASK_DISTRIBUTED__WORKER__DAEMON": "False"}
    commands = {
        "dask_scheduler": ["--port", "0"],
        "dask_worker": ["--nthreads", "1", "--nworkers", str(workers)],
    }
    with ExitStack() as stack:
        processes = []
        for name, more in commands.items():
            command = [sys.executable, "-m", f"distributed.cli.{name}", *words, *more]
            output = stack.enter_context((folder / f"{name}.log").open("w"))
            process = subprocess.Popen(command, env=env, stdout=output, stderr=output)
            processes.append(process)
            stack.callback(process.wait)
            stack.callback(process.terminate)
            while not file.exists():
                assert process.poll() is None, (folder / f"{name}.log").read_text()
                time.sleep(0.05)
        yield json.loads(file.read_text())["address"], processes[0].pid
