"""A warm worker process of one's own, for a thread or process that an engine has given us.

Between an engine's worker and the quantum there is always such a process.  So a crash is the outcome of one quantum, a
timeout kills all that the quantum has started, and tasks share neither logging nor butler, whatever the engine does.
"""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Pipe, wait
from pathlib import Path

from ...errors import PipetaskError
from ...outcome import QuantumError, QuantumOutcome, Status
from ...runner import RunnerSpec, Ticket
from ...runner.failure import describe_exception
from ...runner.memory_kills import oom_kills
from ...runner.process_state import LeftBehind
from ..pool.death import Death, explain_death
from ..pool.ending import Ending
from ..pool.launcher import Launcher
from ..pool.messages import Ready, Report, StartFailure, Untidy
from ..pool.worker import WorkerRecipe
from ..pool.worker_handle import WorkerHandle
from ..stop import StopLevel

__all__ = ["Limits", "LoneWorker", "WorkerStartError"]

MOST_FAILED_STARTS = 3
"""Workers in a row that may die before they are ready."""

TICK = 0.25
"""Seconds between two looks at whether the run stops."""

FAREWELL = 5.0
"""Seconds that an idle worker has to finish before it is killed."""


class WorkerStartError(Exception):
    """A worker process cannot be started, or cannot open its runner.

    Parameters
    ----------
    error
        Why.
    """

    def __init__(self, error: QuantumError):
        super().__init__(f"{error.type_name}: {error.message}")
        self.error = error


@dataclass(frozen=True)
class Limits:
    """How long things may take."""

    timeout: float | None
    """Seconds that one quantum may take."""

    grace: float
    """Seconds that an interrupted quantum has to clean up before it is killed."""


