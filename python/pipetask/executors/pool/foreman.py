"""The parent's side of the pool: its pipes, its processes, and the one wait for all of them.

What is to be done is decided in `PoolState`; here it is done.
"""

from __future__ import annotations

import contextlib
import logging
import os
import selectors
import tempfile
import time
import traceback
from collections.abc import Iterable, Iterator, Sequence
from multiprocessing.connection import Pipe
from pathlib import Path

from ...development.workers import wanted_recorders
from ...errors import PipetaskError, one_line, reason_of
from ...graph.enumeration import QuantumData
from ...outcome import QuantumOutcome
from ...runner.memory_kills import oom_kills
from ..activity import RunningQuantum
from ..base import ExecutionContext
from ..elsewhere import Elsewhere
from ..stop import StopRequest
from .bundling import BundlePolicy
from .death import Death
from .ending import Ending
from .instructions import Give, Halt, Instruction, Interrupt, Kill, Start, TakeBack
from .launcher import Launcher
from .state import MOST_FAILED_STARTS, PoolState
from .terminal import TERMINAL_LOCK, WorkerDebugger
from .worker import WorkerRecipe
from .worker_handle import WorkerHandle

__all__ = ["Foreman"]

_LOG = logging.getLogger(__name__)

FAREWELL = 5.0
"""Seconds that an idle worker has to finish before it is killed."""


