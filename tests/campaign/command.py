"""A command that is disturbed: a fork of this process, which has imported everything, or a new interpreter."""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import gc
import importlib
import logging
import os
import resource
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from campaign.shim import Shim

__all__ = ["Command", "Surroundings", "adopt_orphans", "descendants", "end_descendants", "warm_up"]

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGCHLD)

_COMMANDS = ("run", "run_qbb", "pre_exec_init_qbb", "run_node")


@dataclass(frozen=True)
class Surroundings:
    """What a command finds when it starts."""

    cwd: Path
    shim: Shim
    environment: dict[str, str] = field(default_factory=dict)
    limits: dict[int, int] = field(default_factory=dict)
    """Resource limits."""
    stderr: int | None = None
    """Descriptor that takes the place of the file; -1: closed."""
    reader: int | None = None
    """The other end of that one, if it is a pipe."""
    new_interpreter: bool = False


class Command:
    """A command that was started, in a session of its own.

    Parameters
    ----------
    arguments
        Its arguments.
    surroundings
        What it finds.
    output
        Path without suffix of the files for its standard output and error.
    """

    def __init__(self, arguments: list[str], surroundings: Surroundings, output: Path):
        self.arguments = arguments
        self.out, self.err = output.with_suffix(".out"), output.with_suffix(".err")
        self.summary = Path(arguments[-1]) if arguments[-2:-1] == ["--summary"] else None
        self.code: int | None = None
        self.started = time.monotonic()
        self.pid = os.fork()
        if self.pid == 0:
            _become(arguments, surroundings, self.out, self.err)

    def poll(self) -> bool:
        """Return whether it has ended."""
        if self.code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.code = os.waitstatus_to_exitcode(status)
        return self.code is not None

    def wait(self, seconds: float, condition: Callable[[], bool] = lambda: False) -> bool:
        """Wait for its end, a condition or so long; return whether it came to the end or the condition."""
        deadline = time.monotonic() + seconds
        while not (self.poll() or condition()):
            if time.monotonic() > deadline:
                return False
            time.sleep(0.003)
        return True

    def signal(self, number: int, *, group: bool = False) -> None:
        """Send it, or its process group, a signal."""
        if not self.poll():
            with contextlib.suppress(ProcessLookupError):
                os.kill(-self.pid if group else self.pid, number)

    @property
    def text(self) -> str:
        """All that it has said."""
        return "".join(path.read_text(errors="replace") for path in (self.out, self.err) if path.exists())

    @property
    def recorded(self) -> str:
        """Its summary, if there is one."""
        return self.summary.read_text() if self.summary is not None and self.summary.exists() else ""

    def servers(self) -> list[int]:
        """Return the processes that fork its workers: the first, and what that has forked to fork in its place."""
        first = _our_children(self.pid)
        return sorted(
            [*first, *(pid for each in first for pid in _our_children(each) if not _leads_session(pid))]
        )

    def workers(self, *, forked: bool) -> list[int]:
        """Return the processes that run its quanta; they are forked by servers, or its own children."""
        parents = self.servers() if forked else [self.pid]
        return sorted(pid for each in parents for pid in _our_children(each) if _leads_session(pid))


def warm_up() -> None:
    """Import what commands import, so that its forks need not."""
    for name in (
        "lsst.pipe.base.tests.mocks",
        "pipetask.execution.graph_executor",
        "pipetask.execution.quantum_backed_executor",
        "pipetask.batch.condor",
        "pipetask.executors.in_process",
        "pipetask.executors.pool",
        "pipetask.batch.node",
        "pipetask.batch.replay",
        "pipetask.runner.quantum_runner",
        "pipetask.observe.progress",
        "pipetask.observe.report",
        "pipetask.observe.summary_file",
        "pipetask.cli.__main__",
        *(f"pipetask.cli.{name}" for name in ("program", "group", *_COMMANDS)),
        "campaign.tasks",
    ):
        importlib.import_module(name)
    gc.freeze()


def _become(arguments: list[str], surroundings: Surroundings, out: Path, err: Path) -> NoReturn:
    code = 99
    try:
        os.setsid()
        for number in SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        os.chdir(surroundings.cwd)
        os.environ.update(surroundings.environment)
        for kind, most in surroundings.limits.items():
            resource.setrlimit(kind, (most, most))
        surroundings.shim.name_command(os.getpid())
        _redirect(out, err, surroundings.stderr)
        if surroundings.new_interpreter:
            os.environ["CAMPAIGN_SHIM"] = str(surroundings.shim.path)
            os.execv(sys.executable, [sys.executable, "-m", "pipetask.cli", *arguments])
        surroundings.shim.arm()
        code = _run(arguments)
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1
    except BaseException:
        with contextlib.suppress(BaseException):
            traceback.print_exc()
        code = 1
    finally:
        os._exit(_finish(code))


def _redirect(out: Path, err: Path, stderr: int | None) -> None:
    with Path(os.devnull).open("rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    for number, path in ((1, out), (2, err)):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(descriptor, number)
        os.close(descriptor)
    if stderr is not None:
        os.dup2(stderr, 2) if stderr >= 0 else os.close(2)
    os.closerange(3, 256)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, errors="backslashreplace", closefd=False) if stderr != -1 else None  # noqa: SIM115
    sys.__stdout__, sys.__stderr__ = sys.stdout, sys.stderr


def _run(arguments: list[str]) -> int:
    tempfile.tempdir = None
    logging.getLogger().handlers.clear()
    sys.argv = ["pipetask", *arguments]
    sys.modules["__main__"] = importlib.import_module("pipetask.cli.__main__")
    from pipetask.cli import main

    return main()


def _finish(code: int) -> int:
    """Do as an interpreter does at its end; return the exit code."""
    with contextlib.suppress(BaseException):
        threading._shutdown()
    with contextlib.suppress(BaseException):
        atexit._run_exitfuncs()
    try:
        sys.stdout.flush()
    except BaseException:
        return 120
    return code


# What a command has left.

_PR_SET_CHILD_SUBREAPER = 36


def adopt_orphans() -> None:
    """Become the parent of what commands leave behind."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def descendants(pid: int | None = None) -> list[int]:
    """Return the living processes below a process, by default this one."""
    children = _children(os.getpid() if pid is None else pid)
    return [each for child in children for each in ([child] if _lives(child) else []) + descendants(child)]


def end_descendants() -> None:
    """Kill what is below this process, and forget it."""
    while left := descendants():
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.01)
        reap()


def reap() -> None:
    """Take note of the death of orphans."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _children(pid: int) -> list[int]:
    found: list[int] = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found += map(int, path.read_text().split())
    return found


def _lives(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    return False


def _our_children(pid: int) -> list[int]:
    return [
        child for child in _children(pid) if _lives(child) and "resource_tracker" not in _command_line(child)
    ]


def _leads_session(pid: int) -> bool:
    with contextlib.suppress(ProcessLookupError):
        return os.getsid(pid) == pid
    return False


def _our_children(pid: int) -> list[int]:
    return [
        child for child in _children(pid) if _lives(child) and "resource_tracker" not in _command_line(child)
    ]


def _leads_session(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return os.getsid(pid) == pid
    return False


def _command_line(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_text(errors="replace")
    return ""
