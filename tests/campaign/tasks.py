"""A task that says when it begins, and misbehaves on order."""

from __future__ import annotations

import ctypes
import itertools
import json
import logging
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lsst.pipe.base.tests.mocks import DynamicTestPipelineTask

__all__ = ["ACTS", "FOLDER_VARIABLE", "SaboteurTask"]

FOLDER_VARIABLE = "CAMPAIGN_FOLDER"
"""Names the folder with the orders."""


class SaboteurTask(DynamicTestPipelineTask):
    """Writes down that a quantum begins, takes a little while, and does what the orders say.

    The folder's ``orders.json`` says how long a quantum takes, and what the how-manieth does.
    """

    _DefaultName = "saboteur"

    def runQuantum(self, butlerQC: Any, inputRefs: Any, outputRefs: Any) -> None:
        folder = Path(os.environ[FOLDER_VARIABLE])
        orders = json.loads((folder / "orders.json").read_text())
        number = _take_number(folder)
        time.sleep(orders["seconds"])
        if number == orders.get("at"):
            self.log.warning("something is going to happen")
            ACTS[orders["act"]]()
        super().runQuantum(butlerQC, inputRefs, outputRefs)


def _take_number(folder: Path) -> int:
    for number in itertools.count(1):
        try:
            (folder / f"quantum-{number}").touch(exist_ok=False)
        except FileExistsError:
            continue
        return number
    raise AssertionError("numbers do not end")


def _raise(error: BaseException) -> Callable[[], None]:
    def act() -> None:
        raise error

    return act


def _fork_and_go_on() -> None:
    if os.fork() == 0:
        time.sleep(0.1)  # then goes on as if it were the task


def _leave_timer() -> None:
    # Long enough for the quantum to end before on a busy machine: if it strikes the one that has set it, that is right.
    signal.setitimer(signal.ITIMER_REAL, 0.5)


def _leave_environment() -> None:
    os.environ["TMPDIR"] = "/nonexistent"
    os.environ["HOME"] = "/nonexistent"
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    logging.getLogger().setLevel(logging.CRITICAL)
    sys.path.clear()


def _leave_limits() -> None:
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(list(Path("/proc/self/fd").iterdir())), most))


def _leave_thread() -> None:
    threading.Thread(target=time.sleep, args=(3600,)).start()


def _leave_children() -> None:
    for options in ({}, {"start_new_session": True}):
        subprocess.Popen([sys.executable, "-Ic", "import time; time.sleep(3600)"], **options)


def _log_what_no_code_has() -> None:
    logging.getLogger("saboteur").warning("a file named %s", os.fsdecode(b"caf\xe9"))


def _log_much() -> None:
    for _ in range(200):
        logging.getLogger("saboteur").warning("y" * 10_000)


ACTS: dict[str, Callable[[], object]] = {
    "nothing": lambda: None,
    "raise": _raise(ValueError("sabotage")),
    "raise KeyboardInterrupt": _raise(KeyboardInterrupt()),
    "raise SystemExit": _raise(SystemExit(7)),
    "raise MemoryError": _raise(MemoryError()),
    "segfault": lambda: ctypes.string_at(0),
    "abort": os.abort,
    "exit": lambda: os._exit(3),
    "exit as if all were well": lambda: os._exit(0),
    "close descriptors": lambda: os.closerange(3, 1000),
    "fork": _fork_and_go_on,
    "interrupt itself": lambda: os.kill(os.getpid(), signal.SIGINT),
    "kill itself": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "real-time signal": lambda: os.kill(os.getpid(), 40),
    "leave timer": _leave_timer,
    "leave umask": lambda: os.umask(0o777),
    "leave cwd": lambda: os.chdir("/"),
    "leave environment": _leave_environment,
    "leave limits": _leave_limits,
    "leave thread": _leave_thread,
    "leave children": _leave_children,
    "log surrogate": _log_what_no_code_has,
    "log much": _log_much,
    "hang": lambda: time.sleep(3600),
}
"""What can be ordered."""
