"""The worker's side of the pool."""

from __future__ import annotations

import contextlib
import faulthandler
import logging
import os
import select
import signal
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from multiprocessing.connection import Connection
from pathlib import Path
from types import FrameType

from ...development.workers import Recorder, recording
from ...outcome import QuantumError, QuantumOutcome, Status
from ...runner import Interruption, Runner, RunnerSpec, Ticket
from ...runner.base import READ_AHEAD, ExceptionHook
from ...runner.failure import describe_exception
from ...runner.process_state import ProcessState
from .death import CUT_OFF
from .messages import TOKEN, Bundle, InDebugger, Ready, Report, StartFailure, Stop, Untidy, frame
from .process_tree import adopt_orphans, go_on_without_parent, kill_tree, lead_session
from .terminal import TERMINAL_LOCK, LeaveDebuggerError, WorkerDebugger, stop_at_terminal

__all__ = ["WorkerRecipe", "work"]


@dataclass(frozen=True)
class WorkerRecipe:
    """All that a worker is told when it starts."""

    runner: RunnerSpec
    """Recipe for the runner."""

    log: Path
    """File for the log of the quantum that runs, in case that the process does not live to tell."""

    recorders: Sequence[Recorder] = ()
    """What to record while quanta run."""

    debugger: WorkerDebugger | None = None
    """What to enter when a quantum fails."""


def work(
    recipe: WorkerRecipe, orders: Connection, tokens: Connection, halt: Connection, results: Connection
) -> None:
    """Run quanta until told to stop, or until the foreman dies.

    Parameters
    ----------
    recipe
        How to run them.
    orders, tokens
        Where work comes from.
    halt
        Readable when the run stops.  Only then is a SIGINT an order.
    results
        Where reports go.
    """
    lead_session()
    adopt_orphans()
    go_on_without_parent()
    _Worker(orders, tokens, halt, results).work(recipe)
    # A task may have left threads or children behind, and the interpreter would wait for them.
    kill_tree(os.getpid(), spare_root=True)
    os._exit(0)


