"""The server: a process that has imported what workers need, and forks them.

It has nothing that belongs to a run: no threads, no open files.  Requests come through a socket, together with the
descriptors of the new worker's pipes.  The server ends when the other end of the socket is closed.

Two of these make one ``forkserver``: the first has imported our own packages; a fork of it imports the graph's tasks.
If that goes wrong (see `preload`), the fork is abandoned, and the first server is still clean.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import select
import signal
import socket
import struct
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import process, spawn
from multiprocessing.connection import Connection
from typing import NoReturn

from ...runner.failure import describe_exception
from ...runner.meter import leave_marks
from ..stop_signals import FROM_TERMINALS
from .ending import reap_any, send_ending
from .limits import set_open_files_limit
from .messages import StartFailure, frame

__all__ = ["Become", "Fork", "Preload", "Request", "main", "receive_number", "send_number", "send_request"]

N_PIPES = 5
"""Of a worker: orders, tokens, halt, results, marks.  Fewer arrive if this process has no room for them."""

_LENGTH = struct.Struct("=I")
_NUMBER = struct.Struct("=q")


@dataclass(frozen=True)
class Fork:
    """Request: fork a worker.  Descriptors: orders, tokens, halt, results, marks, status.

    Its process ID goes to ``status`` (or the error's number, negative), and later how it ended.
    """


@dataclass(frozen=True)
class Become:
    """Request: become a worker.  Descriptors: orders, tokens, halt, results, marks, status."""


@dataclass(frozen=True)
class Preload:
    """Request: fork a server that has imported these task classes, and end the one before.  Descriptor: its socket.

    It sends one line when it is ready: empty, or the reason why it cannot be used.  A request without tasks only ends
    the server before.
    """

    tasks: tuple[str, ...]


Request = Fork | Become | Preload


def send_request(channel: socket.socket, request: Request, descriptors: Sequence[int]) -> None:
    """Send a request to a server."""
    body = pickle.dumps(request)
    socket.send_fds(channel, [_LENGTH.pack(len(body))], descriptors)
    channel.sendall(body)


def _receive_request(channel: socket.socket) -> tuple[Request | None, list[int]]:
    header, descriptors, _, _ = socket.recv_fds(channel, _LENGTH.size, 8)
    for descriptor in descriptors:
        os.set_inheritable(descriptor, False)  # programs that a task starts must not have our pipes
    body = b""
    while header and len(body) < _LENGTH.unpack(header)[0]:
        body += (part := channel.recv(_LENGTH.unpack(header)[0] - len(body)))
        if not part:
            break
    return pickle.loads(body) if body else None, descriptors


def send_number(descriptor: int, number: int) -> None:
    """Write a number, unless the reader is gone."""
    with contextlib.suppress(BrokenPipeError):
        os.write(descriptor, _NUMBER.pack(number))


def receive_number(descriptor: int) -> int | None:
    """Return the next number, `None` if the writer is gone."""
    data = os.read(descriptor, _NUMBER.size)  # so little is written and read as a whole
    return int(_NUMBER.unpack(data)[0]) if data else None


def main(descriptor: int, open_files: int, modules: Sequence[str] = ()) -> NoReturn:
    """Be a server until the other end of the socket is closed.

    Parameters
    ----------
    descriptor
        The socket.
    open_files
        Limit of open files for workers.
    modules
        Names of modules to import first.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides when to end
    signal.pthread_sigmask(
        signal.SIG_UNBLOCK, FROM_TERMINALS
    )  # blocked where an engine has started the parent
    for name in modules:
        with contextlib.suppress(ImportError):
            __import__(name)
    _Server(socket.socket(fileno=descriptor), open_files).serve()


class _Server:
    def __init__(self, channel: socket.socket, open_files: int):
        self._channel = channel
        self._open_files = open_files
        self._children: dict[int, int | None] = {}
        """Status descriptor of each child, by process ID."""
        self._wakeups = os.pipe()
        for end in self._wakeups:
            os.set_blocking(end, False)
        signal.signal(
            signal.SIGCHLD, lambda *_: None
        )  # the descriptor below is written to only if there is a handler
        signal.set_wakeup_fd(self._wakeups[1], warn_on_full_buffer=False)

    def serve(self) -> NoReturn:
        set_open_files_limit(None)  # it has a descriptor for each worker
        poll = select.poll()
        for end in (self._channel.fileno(), self._wakeups[0]):
            poll.register(end, select.POLLIN)
        while True:
            ready = dict(poll.poll())
            if self._wakeups[0] in ready:
                os.read(self._wakeups[0], 1 << 16)
                self._reap()
            if self._channel.fileno() in ready:
                self._obey()

    def _obey(self) -> None:
        try:
            request, descriptors = _receive_request(self._channel)
        except (
            OSError
        ):  # the other end was closed with something unread, or there is no descriptor left to take one
            request, descriptors = None, []
        match request, descriptors:
            case Fork(), [*pipes, status] if len(pipes) == N_PIPES:
                pid = self._fork(lambda: _be_worker(pipes, self._open_files), status)
                send_number(status, pid)
                for descriptor in pipes if pid > 0 else [*pipes, status]:
                    os.close(descriptor)
            case Become(), [*pipes, _] if len(pipes) == N_PIPES:
                self._forget()
                _be_worker(pipes, self._open_files)
            case Preload(tasks), descriptors:
                self._end_servers()
                for descriptor in descriptors:
                    self._fork(
                        lambda: _be_server_with(tasks, descriptor, self._open_files),  # noqa: B023  called at once
                        None,
                    )
                    os.close(descriptor)
            case _:  # the other end is closed
                self._end_servers()
                os._exit(0)

    def _fork(self, be: Callable[[], NoReturn], status: int | None) -> int:
        """Fork; return the process ID, or the number of the error, negative."""
        try:
            pid = os.fork()
        except OSError as error:
            return -(error.errno or 1)
        if pid:
            self._children[pid] = status
            return pid
        with _last_words():
            self._forget(but=status)
            be()

    def _end_servers(self) -> None:
        """Kill a server that this one has forked; it may hang in an import."""
        for pid, status in self._children.items():
            if status is None:
                os.kill(pid, signal.SIGKILL)

    def _forget(self, but: int | None = None) -> None:
        """Close everything that belongs to the server, in a process that is no longer the server."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        self._channel.close()
        for descriptor in (*self._wakeups, but, *self._children.values()):
            if descriptor is not None:
                os.close(descriptor)
        self._children.clear()

    def _reap(self) -> None:
        while self._children:
            if (reaped := reap_any()) is None:
                return
            pid, ending = reaped
            if (status := self._children.pop(pid)) is not None:
                send_ending(status, ending)
                os.close(status)


def _be_server_with(tasks: Sequence[str], descriptor: int, open_files: int) -> NoReturn:
    from .preload import import_tasks

    set_open_files_limit(open_files)  # what is imported may look at it
    channel = socket.socket(fileno=descriptor)
    reason = import_tasks(tasks)
    with contextlib.suppress(OSError):  # too late, or the parent is gone: the next request will fail
        channel.sendall(f"{reason or ''}\n".encode())
    _Server(channel, open_files).serve()


def _be_worker(pipes: Sequence[int], open_files: int) -> NoReturn:
    """Run quanta; the recipe is the first thing that comes through the pipe of orders."""
    from .worker import work

    set_open_files_limit(open_files)
    *readable, writable, marks = pipes
    orders, tokens, halt = (Connection(descriptor, writable=False) for descriptor in readable)
    results = Connection(writable, readable=False)
    leave_marks(marks)
    os.close(marks)
    with _last_words():
        try:
            process.current_process()._inheriting = True  # type: ignore[attr-defined]  # a script without a guard
            spawn.prepare(orders.recv())
            recipe = orders.recv()
        except BaseException as error:
            with contextlib.suppress(OSError):  # the reader is gone when another worker has failed, too
                os.write(writable, frame(StartFailure(describe_exception(error))))
            os._exit(1)
        finally:
            del process.current_process()._inheriting  # type: ignore[attr-defined]
        work(recipe, orders, tokens, halt, results)
    os._exit(0)


@contextlib.contextmanager
def _last_words() -> Iterator[None]:
    """End this process if the block raises, so that it does not continue the code that has forked it."""
    try:
        yield
    except BaseException:
        sys.excepthook(*sys.exc_info())
        sys.stderr.flush()
        os._exit(1)
