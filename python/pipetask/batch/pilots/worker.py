"""The process in which a pilot runs nodes.  It stays, so that what tasks import is imported once.

It is a process of its own, because what kills a quantum must not kill the pilot, and because a task that computes for
minutes without letting Python do anything else must not keep the pilot from showing that it lives.

::

    pilot ── nodes, "finish" ──► worker          a pipe; when it is closed, the worker ends
          ◄── exit codes ────────                another one; when it is closed, the worker is dead
"""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from types import FrameType

from ...errors import PipetaskError
from ..exit_codes import ExitCode
from ..node import run_node
from ..run_directory import RunDirectory

__all__ = ["Worker"]

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR2)
_INTERRUPT = signal.SIGUSR2
"""What interrupts the quanta that run: a job's warning that its walltime ends."""

_TICK = 0.5


class Worker:
    """A process that runs nodes, started when it is first needed, and again when it has died.

    Parameters
    ----------
    directory
        The run.
    processes
        Quanta to run at the same time.
    """

    def __init__(self, directory: RunDirectory, processes: int):
        self._directory, self._processes = directory, processes
        self._pid: int | None = None
        self._commands = self._results = -1

    def begin(self, node: int, log: str) -> None:
        """Let it run a node.

        Parameters
        ----------
        node
            Number of the node.
        log
            Path of the files with its output, without ``.out`` and ``.err``.
        """
        if self._pid is None:
            self._start()
        self._tell(f"{node} {log}")

    def fileno(self) -> int:
        """Return a descriptor that is readable when a node has ended, or the process."""
        return self._results

    def has_died(self) -> bool:
        """Return whether the process has ended; what it has started may hold its pipe open."""
        assert self._pid is not None
        return os.waitid(os.P_PID, self._pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def result(self) -> int | None:
        """Return what a node has ended with, when that or the end of the process is known; `None` if it has died."""
        if select.select([self._results], [], [], 0)[0] and (word := os.read(self._results, 16)):
            return int(word)
        self.close(0)
        return None

    def finish(self) -> None:
        """Let no other quantum of the node begin."""
        self._tell("finish")

    def interrupt(self) -> None:
        """Interrupt the quanta that run; to be repeated until the node has ended."""
        if self._pid is not None:
            os.kill(self._pid, _INTERRUPT)

    def close(self, patience: float) -> None:
        """End the process, and wait for that.

        Parameters
        ----------
        patience
            Seconds until it is killed.
        """
        if self._pid is None:
            return
        os.close(self._commands)
        deadline = time.monotonic() + patience
        while not (ended := _has_ended(self._pid)) and time.monotonic() < deadline:
            time.sleep(0.02)
        if not ended:
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)
        os.close(self._results)
        self._pid, self._commands, self._results = None, -1, -1

    def _tell(self, line: str) -> None:
        with suppress(BrokenPipeError):  # its death is seen at the other pipe
            os.write(self._commands, f"{line}\n".encode())

    def _start(self) -> None:
        commands, self._commands = os.pipe()
        self._results, results = os.pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        # The pilot has no other thread, and nothing open that a copy could harm.
        pid = os.fork()
        if pid:
            os.close(commands)
            os.close(results)
            self._pid = pid
            return
        code = 1
        try:
            os.close(self._commands)
            os.close(self._results)
            _serve(self._directory, self._processes, commands, results)
            code = 0
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            _end(code)


def _has_ended(pid: int) -> bool:
    return os.waitpid(pid, os.WNOHANG)[0] == pid


def _end(code: int) -> None:
    """End this process, and what tasks have left."""
    from ...executors.pool.process_tree import kill_descendants

    try:
        kill_descendants()
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)


def _serve(directory: RunDirectory, processes: int, commands: int, results: int) -> None:
    """Run nodes until the pilot closes the pipe."""
    for number in _SIGNALS:
        signal.signal(number, _nothing_runs)  # while a node runs, these have handlers of their own
    listener = _Listener(commands)
    prepared = False
    while (order := listener.orders.get()) is not None:
        node, log = order
        _write_to(log)
        if not prepared:
            directory.recipe().runner.prepare_process()
            prepared = True
        code = _run(directory, node, processes, listener)
        os.write(results, f"{int(code)}".encode())


def _run(directory: RunDirectory, node: str, processes: int, listener: _Listener) -> int:
    try:
        return run_node(directory, node, processes=processes, prepared=True, on_begin=listener.node_begins)
    except PipetaskError as error:
        print(f"pipetask run-pilot: {error}", file=sys.stderr)
        return ExitCode.INFRASTRUCTURE
    finally:
        listener.node_has_ended()
        sys.stdout.flush()
        sys.stderr.flush()


class _Listener:
    """Reads what the pilot says, in a thread."""

    def __init__(self, commands: int):
        self._commands = commands
        self.orders: SimpleQueue[tuple[str, str] | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._let_nothing_begin: Callable[[], None] | None = None
        self._wanted = False
        threading.Thread(target=self._listen, name="pilot", daemon=True).start()

    def node_begins(self, let_nothing_begin: Callable[[], None]) -> None:
        """Take note of what lets no other quantum of a node begin."""
        with self._lock:
            self._let_nothing_begin = let_nothing_begin
            if self._wanted:
                let_nothing_begin()

    def node_has_ended(self) -> None:
        """Forget that."""
        with self._lock:
            self._let_nothing_begin, self._wanted = None, False

    def _listen(self) -> None:
        with os.fdopen(self._commands, encoding="utf-8") as lines:
            for line in lines:
                if line == "finish\n":
                    self._finish()
                else:
                    number, _, log = line.removesuffix("\n").partition(" ")
                    self.orders.put((number, log))
        self.orders.put(None)
        while True:  # the pilot has died, and another one takes over what runs
            os.kill(os.getpid(), _INTERRUPT)
            time.sleep(_TICK)

    def _finish(self) -> None:
        with self._lock:
            self._wanted = True
            if self._let_nothing_begin is not None:
                self._let_nothing_begin()


def _nothing_runs(number: int, frame: FrameType | None) -> None:
    pass


def _write_to(log: str) -> None:
    """Let standard output and error go to files of a node."""
    sys.stdout.flush()
    sys.stderr.flush()
    for number, suffix in ((1, ".out"), (2, ".err")):
        path = Path(f"{log}{suffix}")
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(file, number)
        os.close(file)
