"""Start worker processes: forked by a server, or each as a new interpreter."""

from __future__ import annotations

import contextlib
import logging
import os
import select
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from ...errors import PipetaskError, reason_of
from ..stop import StopRequest
from .channel import start_with_channel
from .ending import Ending, reap, receive_ending
from .interpreter import THIS_INTERPRETER, Interpreter
from .limits import open_files_limit
from .server import Become, Fork, Preload, Request, receive_number, send_request

__all__ = ["ForkServer", "Launcher", "Spawner", "WorkerProcess"]

_LOG = logging.getLogger(__name__)

MODULES = (
    "pipetask.runner.quantum_runner",
    "pipetask.executors.pool.worker",
    "pipetask.executors.pool.preload",
)
"""Modules that the server imports once for all workers."""

PATIENCE = 30.0
"""Seconds to wait for the import of tasks once there is work (this process has imported them itself by then)."""


class WorkerProcess:
    """A worker process.

    Parameters
    ----------
    pid
        Its process ID.
    status
        Descriptor from which its ending can be read; at end of file if the server that would send it is gone.
    interpreter
        The process, if it is a child of this process.
    """

    def __init__(self, pid: int, status: int, interpreter: subprocess.Popen[bytes] | None = None):
        self.pid = pid
        self._status = status
        self._interpreter = interpreter
        self.sentinel = status
        """Becomes readable when the process dies."""
        # Ask the kernel, not the server: that may die before its workers.
        with contextlib.suppress(AttributeError, OSError):  # not Linux, or already dead
            self.sentinel = os.pidfd_open(pid)

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until it dies; return whether it is dead."""
        return _readable([self.sentinel], seconds)

    def ending(self) -> Ending:
        """Return how the process ended, once it is dead."""
        if self._interpreter is not None:
            ending = reap(self.pid)
            self._interpreter.returncode = ending.exit_code
            return ending
        # The kernel has to tell the server, too.  If that is stopped or gone, the ending is not known.
        return receive_ending(self._status) if _readable([self._status], 5.0) else Ending(None)

    def close(self) -> None:
        """Close the descriptors."""
        for descriptor in {self._status, self.sentinel}:
            os.close(descriptor)


class Launcher(Protocol):
    """Starts worker processes."""

    def preparation(self) -> dict[str, Any]:
        """Return what a worker has to know about this process before it can unpickle its recipe."""

    def preload(self, task_names: Callable[[], Sequence[str]]) -> None:
        """Begin to import task classes, so that workers need not."""

    def get_ready(self, stop: StopRequest) -> None:
        """Wait until workers can be started quickly, or until a stop is requested."""

    def start(self, pipes: Sequence[int]) -> WorkerProcess:
        """Start a worker that waits for its recipe.

        Parameters
        ----------
        pipes
            Its ends of the pipes (orders, tokens, halt, results), and memory for marks.

        Raises
        ------
        OSError
            If the operating system does not allow another process.
        PipetaskError
            If it does not work for any other reason.
        """

    def close(self) -> None:
        """End the processes that start workers."""


class Spawner:
    """Starts each worker as a new interpreter.

    Parameters
    ----------
    variables
        Variables to set in its environment.
    """

    def __init__(self, variables: Mapping[str, str]):
        self._variables = variables
        self._open_files = open_files_limit()  # of workers, even if this process raises its own meanwhile

    def preparation(self) -> dict[str, Any]:
        """Return what a worker has to know about this process."""
        return THIS_INTERPRETER.preparation()

    def preload(self, task_names: Callable[[], Sequence[str]]) -> None:
        """Do nothing: each interpreter has to import for itself."""

    def get_ready(self, stop: StopRequest) -> None:
        """Do nothing."""

    def start(self, pipes: Sequence[int]) -> WorkerProcess:
        """Start a worker."""
        interpreter, channel = _start_interpreter((), self._variables, self._open_files, THIS_INTERPRETER)
        with channel:
            status = _request(channel, Become(), pipes)
        return WorkerProcess(interpreter.pid, status, interpreter)

    def close(self) -> None:
        """Do nothing."""


class ForkServer:
    """Starts workers through a server that forks them, so that they have what it has imported.

    The server starts in the background.

    Parameters
    ----------
    variables
        Variables to set in the environment of workers.
    interpreter
        The Python of workers.
    """

    def __init__(self, variables: Mapping[str, str], interpreter: Interpreter = THIS_INTERPRETER) -> None:
        self._variables = variables
        self._interpreter = interpreter
        self._open_files = open_files_limit()  # of workers, even if this process raises its own meanwhile
        self._tasks: tuple[str, ...] = ()
        self._preloaded: socket.socket | None = None
        self._loading = False
        self._process, self._channel = self._server()

    def _server(self) -> tuple[subprocess.Popen[bytes], socket.socket]:
        return _start_interpreter(MODULES, self._variables, self._open_files, self._interpreter)

    def preparation(self) -> dict[str, Any]:
        """Return what a worker has to know about this process."""
        return self._interpreter.preparation()

    def preload(self, task_names: Callable[[], Sequence[str]]) -> None:
        """Begin to import task classes, so that workers need not; forget those of another graph."""
        tasks = tuple(dict.fromkeys(task_names()))
        # A pipeline may have tasks of which the graph that was built from it has no quanta.
        if tasks == self._tasks or (self._preloaded is not None and set(tasks) <= set(self._tasks)):
            return
        self._give_up_preloaded()
        self._tasks = tasks
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                send_request(self._channel, Preload(self._tasks), [theirs.fileno()])
            except ConnectionError:  # it has died, and will be replaced when it is needed
                ours.close()
                return
        self._preloaded, self._loading = ours, True

    def get_ready(self, stop: StopRequest) -> None:
        """Wait until the tasks are imported, or it is clear that they will not be, or a stop is requested."""
        deadline = time.monotonic() + PATIENCE
        while self._preloaded is not None and self._loading and not stop:
            left = deadline - time.monotonic()
            if left <= 0:
                self._give_up_preloaded(f"it takes longer than {PATIENCE:.0f} s")
            elif _readable([self._preloaded.fileno(), stop.fileno()], left):
                self._hear()
                if stop:
                    return

    def _hear(self) -> None:
        assert self._preloaded is not None, "it is loading"
        if not _readable([self._preloaded.fileno()], 0):
            return
        self._loading = False
        try:
            answer = self._preloaded.makefile("r").readline()
        except ConnectionError:
            answer = ""
        if answer != "\n":
            self._give_up_preloaded(answer.strip() or "the process that did it has died")

    def _give_up_preloaded(self, reason: str | None = None) -> None:
        if self._preloaded is not None:
            self._preloaded.close()
            with contextlib.suppress(OSError):  # it ends by itself, if the import does
                send_request(self._channel, Preload(()), [])
        self._preloaded, self._loading = None, False
        if reason is not None:
            _LOG.debug(
                "Each worker imports the tasks by itself, as they cannot be imported beforehand: %s.", reason
            )

    def start(self, pipes: Sequence[int]) -> WorkerProcess:
        """Start a worker."""
        for channel in self._channels():
            try:
                return _forked(_request(channel, Fork(), pipes))
            except ConnectionError as error:
                _LOG.debug("The server that starts workers does not answer: %s.", reason_of(error))
        remedy = "Try --start-method spawn." if self._interpreter.is_this else self._interpreter.description
        raise PipetaskError(f"Workers cannot be started: the server that forks them dies. {remedy}")

    def _channels(self) -> Iterator[socket.socket]:
        """Yield servers to ask until one answers."""
        if self._preloaded is not None and not self._loading:
            yield self._preloaded
            self._give_up_preloaded("the process that did it has died")
        yield self._channel
        self.close()
        self._process, self._channel = self._server()
        yield self._channel

    def close(self) -> None:
        """End the server."""
        self._give_up_preloaded()
        self._channel.close()
        try:
            self._process.wait(5.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _start_interpreter(
    modules: Sequence[str], variables: Mapping[str, str], open_files: int, interpreter: Interpreter
) -> tuple[subprocess.Popen[bytes], socket.socket]:
    """Start a server that has imported some modules, and whose workers may have so many open files."""
    code = f"from pipetask.executors.pool.server import main\nmain(channel, {open_files}, {tuple(modules)!r})"
    return start_with_channel(
        interpreter,
        code,
        stdin=subprocess.DEVNULL,
        env={**os.environ, **variables},
        # In its own session it does not receive the terminal's Ctrl-C, which is for this process.
        start_new_session=True,
    )


def _request(channel: socket.socket, request: Request, pipes: Sequence[int]) -> int:
    """Request a worker; return the descriptor from which its status can be read."""
    status, theirs = os.pipe()
    try:
        send_request(channel, request, [*pipes, theirs])
    except BaseException:
        os.close(status)
        raise
    finally:
        os.close(theirs)
    return status


def _forked(status: int) -> WorkerProcess:
    try:
        if (pid := receive_number(status)) is None:
            raise ConnectionResetError("it is gone")
        if pid < 0:
            raise OSError(-pid, os.strerror(-pid))
        return WorkerProcess(pid, status)
    except BaseException:
        os.close(status)
        raise


def _readable(descriptors: Sequence[int], seconds: float | None) -> bool:
    poll = select.poll()
    for descriptor in descriptors:
        poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(None if seconds is None else max(0.0, seconds) * 1000))
