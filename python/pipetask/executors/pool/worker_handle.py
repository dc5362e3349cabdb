"""The foreman's view of one worker process."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import struct
import termios
from collections.abc import Iterator
from multiprocessing.connection import Connection, Pipe
from multiprocessing.reduction import ForkingPickler

from ...runner import Ticket
from ...runner.meter import new_marks, read_marks
from .ending import Ending
from .launcher import Launcher
from .messages import TOKEN, Bundle, ForeignBytesError, FrameBuffer, Report, Stop, Unreadable
from .process_tree import kill_session, kill_tree
from .worker import WorkerRecipe

__all__ = ["WorkerHandle"]

PIPE_SIZE = 1 << 20
"""Bytes of outcomes that may wait for the foreman (Linux lets an unprivileged process have this much)."""


_INT = struct.Struct("i")


class WorkerHandle:
    """A worker process, what it was given, and the pipes to it.

    Parameters
    ----------
    launcher
        Starts processes.
    recipe
        What it is told.
    halt
        Readable when the run stops; the same for all workers.
    unpack
        Whether to unpack outputs of quanta; otherwise they can be passed on only.
    """

    def __init__(self, launcher: Launcher, recipe: WorkerRecipe, halt: Connection, *, unpack: bool = True):
        letter = ForkingPickler.dumps(recipe)
        theirs, self._orders = Pipe(duplex=False)
        self._tokens, self._token_source = Pipe(duplex=False)
        self._results, results = Pipe(duplex=False)
        for end in (self._tokens, self._results):
            os.set_blocking(end.fileno(), False)
        _widen(self._results.fileno())
        self._marks = new_marks()
        self.log = recipe.log
        with theirs, results:
            pipes = [end.fileno() for end in (theirs, self._tokens, halt, results)]
            try:
                self.process = launcher.start([*pipes, self._marks])
            except BaseException:
                os.close(self._marks)
                raise
        self._buffer = FrameBuffer(self.pid, unpack=unpack)
        self._readable = True
        with contextlib.suppress(OSError):  # it died, and its sentinel will say so
            self._orders.send(launcher.preparation())
            self._orders.send_bytes(letter)

    @property
    def pid(self) -> int:
        """Its process ID."""
        return self.process.pid

    @property
    def sentinel(self) -> int:
        """Becomes readable when the process dies."""
        return self.process.sentinel

    @property
    def results(self) -> int:
        """Descriptor of the results pipe."""
        return self._results.fileno()

    @property
    def unclaimed(self) -> int:
        """Number of quanta that it has been given and has not begun: the tokens that still lie in the pipe."""
        waiting = bytearray(_INT.size)
        fcntl.ioctl(self._tokens.fileno(), termios.FIONREAD, waiting)
        return int(_INT.unpack(waiting)[0]) // TOKEN.size

    def start_of(self, id: int) -> float | None:
        """Return when it started a quantum, as its meter has noted it; `None` if it has not."""
        marks = read_marks(self._marks)
        return marks.start if marks is not None and marks.id == id else None

    def give(self, tickets: list[Ticket]) -> bool:
        """Give it a bundle; return whether it was there to take it."""
        try:
            self._orders.send(Bundle(tickets))
        except OSError:  # it died, and its sentinel will say so
            return False
        # Tokens come last: a worker that has one can be sure to find the ticket in its pipe of orders.
        os.write(self._token_source.fileno(), b"".join(TOKEN.pack(ticket.id) for ticket in tickets))
        return True

    def take_back(self, *, half: bool = False) -> list[int]:
        """Take back what it has not begun, or half of that, rounded up; return the ids."""
        count = self.unclaimed
        if half:
            count = (count + 1) // 2
        try:
            taken = os.read(self._tokens.fileno(), TOKEN.size * count) if count else b""
        except BlockingIOError:
            return []
        return [id for (id,) in TOKEN.iter_unpack(taken)]

    def reports(self) -> Iterator[Report]:
        """Yield what it has reported since the last time; after something `Unreadable` there is no more."""
        try:
            yield from self._received()
        except ForeignBytesError:
            self._readable = False
            yield Unreadable()

    def _received(self) -> Iterator[Report]:
        while self._readable:
            try:
                data = os.read(self.results, PIPE_SIZE)
            except BlockingIOError:
                return
            if not data:
                return
            yield from self._buffer.feed(data)
            if len(data) < PIPE_SIZE:
                return

    def interrupt(self) -> None:
        """Interrupt the running quantum; the run must have been halted, or the worker takes this for a stray signal."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGINT)

    def kill(self) -> None:
        """Kill it and everything that it started; its sentinel will tell when it is dead."""
        kill_tree(self.pid)

    def dismiss(self) -> None:
        """Tell it to finish."""
        with contextlib.suppress(OSError):
            self._orders.send(Stop())

    def bury(self) -> Ending:
        """Wait for its end, kill what it left running, and return how it ended."""
        self.process.wait()
        for end in (self._orders, self._tokens, self._token_source, self._results):
            end.close()
        kill_session(self.pid)
        ending = self.process.ending()._replace(marks=read_marks(self._marks))
        os.close(self._marks)
        self.process.close()
        with contextlib.suppress(OSError):
            self.log.unlink(missing_ok=True)
        return ending

    def salvage(self, name: str) -> str | None:
        """Move the log of the quantum that it ran to a file that stays; return its path."""
        with contextlib.suppress(OSError):
            if self.log.stat().st_size:
                return str(self.log.rename(self.log.with_name(name)))
        return None


def _widen(descriptor: int) -> None:
    if hasattr(fcntl, "F_SETPIPE_SZ"):
        with contextlib.suppress(OSError):
            fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, PIPE_SIZE)