class Foreman:
    """Keeps workers busy with the quanta of one stream.

    Parameters
    ----------
    quanta
        The stream.
    context
        What the execution model was told.
    processes
        Number of workers.
    launcher
        Starts processes.
    policy
        How many quanta travel together, and how long they may take to stop.
    debugger
        What workers enter when a quantum fails.
    """

    def __init__(
        self,
        quanta: Iterable[QuantumData],
        context: ExecutionContext,
        processes: int,
        launcher: Launcher,
        policy: BundlePolicy,
        debugger: WorkerDebugger | None = None,
    ):
        self._context = context
        self._debugger = debugger
        self._processes = processes
        self._launcher = launcher
        self._state = PoolState(quanta, context, processes, policy)
        self._handles: dict[int, WorkerHandle] = {}
        self._selector = selectors.DefaultSelector()
        self._selector.register(context.stop, selectors.EVENT_READ)
        if context.elsewhere is not None:
            self._selector.register(context.elsewhere, selectors.EVENT_READ)
        self._n_oom_kills = oom_kills()
        self._halt, self._halt_source = Pipe(duplex=False)
        self._scratch = _scratch_folder()
        context.activity.report_with(self._running, self._state.describe, self._state.shares)

    def outcomes(self) -> Iterator[QuantumOutcome]:
        """Run the stream; yield outcomes as they come.

        An error of the pool itself (a worker cannot start, say) first stops the run, as a request to stop does, so that
        nothing is lost of what has ended or still runs; then it is raised.
        """
        self._launcher.get_ready(self._context.stop)
        state = self._state
        errors: list[Exception] = []
        while len(errors) <= self._processes + MOST_FAILED_STARTS:  # with more, it does not get better
            try:
                for instruction in state.instructions():
                    self._do(instruction)
                yield from state.take_outcomes()
                if state.over:
                    break
                self._wait()
                yield from state.take_outcomes()
            except Exception as error:
                state.trace.note(0, "error", one_line(error))
                errors.append(error)
                self._context.stop.ask(one_line(error))
        yield from state.take_outcomes()
        self._explain(errors)
        if errors:
            raise errors[0]

    def _running(self) -> list[RunningQuantum]:
        """Return the quanta that run; a display may ask from another thread, while the books change or pipes close."""
        running = []
        for number, handle in list(self._handles.items()):
            with contextlib.suppress(LookupError, StopIteration, RuntimeError, OSError):
                assigned = self._state.workers[number].assigned
                if len(assigned) > handle.unclaimed:
                    id = next(iter(assigned))
                    running.append(
                        RunningQuantum(id, handle.start_of(id), handle.pid, self._state.attempt(id))
                    )
        return running

    def _explain(self, errors: Sequence[Exception]) -> None:
        """Keep what is needed to understand errors of our own, which are no `PipetaskError`."""
        ours = [error for error in errors if not isinstance(error, PipetaskError)]
        if not ours:
            return
        path = self._scratch / "decisions.txt"
        texts = ["".join(traceback.format_exception(error)) for error in ours]
        with contextlib.suppress(OSError):
            path.write_text("\n".join([*self._state.describe(), *texts]), errors="backslashreplace")
            _LOG.error("This is an error in pipetask.  Please report it, with the file %s.", path)

    # What the state machine tells us to do

    def _do(self, instruction: Instruction) -> None:
        match instruction:
            case Start(number):
                self._start(number)
            case Halt():
                self._halt_source.send_bytes(b".")  # nothing ever reads it
            case Give(number) | TakeBack(number) | Interrupt(number) | Kill(number):
                if (handle := self._handles.get(number)) is not None:  # it may have died meanwhile
                    self._tell(handle, number, instruction)
            case other:
                raise AssertionError(f"unknown instruction {other!r}")

    def _tell(self, handle: WorkerHandle, number: int, instruction: Instruction) -> None:
        match instruction:
            case Give(_, tickets):
                given = False
                try:
                    given = handle.give(tickets)
                finally:
                    if not given:
                        self._state.not_given(instruction)
            case TakeBack(_, half):
                self._state.taken_back(instruction, handle.take_back(half=half))
                self._read(number, handle)
            case Interrupt():
                handle.interrupt()
            case Kill():
                handle.kill()
            case other:
                raise AssertionError(f"unknown instruction {other!r}")

    def _start(self, number: int) -> None:
        log = self._scratch / f"worker-{number}.log"
        recipe = WorkerRecipe(self._context.runner, log, wanted_recorders(), self._debugger)
        try:
            handle = WorkerHandle(self._launcher, recipe, self._halt)
        except Exception as error:
            self._state.not_started(number, error)
            return
        self._handles[number] = handle
        self._selector.register(handle.results, selectors.EVENT_READ, (number, False))
        self._selector.register(handle.sentinel, selectors.EVENT_READ, (number, True))
        self._state.started(number, handle.pid)

    # What we tell the state machine

    def _wait(self) -> None:
        """Block until something happens, or until it is time for something; take note of it."""
        deadline = self._state.deadline
        timeout = None if deadline is None else max(0.0, deadline - time.monotonic())
        for key, _ in self._selector.select(timeout):
            if key.data is None:
                assert isinstance(key.fileobj, StopRequest | Elsewhere)
                key.fileobj.acknowledge()
                continue
            number, is_dead = key.data
            if (handle := self._handles.get(number)) is None:
                continue
            self._read(number, handle)
            if is_dead:
                self._bury(number, handle)

    def _read(self, number: int, handle: WorkerHandle) -> None:
        note = self._state.report
        for report in handle.reports():
            note(number, report)

    def _bury(self, number: int, handle: WorkerHandle) -> None:
        """Tell of a death: first the worker's last reports, then what it had not begun, then how it died.

        In this order, since what it has reported is done, and what is left in its pipe of tokens can go to others; what
        then remains is what it was running.
        """
        self._read(number, handle)
        self._selector.unregister(handle.results)
        self._selector.unregister(handle.sentinel)
        del self._handles[number]
        self._state.taken_back(TakeBack(number), handle.take_back())
        begun = list(self._state.workers[number].assigned)
        ending, log = Ending(None), None
        try:
            log = handle.salvage(self._log_name(begun[0])) if begun else None
            ending = handle.bury()
        finally:
            out_of_memory = bool(begun) and self._memory_ran_out()
            self._state.died(number, Death(handle.pid, ending, log, out_of_memory))

    def _log_name(self, id: int) -> str:
        return f"quantum-{id}-attempt-{self._state.attempt(id)}.log"

    def _memory_ran_out(self) -> bool:
        """Return whether the kernel has killed for want of memory since this was last asked."""
        before, self._n_oom_kills = self._n_oom_kills, oom_kills()
        return self._n_oom_kills > before

    # Shutting down

    def __enter__(self) -> Foreman:
        return self

    def __exit__(self, *exc: object) -> None:
        deadline = time.monotonic() + FAREWELL
        for number, handle in self._handles.items():
            worker = self._state.workers[number]
            if worker.assigned or not worker.ready:
                handle.kill()
            else:
                handle.dismiss()
        for handle in self._handles.values():
            if not handle.process.wait(deadline - time.monotonic()):
                handle.kill()
            handle.bury()
        self._handles.clear()
        if _LOG.isEnabledFor(logging.DEBUG):
            _LOG.debug("The pool at its end:\n%s", "\n".join(self._state.describe()))
        self._selector.close()
        self._halt.close()
        self._halt_source.close()
        with contextlib.suppress(OSError):
            (self._scratch / TERMINAL_LOCK).unlink(missing_ok=True)
            self._scratch.rmdir()  # it stays if something is in it: the log of a quantum that was killed, say


def _scratch_folder() -> Path:
    """Make a folder for logs; where that is impossible, return one that nothing can be written to."""
    try:
        return Path(tempfile.mkdtemp(prefix="pipetask-"))
    except OSError as error:
        _LOG.warning("The logs of quanta that are killed will be lost: %s.", reason_of(error))
        return Path(os.devnull, "pipetask")