class LoneWorker:
    """Runs bundles of quanta, one after the other, in one process that is replaced when it dies.

    Parameters
    ----------
    runner
        Recipe for what runs a quantum.
    launcher
        Starts processes.
    log
        File for the log of the quantum that runs, in a folder of its own.
    """

    def __init__(self, runner: RunnerSpec, launcher: Launcher, log: Path):
        self._recipe = WorkerRecipe(runner, log)
        self._launcher = launcher
        self._halt, self._halt_source = Pipe(duplex=False)
        self._handle: WorkerHandle | None = None
        self._n_oom_kills = oom_kills()
        self.left_behind: list[tuple[int, LeftBehind]] = []
        """What quanta of the last bundle have left in their process."""

    def run(
        self,
        tickets: Sequence[Ticket],
        limits: Limits,
        level: Callable[[], StopLevel],
        note: Callable[[QuantumOutcome], None],
    ) -> None:
        """Run a bundle.  When the run stops, what was not begun is left out.

        Parameters
        ----------
        tickets
            The quanta, in the order in which to run them.
        limits
            How long they may take.
        level
            Asked every now and then whether the run stops.
        note
            Called with each outcome, at once.

        Raises
        ------
        WorkerStartError
            If there is no worker that could run them.
        """
        self.left_behind = []
        shift = _Shift(deque(tickets), note)
        while shift.left and not level():
            if self._handle is None:
                self._start()
                shift.given = False
                continue  # it may have taken long: the run may stop by now
            self._go_on(shift, limits, level)

    def _go_on(self, shift: _Shift, limits: Limits, level: Callable[[], StopLevel]) -> None:
        """Let the worker run what is left, until that is done, or it is dead."""
        handle = self._started_handle
        if not shift.given:
            shift.given, shift.since = True, time.monotonic()
            handle.give(list(shift.left))
        while shift.left and self._handle is not None:
            ready = wait([handle.results, handle.process.sentinel], TICK)
            self._read(shift)
            if handle.process.sentinel in ready:
                self._bury(shift)
                return
            if shift.doomed is not None:
                continue
            now = time.monotonic()
            if shift.fault is not None:
                self._kill(shift, Status.KILLED)
            elif limits.timeout is not None and now > shift.since + limits.timeout:
                self._kill(shift, Status.TIMED_OUT)
            elif now >= shift.next_look:  # not after each quantum: it may be a file on another machine
                shift.next_look = now + TICK
                self._stop_if_asked(shift, level(), now, limits.grace)

    def _read(self, shift: _Shift) -> None:
        for report in self._started_handle.reports():
            if shift.fault is None:
                self._hear(shift, report)

    def _hear(self, shift: _Shift, report: Report) -> None:
        match report:
            case QuantumOutcome() if shift.left and report.id == shift.left[0].id:
                shift.left.popleft()
                shift.since = time.monotonic()
                shift.note(report)
            case Untidy(id, left):
                self.left_behind.append((id, left))
            case _:
                shift.fault = "what it or a process that it had started wrote into its pipe was no report"

    def _stop_if_asked(self, shift: _Shift, level: StopLevel, now: float, grace: float) -> None:
        if not level:
            return
        unbegun = set(self._started_handle.take_back())
        kept = [ticket for ticket in shift.left if ticket.id not in unbegun]
        shift.left.clear()
        shift.left.extend(kept)
        if level < StopLevel.STOP:
            return
        if shift.stop_deadline is None:
            shift.stop_deadline = now + grace
            self._halt_source.close()  # which the worker sees, so that it takes the signal for an order
            self._started_handle.interrupt()
        if level is StopLevel.KILL or now > shift.stop_deadline:
            self._kill(shift, Status.CANCELLED)

    def _kill(self, shift: _Shift, why: Status) -> None:
        shift.doomed = why
        self._started_handle.kill()

    # Processes

    @property
    def _started_handle(self) -> WorkerHandle:
        assert self._handle is not None, "it has been started"
        return self._handle

    def _start(self) -> None:
        """Start a worker, and wait until it is ready."""
        for _ in range(MOST_FAILED_STARTS):
            try:
                self._handle = WorkerHandle(self._launcher, self._recipe, self._halt, unpack=False)
            except (OSError, PipetaskError) as failure:
                raise WorkerStartError(describe_exception(failure)) from failure
            if self._gets_ready(self._handle):
                return
            ending = self._drop()
        message = f"{MOST_FAILED_STARTS} workers in a row died before they were ready (exit code {ending.exit_code})"
        raise WorkerStartError(QuantumError("pipetask.errors.PipetaskError", message, ""))

    def _gets_ready(self, handle: WorkerHandle) -> bool:
        """Wait until a new worker is ready, or dead."""
        while True:
            wait([handle.results, handle.process.sentinel])
            for report in list(handle.reports()):
                match report:
                    case Ready():
                        return True
                    case StartFailure(error):
                        self._drop()
                        raise WorkerStartError(error)
                    case _:
                        return False
            if handle.process.wait(0):
                return False

    def _drop(self) -> Ending:
        handle, self._handle = self._started_handle, None
        handle.kill()
        return handle.bury()

    def _bury(self, shift: _Shift) -> None:
        """Take note of a death: what was running has ended by it; what was not begun is left."""
        handle, self._handle = self._started_handle, None
        unbegun = set(handle.take_back())
        begun = bool(shift.left) and shift.left[0].id not in unbegun
        log = handle.salvage(_log_name(shift.left[0])) if begun else None
        death = Death(handle.pid, handle.bury(), log, begun and self._memory_ran_out())
        if begun:
            started = time.time() - (time.monotonic() - shift.since)
            ticket = shift.left.popleft()
            shift.note(explain_death(ticket.id, shift.doomed, shift.fault, death, started))
        shift.doomed = shift.fault = None

    def _memory_ran_out(self) -> bool:
        before, self._n_oom_kills = self._n_oom_kills, oom_kills()
        return self._n_oom_kills > before

    def dismiss(self) -> None:
        """Tell the process to finish; `close` waits for that."""
        if self._handle is not None:
            self._handle.dismiss()

    def close(self) -> None:
        """End the process."""
        if self._handle is not None:
            self.dismiss()
            self._handle.process.wait(FAREWELL)
            self._drop()
        self._halt.close()
        self._halt_source.close()
        with contextlib.suppress(OSError):  # it stays if the log of a quantum that was killed is in it
            self._recipe.log.parent.rmdir()


@dataclass
class _Shift:
    """A bundle while it runs."""

    left: deque[Ticket]
    """What has not ended; the first of these is what runs, or runs next."""

    note: Callable[[QuantumOutcome], None]
    given: bool = False
    """Whether the worker has been given all of it."""

    since: float = 0.0
    """When the last quantum ended; from here the timeout counts."""

    doomed: Status | None = None
    """What becomes of the running quantum because its process is killed, if it is."""

    fault: str | None = None
    """Why nothing is believed any more that comes from the worker, if so."""

    next_look: float = 0.0
    """When to look whether the run stops."""

    stop_deadline: float | None = None


def _log_name(ticket: Ticket) -> str:
    return f"quantum-{ticket.id}-attempt-{ticket.attempt}.log"
