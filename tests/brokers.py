"""Brokers and clusters that tests of engines start, each in a folder of its own."""

from __future__ import annotations

import contextlib
import importlib.util
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil

from needs import not_tested
from toy_work import kill_family

from conftest import environment  # isort: skip

__all__ = ["need", "running_celery", "running_redis", "started"]


def need(module: str, extra: str | None = None) -> None:
    """Skip a test without the package of an engine, and say so in capitals; fail it in CI."""
    if importlib.util.find_spec(module) is None:
        name = extra or module
        not_tested(f"{name.upper()} IS NOT TESTED: pip install 'pipetask[{name}]'.")


@contextmanager
def started(
    command: Sequence[str], log: Path, ready: str, env: dict[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Start a program, wait until it has written some words, and kill it with all its children in the end."""
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=env)
    try:
        while ready not in log.read_text(errors="replace"):
            assert process.poll() is None, log.read_text(errors="replace")
            time.sleep(0.05)
        yield process
    finally:
        with contextlib.suppress(psutil.NoSuchProcess):  # a test may have killed it
            kill_family(psutil.Process(process.pid))
        process.wait()


@contextmanager
def running_redis() -> Iterator[tuple[str, int]]:
    """Start a broker; give its URL and its process ID."""
    program = shutil.which("redis-server")
    if program is None:
        not_tested("REDIS IS NOT TESTED: apt-get install redis-server.")
    with tempfile.TemporaryDirectory(prefix="redis-") as folder:
        socket = f"{folder}/socket"  # a port that is free now may be taken a moment later
        words = ["--port", "0", "--unixsocket", socket, "--save", "", "--dir", folder]
        with started([program, *words], Path(folder, "log"), "accept connections") as process:
            yield f"redis+socket://{socket}", process.pid


@contextmanager
def running_celery(url: str, log: Path, processes: int = 2) -> Iterator[int]:
    """Start a worker of Celery; give its process ID."""
    app = "pipetask.executors.futures.engines.celery_app"
    words = [
        "worker",
        "-c",
        str(processes),
        "-n",
        log.stem,
        "-l",
        "INFO",
        "--without-mingle",
        "--without-gossip",
    ]
    env = {**environment(), "CELERY_BROKER_URL": url}
    with started([sys.executable, "-m", "celery", "-A", app, *words], log, " ready.", env) as process:
        yield process.pid
