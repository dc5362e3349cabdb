"""The foreman's view of one worker process."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import struct
import termios
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection, Pipe
from multiprocessing.reduction import ForkingPickler

from ...graph.enumeration import QuantumData
from ...outcome import QuantumError, QuantumOutcome, Status
from ...runner import Ticket
from ...runner.meter import new_marks, read_marks
from .ending import Ending
from .launcher import Launcher, preparation
from .messages import TOKEN, Bundle, ForeignBytesError, FrameBuffer, Report, Stop, Untidy
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
    """

    def __init__(self, launcher: Launcher, recipe: WorkerRecipe, halt: Connection):
        letter = ForkingPickler.dumps(recipe)
        theirs, self._orders = Pipe(duplex=False)
        self._tokens, self._token_source = Pipe(duplex=False)
        self._results, results = Pipe(duplex=False)
        for end in (self._tokens, self._results):
            os.set_blocking(end.fileno(), False)
        _widen(self._results.fileno())
        self._marks = new_marks()
        self.log = recipe.log
        self.ready = False
        self.assigned: dict[int, QuantumData] = {}
        """What it was given and has not answered for, in the order given."""
        self.since = time.monotonic()
        """When it last ended a quantum, or was given work while it had none."""
        self.backlog = 0.0
        """About how many seconds of work are in `assigned`."""
        self.debugged: QuantumError | None = None
        """What its quantum has failed for, if somebody looks at that; it may take any time."""
        self.leaving = False
        """Whether it takes no more work, and is about to end itself."""
        self.doomed: Status | None = None
        """What becomes of its quantum because the foreman kills it, if it does."""
        self.fault: str | None = None
        """What came out of its pipe, if that is nothing to rely on; nothing more is read then."""
        with theirs, results:
            pipes = [end.fileno() for end in (theirs, self._tokens, halt, results)]
            try:
                self.process = launcher.start([*pipes, self._marks])
            except BaseException:
                os.close(self._marks)
                raise
        self._buffer = FrameBuffer(self.pid)
        with contextlib.suppress(OSError):  # it died, and its sentinel will say so
            self._orders.send(preparation())
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
    def is_timed(self) -> bool:
        """Whether there is a limit to what its quantum may take, if there is one at all."""
        return bool(self.assigned) and self.doomed is None and self.debugged is None

    @property
    def is_available(self) -> bool:
        """Whether it takes work."""
        return self.ready and self.doomed is None and not self.leaving

    @property
    def unclaimed(self) -> int:
        """Number of assigned quanta that it has not begun: the tokens that still lie in the pipe."""
        waiting = bytearray(_INT.size)
        fcntl.ioctl(self._tokens.fileno(), termios.FIONREAD, waiting)
        return int(_INT.unpack(waiting)[0]) // TOKEN.size

    @property
    def current(self) -> QuantumData | None:
        """The quantum that it has begun and not ended."""
        # A display may look while the foreman changes the books, or has closed the pipes of the dead.
        with contextlib.suppress(StopIteration, RuntimeError, OSError):
            if len(self.assigned) > self.unclaimed:
                return next(iter(self.assigned.values()))
        return None

    def give(self, quanta: list[QuantumData], tickets: list[Ticket]) -> bool:
        """Give it a bundle; return whether it was there to take it."""
        try:
            self._orders.send(Bundle(tickets))
        except OSError:  # it died, and its sentinel will say so
            return False
        os.write(self._token_source.fileno(), b"".join(TOKEN.pack(ticket.id) for ticket in tickets))
        if not self.assigned:
            self.since = time.monotonic()
        self.assigned.update((quantum.id, quantum) for quantum in quanta)
        return True

    def take_back(self, count: int) -> list[QuantumData]:
        """Take back up to so many quanta that it has not begun."""
        try:
            taken = os.read(self._tokens.fileno(), TOKEN.size * count) if count else b""
        except BlockingIOError:
            return []
        return [self.assigned.pop(id) for (id,) in TOKEN.iter_unpack(taken)]

    def reports(self) -> Iterator[Report]:
        """Yield what it has reported since the last time.

        Where that turns out to be nothing of its own, `fault` is set, and there is no more.
        """
        try:
            for report in self._received():
                if self.fault is None and not self._may_be(report):
                    raise ForeignBytesError
                yield report
        except ForeignBytesError:
            self.distrust("what it or a process that it had started wrote into its pipe was no report")

    def distrust(self, fault: str) -> None:
        """Read nothing more from it, for this reason."""
        self.fault = fault

    def _may_be(self, report: Report) -> bool:
        # It runs what it was given in order, and what it has not begun may have been taken back.
        return not isinstance(report, QuantumOutcome | Untidy) or report.id == next(iter(self.assigned), None)

    def _received(self) -> Iterator[Report]:
        while self.fault is None:
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
        """Interrupt the quantum that runs; the run must have been halted, or it takes this for somebody else's."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGINT)

    def kill(self, why: Status) -> None:
        """Kill it and everything that it started; its sentinel will tell when it is dead."""
        self.doomed = why
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
