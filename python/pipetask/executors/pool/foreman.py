"""The parent's side of the pool: hand out, wait, handle, replace, shut down."""

from __future__ import annotations

import contextlib
import logging
import os
import selectors
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from multiprocessing.connection import Pipe
from pathlib import Path

from ...development.workers import wanted_recorders
from ...errors import PipetaskError, one_line, reason_of
from ...graph.enumeration import QuantumData
from ...outcome import QuantumOutcome, Status
from ...runner.memory_kills import oom_kills
from ..base import ExecutionContext
from ..frontier import Frontier
from ..left_behind import LeftBehindLog
from ..stop import StopLevel
from .bundling import BundlePolicy, Timings
from .death import explain_death
from .launcher import Launcher
from .messages import InDebugger, Ready, StartFailure, Untidy
from .terminal import TERMINAL_LOCK, WorkerDebugger
from .worker import WorkerRecipe
from .worker_handle import WorkerHandle

__all__ = ["Foreman"]

_LOG = logging.getLogger(__name__)

FAREWELL = 5.0
"""Seconds that an idle worker has to finish before it is killed."""

MOST_FAILED_STARTS = 3


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
        self._frontier = Frontier(quanta, context.retries)
        self._processes = processes
        self._launcher = launcher
        self._policy = policy
        self._timings = Timings()
        self._selector = selectors.DefaultSelector()
        self._selector.register(context.stop, selectors.EVENT_READ)
        self._workers: list[WorkerHandle] = []
        self._n_started = 0
        self._n_failed_starts = 0
        self._n_oom_kills = oom_kills()
        self._stop_deadline: float | None = None
        self._halt, self._halt_source = Pipe(duplex=False)
        self._scratch = _scratch_folder()
        self._left_behind = LeftBehindLog(context.graph, "its worker is replaced")
        context.activity.report_with(self._running)

    def outcomes(self) -> Iterator[QuantumOutcome]:
        """Run the stream; yield outcomes as they come.

        An error of the pool itself (a worker cannot start, say) first stops the run, as a request to stop does, so that
        nothing is lost of what has ended or still runs; then it is raised.
        """
        self._launcher.get_ready(self._context.stop)
        errors: list[Exception] = []
        while True:
            try:
                yield from self._hand_out_or_cancel()
                if self._over:
                    break
                yield from self._wait()
            except Exception as error:
                errors.append(error)
                if len(errors) > self._processes + MOST_FAILED_STARTS:  # it does not get better
                    break
                self._context.stop.ask(one_line(error))
        if errors:
            raise errors[0]

    def _hand_out_or_cancel(self) -> Iterator[QuantumOutcome]:
        if self._context.stop:
            yield from self._frontier.cancel(self._context.stop.reason or "")
        else:
            self._staff()
            self._hand_out()
        yield from self._frontier.blocked()

    @property
    def _over(self) -> bool:
        return self._frontier.exhausted or (bool(self._context.stop) and not self._n_busy)

    def _running(self) -> list[int]:
        current = (worker.current for worker in list(self._workers))
        return [quantum.id for quantum in current if quantum is not None]

    # Feeding

    def _staff(self) -> None:
        """Start as many workers as there is work for."""
        wanted = min(self._processes, self._frontier.fill(self._processes) + self._n_busy)
        while sum(not worker.leaving for worker in self._workers) < wanted:
            try:
                self._start_worker()
            except OSError as error:  # the operating system has no more to give
                if not self._workers:
                    raise PipetaskError(f"No worker process can be started ({error.strerror}).") from error
                self._processes = len(self._workers)
                _LOG.warning("No more than %d workers can be started (%s).", self._processes, error.strerror)
                return

    def _start_worker(self) -> None:
        self._n_started += 1
        log = self._scratch / f"worker-{self._n_started}.log"
        recipe = WorkerRecipe(self._context.runner, log, wanted_recorders(), self._debugger)
        worker = WorkerHandle(self._launcher, recipe, self._halt)
        self._workers.append(worker)
        self._selector.register(worker.results, selectors.EVENT_READ, (worker, "results"))
        self._selector.register(worker.sentinel, selectors.EVENT_READ, (worker, "death"))

    @property
    def _n_busy(self) -> int:
        return sum(1 for worker in self._workers if worker.assigned)

    def _hand_out(self) -> None:
        """Give work to those who are about to run out of it."""
        hungry = [w for w in self._workers if w.is_available and self._is_hungry(w)]
        hungry.sort(key=lambda worker: len(worker.assigned))
        for worker in hungry:
            if not worker.assigned and not self._frontier.fill(1):
                self._take_back_half()
            self._give(worker, *self._next_bundle(idle=not worker.assigned))

    def _give(self, worker: WorkerHandle, quanta: list[QuantumData], seconds: float) -> None:
        if quanta:
            worker.backlog += seconds
            attempt, new_inputs = self._frontier.attempt, self._frontier.has_new_inputs
            ticket = self._context.ticket
            tickets = [ticket(q, attempt(q.id), new_inputs=new_inputs(q)) for q in quanta]
            if not worker.give(quanta, tickets):
                for quantum in quanta:
                    self._frontier.give_back(quantum)

    def _take_back_half(self) -> None:
        """Take back half of what the worker with the most of it has not begun."""
        rich = max(self._workers, key=lambda worker: worker.unclaimed)
        before = len(rich.assigned)
        for quantum in rich.take_back((rich.unclaimed + 1) // 2):
            self._frontier.give_back(quantum)
        rich.backlog = rich.backlog * len(rich.assigned) / before if rich.assigned else 0.0

    def _is_hungry(self, worker: WorkerHandle) -> bool:
        return not worker.assigned or worker.backlog < self._policy.seconds / 2

    def _next_bundle(self, *, idle: bool) -> tuple[list[QuantumData], float]:
        """Take a bundle from the frontier; return it and the seconds that it is expected to take."""
        frontier, policy = self._frontier, self._policy
        # Others want some, too: nobody takes more than an equal share of what is ready.
        share = max(1, frontier.fill(policy.most * self._processes) // self._processes)
        share = min(share, policy.most)
        quanta: list[QuantumData] = []
        seconds = 0.0
        while len(quanta) < share and (quantum := frontier.peek()) is not None:
            expected = self._timings.expect(quantum.task_index)
            if seconds + expected > policy.seconds and (quanta or not idle):
                break
            frontier.take()
            quanta.append(quantum)
            seconds += expected
        return quanta, seconds

    # Waiting

    def _wait(self) -> Iterator[QuantumOutcome]:
        """Block until something happens; yield what ended."""
        for key, _ in self._selector.select(self._seconds_to_deadline()):
            if key.data is None:
                self._context.stop.acknowledge()
                continue
            worker, event = key.data
            if worker not in self._workers:
                continue
            yield from self._read(worker)
            if event == "death":
                yield from self._handle_death(worker)
        if self._context.stop:
            yield from self._stop()
        yield from self._kill_overdue()

    def _seconds_to_deadline(self) -> float | None:
        deadlines = [self._stop_deadline] if self._stop_deadline is not None else []
        if (due := self._frontier.next_due) is not None:
            deadlines.append(due)
        if (timeout := self._context.timeout) is not None:
            deadlines += [w.since + timeout for w in self._workers if w.is_timed]
        return max(0.0, min(deadlines) - time.monotonic()) if deadlines else None

    def _read(self, worker: WorkerHandle) -> Iterator[QuantumOutcome]:
        for report in worker.reports():
            match report:
                case QuantumOutcome():
                    worker.debugged = None
                    worker.since = time.monotonic()
                    before = len(worker.assigned)
                    quantum = worker.assigned.pop(report.id)
                    worker.backlog = worker.backlog * (before - 1) / before if before > 1 else 0.0
                    self._timings.learn(quantum.task_index, report)
                    yield from self._finish(report)
                case Ready():
                    worker.ready = True
                    worker.since = time.monotonic()
                    self._n_failed_starts = 0
                case InDebugger(error):
                    worker.debugged = error
                case Untidy(id, left):
                    self._left_behind.note(id, left)
                    if left.stays:
                        worker.leaving = True
                        for quantum in worker.take_back(len(worker.assigned)):
                            self._frontier.give_back(quantum)
                case StartFailure(error) if not worker.ready:
                    raise PipetaskError(
                        f"A worker could not start: {error.type_name}: {error.message}"
                    ) from (_RemoteError(error.traceback))
                case other:
                    worker.distrust(f"it reported {type(other).__name__}")
        if worker.fault is not None and worker.doomed is None:
            worker.kill(Status.KILLED)  # its sentinel will tell when it is dead

    def _finish(self, outcome: QuantumOutcome) -> Iterator[QuantumOutcome]:
        """Yield the outcome, unless the quantum is tried again."""
        if (final := self._frontier.finish(outcome)) is not None:
            self._context.note_failure(final)
            yield final

    # Handling

    def _handle_death(self, worker: WorkerHandle) -> Iterator[QuantumOutcome]:
        yield from self._read(worker)
        self._dismiss_from_books(worker)
        for quantum in worker.take_back(len(worker.assigned)):
            self._frontier.give_back(quantum)
        started = time.time() - (time.monotonic() - worker.since)
        # What is left it had begun.  That is one, unless somebody else has read from its pipe; none may get lost.
        begun = list(worker.assigned)
        log = self._salvage(worker, begun[0]) if begun else None
        ending = worker.bury()
        out_of_memory = bool(begun) and self._memory_ran_out()
        for id in begun:
            outcome = explain_death(
                id,
                worker.doomed,
                worker.fault,
                ending,
                worker.pid,
                started,
                log,
                out_of_memory=out_of_memory,
            )
            if worker.debugged is not None:  # it had failed before
                outcome = replace(outcome, status=Status.FAILED, error=worker.debugged)
            yield from self._finish(outcome)
        if not begun and not worker.ready:
            self._n_failed_starts += 1
            if self._n_failed_starts >= MOST_FAILED_STARTS:
                raise PipetaskError(
                    f"{MOST_FAILED_STARTS} workers in a row died before they were ready (exit code {ending.exit_code})."
                )

    def _salvage(self, worker: WorkerHandle, id: int) -> str | None:
        return worker.salvage(f"quantum-{id}-attempt-{self._frontier.attempt(id)}.log")

    def _memory_ran_out(self) -> bool:
        """Return whether the kernel has killed for want of memory since this was last asked."""
        before, self._n_oom_kills = self._n_oom_kills, oom_kills()
        return self._n_oom_kills > before

    def _dismiss_from_books(self, worker: WorkerHandle) -> None:
        self._workers.remove(worker)
        self._selector.unregister(worker.results)
        self._selector.unregister(worker.sentinel)

    def _stop(self) -> Iterator[QuantumOutcome]:
        """Interrupt what runs; kill it if it does not obey, or if that is asked for."""
        for worker in self._workers:
            for quantum in worker.take_back(len(worker.assigned)):
                self._frontier.give_back(quantum)
        now = time.monotonic()
        if self._stop_deadline is None:
            self._stop_deadline = now + self._policy.grace
            self._halt_source.send_bytes(b".")  # nobody ever reads it
            for worker in self._workers:
                if worker.assigned:
                    worker.interrupt()
        if self._context.stop.level >= StopLevel.KILL or now >= self._stop_deadline:
            for worker in [worker for worker in self._workers if worker.assigned and worker.doomed is None]:
                worker.kill(Status.CANCELLED)
            self._stop_deadline = now + self._policy.grace
        yield from self._frontier.blocked()

    def _kill_overdue(self) -> Iterator[QuantumOutcome]:
        timeout = self._context.timeout
        if timeout is None:
            return
        now = time.monotonic()
        for worker in list(self._workers):
            if not worker.is_timed or now < worker.since + timeout:
                continue
            # From here on it can begin nothing else; it may just have ended the one that took so long.
            for quantum in worker.take_back(len(worker.assigned)):
                self._frontier.give_back(quantum)
            yield from self._read(worker)
            if worker.is_timed and now >= worker.since + timeout:
                worker.kill(Status.TIMED_OUT)

    # Shutting down

    def __enter__(self) -> Foreman:
        return self

    def __exit__(self, *exc: object) -> None:
        deadline = time.monotonic() + FAREWELL
        for worker in self._workers:
            if worker.assigned or not worker.ready:
                worker.kill(Status.CANCELLED)
            else:
                worker.dismiss()
        for worker in self._workers:
            if not worker.process.wait(deadline - time.monotonic()):
                worker.kill(Status.CANCELLED)
            worker.bury()
        self._workers.clear()
        self._selector.close()
        self._halt.close()
        self._halt_source.close()
        with contextlib.suppress(OSError):
            (self._scratch / TERMINAL_LOCK).unlink(missing_ok=True)
            self._scratch.rmdir()  # it stays if it holds the log of a quantum that was killed


def _scratch_folder() -> Path:
    """Make a folder for logs; where that is impossible, return one that nothing can be written to."""
    try:
        return Path(tempfile.mkdtemp(prefix="pipetask-"))
    except OSError as error:
        _LOG.warning("The logs of quanta that are killed will be lost: %s.", reason_of(error))
        return Path(os.devnull, "pipetask")


class _RemoteError(Exception):
    """Carries the text of a traceback from another process."""

    def __str__(self) -> str:
        return f"\n{self.args[0]}"