class _Worker:
    def __init__(self, orders: Connection, tokens: Connection, halt: Connection, results: Connection):
        self._orders = orders
        self._tokens = tokens.fileno()
        self._halt = halt
        self._results = results.fileno()
        self._connections = (orders, tokens, results)
        self._pipes = _identities(self._connections)
        self._pid = os.getpid()
        self._inbox = select.poll()
        for end in (orders, tokens):
            self._inbox.register(end.fileno(), select.POLLIN)
        self._announced: deque[Ticket] = deque()
        self._loaded: set[int] = set()
        self._running: int | None = None
        self._interrupted = False
        self._debugging = False
        self._debugged: QuantumError | None = None

    def work(self, recipe: WorkerRecipe) -> None:
        signal.signal(signal.SIGINT, self._interrupt)
        # A child of the task's must neither take our work nor answer for us.
        os.register_at_fork(after_in_child=self._hang_up)
        diary = _Diary(recipe.log)
        faulthandler.enable(diary.descriptor)
        try:
            _die_with_foreman(self._orders, recipe.log)
            stop_at_terminal()
            recipe.runner.prepare_process()
            runner = recipe.runner.open(self._debugger_hook(recipe))
        except BaseException as error:
            self._report(StartFailure(describe_exception(error)))
            return
        logging.getLogger().addHandler(diary)
        self._report(Ready())
        with contextlib.closing(runner), recording(recipe.recorders):
            try:
                self._work(runner, diary)
            finally:
                self._end_if_cut_off()
        faulthandler.disable()

    def _work(self, runner: Runner, diary: _Diary) -> None:
        """Run quanta until there are no more, or until one has left behind what cannot be put back."""
        state = ProcessState()
        tidy = True
        while tidy and (ticket := self._next()) is not None:
            diary.begin()
            outcome = self._run(runner, ticket)
            if left := state.put_back():
                self._report(Untidy(ticket.id, left))
                tidy = not left.stays
            self._report(outcome)

    def _debugger_hook(self, recipe: WorkerRecipe) -> ExceptionHook | None:
        if recipe.debugger is None:
            return None
        lock = recipe.log.with_name(TERMINAL_LOCK)
        return recipe.debugger.hook(lock, self._in_debugger)

    @contextlib.contextmanager
    def _in_debugger(self, error: BaseException) -> Iterator[None]:
        self._debugged = describe_exception(error)
        self._report(InDebugger(self._debugged))
        self._debugging = True
        try:
            yield
        finally:
            self._debugging = False

    def _next(self) -> Ticket | None:
        """Return the next quantum whose token is there, `None` if there will be no more."""
        while True:
            try:
                token = os.read(self._tokens, TOKEN.size)
            except BlockingIOError:  # nothing to do, or another took it
                if not self._wait_for_work():
                    return None
                continue
            return self._ticket(TOKEN.unpack(token)[0]) if token else None

    def _wait_for_work(self) -> bool:
        orders = self._orders.fileno()
        return orders not in dict(self._inbox.poll()) or self._take_order()

    def _take_order(self) -> bool:
        try:
            order = self._orders.recv()
        except (EOFError, OSError):  # OSError: the foreman died while it wrote this
            return False
        match order:
            case Bundle(tickets):
                self._announced.extend(tickets)
                return True
            case Stop():
                return False
            case other:
                raise AssertionError(f"unknown order {other!r}")

    def _ticket(self, id: int) -> Ticket | None:
        # Tokens keep the order of their bundles, so tickets before this one have been taken back.
        while True:
            while self._announced:
                ticket = self._announced.popleft()
                if ticket.id == id:
                    return ticket
            if not self._take_order():
                return None

    def _run(self, runner: Runner, ticket: Ticket) -> QuantumOutcome:
        self._running, self._debugged = ticket.id, None
        try:
            if self._interrupted:
                raise Interruption
            if ticket.id not in self._loaded:
                ahead = [ticket, *islice(self._announced, READ_AHEAD - 1)]
                runner.load(ahead)
                self._loaded = {each.id for each in ahead}
            outcome = runner.run(ticket)
            self._running = None
        except Interruption:
            self._running = None
            outcome = QuantumOutcome(ticket.id, Status.CANCELLED, reason="interrupted while it ran")
        except KeyboardInterrupt as error:  # not ours, and it came just before or after the task
            self._running = None
            outcome = QuantumOutcome(ticket.id, Status.FAILED, error=describe_exception(error))
        if outcome.status is Status.CANCELLED and self._debugged is not None:
            # The interruption came after the debugger; the quantum had failed before.
            outcome = replace(outcome, status=Status.FAILED, reason=None, error=self._debugged)
        return outcome

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        if self._halt.poll():
            self._interrupted = True  # nothing more is to be run, even if this came between two quanta
            if self._debugging:
                raise LeaveDebuggerError
            if self._running is not None:
                raise Interruption
        elif self._running is not None:  # any process can send this signal; it concerns one quantum
            raise KeyboardInterrupt

    def _report(self, report: Report) -> None:
        if os.getpid() != self._pid:
            os._exit(0)  # a child that the task has forked, and that has come to the end of the task as well
        self._end_if_cut_off()
        data = memoryview(frame(report))
        try:
            while data:
                data = data[os.write(self._results, data) :]
        except BrokenPipeError:  # the foreman is gone
            kill_tree(os.getpid())

    def _end_if_cut_off(self) -> None:
        """End if the task has closed our descriptors: what is written to them could go anywhere."""
        if _identities(self._connections) != self._pipes:
            kill_tree(os.getpid(), spare_root=True)
            os._exit(CUT_OFF)

    def _hang_up(self) -> None:
        for connection in self._connections:
            connection.close()


def _identities(connections: Iterable[Connection]) -> list[tuple[int, int]] | None:
    """Return what is behind descriptors, which a task may have closed, and others have taken since."""
    try:
        found = [os.fstat(each.fileno()) for each in connections]
    except OSError:
        return None
    return [(each.st_dev, each.st_ino) for each in found]


class _Diary(logging.Handler):
    """Keeps the log of the quantum that runs in a file, beside the records that the butler will store.

    Parameters
    ----------
    path
        The file; each quantum begins it again.

    Notes
    -----
    It is a convenience for the day when the worker dies.  Whatever prevents it, such as a full disk, is no reason for
    the quantum to fail.
    """

    def __init__(self, path: Path):
        super().__init__()
        try:
            self.descriptor = os.open(
                path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o600
            )
        except OSError:
            self.descriptor = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
        self._written = False
        self.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record down."""
        self._written = True
        with contextlib.suppress(Exception):  # other handlers say what is wrong with a record
            os.write(self.descriptor, f"{self.format(record)}\n".encode(errors="backslashreplace"))

    def begin(self) -> None:
        """Begin again."""
        if self._written:
            self._written = False
            with contextlib.suppress(OSError):
                os.ftruncate(self.descriptor, 0)


def _die_with_foreman(orders: Connection, log: Path) -> None:
    """Start a thread that ends this process, and all that it started, when the foreman is gone."""
    gone = select.poll()
    gone.register(
        orders.fileno(), 0
    )  # no event but the one that cannot be left out: the worker has no copy of the other end

    def watch() -> None:
        gone.poll()
        with contextlib.suppress(OSError):
            log.unlink(missing_ok=True)
            log.parent.rmdir()  # the last worker succeeds
        kill_tree(os.getpid())

    threading.Thread(target=watch, name="watch", daemon=True).start()
