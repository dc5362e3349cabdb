"""Run quanta one after the other in this process."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Generator, Iterable, Iterator
from dataclasses import replace
from itertools import islice
from multiprocessing.connection import wait

from ..errors import UsageError
from ..graph.enumeration import QuantumData
from ..options.declaration import check_group, refuse_group
from ..options.models import InProcessOptions
from ..outcome import QuantumOutcome, Status
from ..runner import Interruption, Ticket
from ..runner.base import READ_AHEAD, ExceptionHook, Runner
from .activity import RunningQuantum
from .base import ExecutionContext, QuantumExecutor, Traits
from .debugger import debugger_hook
from .frontier import Frontier
from .left_behind import LeftBehindLog
from .stop import StopRequest

__all__ = ["InProcessExecutor"]


class InProcessExecutor(QuantumExecutor):
    """Runs quanta serially, where a debugger can reach them.

    Parameters
    ----------
    debugger
        Name of a module whose ``post_mortem`` is entered at the line that failed.
    implicit_threads
        Whether libraries may start threads of their own.
    """

    traits = Traits(in_process=True, retries=True, resources=True)
    options_group = InProcessOptions

    def __init__(self, debugger: str | None = None, *, implicit_threads: bool = False):
        refuse_group(debugger, "debugger")
        self._debugger = debugger
        self.traits = replace(self.traits, implicit_threads=implicit_threads)

    @classmethod
    def from_options(cls, options: InProcessOptions) -> InProcessExecutor:
        """Make an instance for the command line."""
        check_group(options, InProcessOptions)
        executor = cls(options.debugger, implicit_threads=options.implicit_threads)
        executor._hook()  # refuse a missing debugger now, and not after a graph has been built
        return executor

    def check(self, context: ExecutionContext) -> None:
        """Refuse a timeout, because a quantum cannot be killed without this process, and a missing debugger.

        One quantum at a time needs no packing, but it must fit.
        """
        self._hook()
        if (resources := context.resources) is not None:
            resources.check(resources.available(None), "")
        if context.timeout is not None:
            raise UsageError(
                "--timeout needs a process to kill: use --mode multiprocess (with -j 1, if you like)."
            )

    def execute(
        self, quanta: Iterable[QuantumData], context: ExecutionContext
    ) -> Generator[QuantumOutcome, None, None]:
        """Execute a stream of quanta in its order."""
        from ..runner.process_state import ProcessState

        stop = context.stop
        with (
            contextlib.closing(context.runner.open(self._hook())) as runner,
            ProcessState(own=False) as state,
        ):
            left_behind = LeftBehindLog(context.graph, "it stays in this process")
            frontier = Frontier(_loaded_ahead(quanta, runner, context), context.retries)
            current = _Current()
            context.activity.report_with(current.quanta)
            stop.on_ask = current.interrupt
            try:
                while not stop and (quantum := _next(frontier, stop)) is not None:
                    new_inputs = frontier.has_new_inputs(quantum)
                    ticket = context.ticket(quantum, frontier.attempt(quantum.id), new_inputs=new_inputs)
                    state.begin()
                    outcome = current.run(runner, ticket)
                    left_behind.note(quantum.id, state.put_back())
                    if (final := frontier.finish(outcome)) is not None:
                        context.note_failure(final)
                        yield final
                    yield from frontier.blocked()
            finally:
                del stop.on_ask
        yield from frontier.cancel(stop.reason or "")

    def _hook(self) -> ExceptionHook | None:
        return None if self._debugger is None else debugger_hook(self._debugger)


def _loaded_ahead(
    quanta: Iterable[QuantumData], runner: Runner, context: ExecutionContext
) -> Iterator[QuantumData]:
    """Yield a stream's quanta, and read the content of a few at a time.

    Serial execution takes them in the same order, so it has run all of one batch before it asks for the next.
    """
    stream = iter(quanta)
    while batch := list(islice(stream, READ_AHEAD)):
        runner.load([context.ticket(quantum) for quantum in batch])
        yield from batch


def _next(frontier: Frontier, stop: StopRequest) -> QuantumData | None:
    """Return the next ready quantum; wait if one that has failed will be tried again."""
    while (quantum := frontier.take()) is None and (due := frontier.next_due) is not None and not stop:
        wait([stop.fileno()], max(0.0, due - time.monotonic()))
    return quantum


class _Current:
    """The running quantum."""

    def __init__(self) -> None:
        self._id: int | None = None
        self._ticket: Ticket | None = None
        self._start = 0.0

    def quanta(self) -> tuple[RunningQuantum, ...]:
        id, ticket = self._id, self._ticket
        if id is None or ticket is None or ticket.id != id:
            return ()
        return (RunningQuantum(id, self._start, os.getpid(), ticket.attempt),)

    def run(self, runner: Runner, ticket: Ticket) -> QuantumOutcome:
        self._ticket, self._start = ticket, time.time()
        self._id = ticket.id
        try:
            outcome = runner.run(ticket)
            self._id = None
        except Interruption:  # it came between the end of the task and the line above
            self._id = None
            outcome = QuantumOutcome(ticket.id, Status.CANCELLED, reason="interrupted while it ran")
        return outcome

    def interrupt(self) -> None:
        """Raise `Interruption` in the running quantum, if this is called from a signal handler above it."""
        if self._id is not None and threading.current_thread() is threading.main_thread():
            raise Interruption
