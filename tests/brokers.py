"""Brokers and clusters that tests of engines start, each in a folder of its own."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil

from needs import not_tested
from pipetask.testing.plain_runs import wait_until
from toy_work import kill_family

from conftest import environment  # isort: skip

__all__ = ["need", "running_broker", "running_celery", "running_endpoint", "started"]


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

        def is_ready() -> bool:
            assert process.poll() is None, log.read_text(errors="replace")
            return ready in log.read_text(errors="replace")

        wait_until(is_ready, f"{command[0]} is ready")
        yield process
    finally:
        with contextlib.suppress(psutil.NoSuchProcess):  # a test may have killed it
            kill_family(psutil.Process(process.pid))
        process.wait()


@contextmanager
def running_broker() -> Iterator[tuple[str, int]]:
    """Start Redis, or with ``PIPETASK_TEST_BROKER=rabbitmq`` RabbitMQ; give its URL and its process ID."""
    rabbit = os.environ.get("PIPETASK_TEST_BROKER") == "rabbitmq"
    with _running_rabbitmq() if rabbit else _running_redis() as broker:
        yield broker


@contextmanager
def _running_redis() -> Iterator[tuple[str, int]]:
    program = shutil.which("redis-server")
    if program is None:
        not_tested("REDIS IS NOT TESTED: apt-get install redis-server.")
    with tempfile.TemporaryDirectory(prefix="redis-") as folder:
        socket = f"{folder}/socket"  # a port that is free now may be taken a moment later
        words = ["--port", "0", "--unixsocket", socket, "--save", "", "--dir", folder]
        with started([program, *words], Path(folder, "log"), "accept connections") as process:
            yield f"redis+socket://{socket}", process.pid


@contextmanager
def _running_rabbitmq() -> Iterator[tuple[str, int]]:
    """Start a broker that CI does not have: it takes ten seconds each time."""
    program = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")  # the one on PATH wants to be root or rabbitmq
    if not program.exists():
        not_tested("RABBITMQ IS NOT TESTED: apt-get install rabbitmq-server.")
    with tempfile.TemporaryDirectory(prefix="rabbitmq-") as folder, ExitStack() as stack:
        names, broker, between = _free_ports(3)
        variables = {
            "HOME": folder,
            "ERL_EPMD_PORT": names,
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": "tests@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": broker,
            "RABBITMQ_DIST_PORT": between,
            "RABBITMQ_MNESIA_BASE": folder,
            "RABBITMQ_LOG_BASE": folder,
            "RABBITMQ_PID_FILE": f"{folder}/pid",
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{folder}/plugins",
            "RABBITMQ_CONFIG_FILE": f"{folder}/rabbitmq",
            "RABBITMQ_ALLOW_INPUT": "1",  # the script becomes the server instead of waiting for it
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-noinput",
        }
        env = {**environment(), **variables}
        # Otherwise the server starts one that stays.
        stack.enter_context(started(["epmd", "-d"], Path(folder, "epmd"), "epmd running", env))
        process = stack.enter_context(
            started([str(program)], Path(folder, "log"), "Starting broker... completed", env)
        )
        yield f"amqp://guest:guest@127.0.0.1:{broker}//", process.pid


def _free_ports(number: int) -> list[str]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [str(each.getsockname()[1]) for each in sockets]


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


@contextmanager
def running_endpoint() -> Iterator[str]:
    """Start what stands in for Globus Compute and an endpoint with one worker; give the endpoint's ID."""
    from globus_stand_in import __file__ as program
    from globus_stand_in import folder_of

    endpoint = str(uuid.uuid4())
    folder = folder_of(endpoint)
    for name in ("tasks", "results"):
        (folder / name).mkdir(parents=True)
    try:
        with started([sys.executable, program, str(folder)], folder / "log", "ready", environment()):
            yield endpoint
    finally:
        shutil.rmtree(folder)
