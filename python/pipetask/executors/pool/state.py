"""What the pool decides: who gets which quanta, what is taken back, who is interrupted, killed or replaced.

`PoolState` is a state machine without processes, pipes or waiting.  The foreman tells it what has happened (`started`,
`report`, `taken_back`, `died`, …), and does what it says (`PoolState.instructions`).  So a test can take it through
any order of events, with a clock of its own.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

from ...errors import MissingGuardError, PipetaskError
from ...graph.enumeration import QuantumData
from ...outcome import QuantumOutcome, Status
from ..base import ExecutionContext
from ..frontier import Frontier
from ..left_behind import LeftBehindLog
from ..resources import Share
from ..stop import StopLevel
from .bundling import Assigned, BundlePolicy
from .death import Death, explain_death
from .instructions import Give, Halt, Instruction, Interrupt, Kill, Start, TakeBack
from .messages import InDebugger, Ready, Report, StartFailure, Unreadable, Untidy
from .packing import bundler_for
from .trace import Trace
from .worker_state import WorkerState

__all__ = ["PoolState"]

_LOG = logging.getLogger(__name__)

MOST_FAILED_STARTS = 3
"""Workers in a row that die before they are ready until the run is given up."""

_FOREIGN = "what it or a process that it had started wrote into its pipe was no report"


class PoolState:
    """The workers of a pool, the quanta that they have, and what is to be done next.

    Parameters
    ----------
    quanta
        The stream.
    context
        What the execution model was told.
    processes
        Number of workers.
    policy
        How many quanta travel together, and how long they may take to stop.
    clock
        Tells the time in seconds.

    Notes
    -----
    Each quantum of the stream has exactly one outcome in the end, whatever the order of events.  At any moment it is
    in exactly one place: in the frontier, or in `WorkerState.assigned` of one worker.

    A method that raises has brought everything in order first; the caller stops the run and goes on, so that nothing is
    lost of what still runs.
    """

    def __init__(
        self,
        quanta: Iterable[QuantumData],
        context: ExecutionContext,
        processes: int,
        policy: BundlePolicy,
        clock: Callable[[], float] = time.monotonic,
    ):
        self.workers: dict[int, WorkerState] = {}
        """Those that are alive, as far as is known, by their numbers."""
        self.trace = Trace(clock)
        self._context = context
        self._processes = processes
        self._policy = policy
        self._clock = clock
        self._frontier = Frontier(quanta, context.retries, clock, context.elsewhere)
        self._bundler = bundler_for(context, self._frontier, policy, processes, self._assigned)
        self._left_behind = LeftBehindLog(context.graph, "its worker is replaced")
        self._outcomes: list[QuantumOutcome] = []
        self._n_started = 0
        self._n_failed_starts = 0
        self._stop_deadline: float | None = None

    # Questions

    def instructions(self) -> Iterator[Instruction]:
        """Yield what to do now.

        Each instruction is to be followed, and answered, before the next is asked for: what comes next may depend on
        the answer.  If one cannot be followed, ask for all again.
        """
        if self._context.stop:
            yield from self._stop()
        else:
            yield from self._staff()
            yield from self._hand_out()
        yield from self._remove_faulty()
        yield from self._check_timeouts()

    def take_outcomes(self) -> Iterator[QuantumOutcome]:
        """Yield the outcomes that are new since the last call."""
        outcomes, self._outcomes = self._outcomes, []
        yield from outcomes
        if self._context.stop:
            self._bundler.give_up()
            yield from self._frontier.cancel(self._context.stop.reason or "")
        yield from self._frontier.blocked()

    @property
    def over(self) -> bool:
        """Whether there is nothing to wait for; to be asked when all instructions are followed."""
        return self._frontier.exhausted or (bool(self._context.stop) and not self._n_busy)

    @property
    def deadline(self) -> float | None:
        """When to ask for instructions again, if nothing happens before; `None` if there is no hurry."""
        deadlines = [self._stop_deadline] if self._stop_deadline is not None else []
        if (due := self._frontier.next_due) is not None:
            deadlines.append(due)
        if (timeout := self._context.timeout) is not None:
            deadlines += [worker.since + timeout for worker in self.workers.values() if worker.is_timed]
        return min(deadlines, default=None)

    def describe(self) -> list[str]:
        """Return lines about all workers and quanta, and the trace; may be called from any thread."""
        now = self._clock()
        workers = [worker.describe(now) for worker in list(self.workers.values())]
        return [*workers, f"quanta: {self._frontier.describe()}", "last decisions:", *self.trace.lines()]

    def shares(self) -> list[Share]:
        """Return how much of each resource is in use; may be called from any thread."""
        return self._bundler.shares()

    def attempt(self, id: int) -> int:
        """Return which attempt at a quantum is the current one, from 1."""
        return self._frontier.attempt(id)

    # Events

    def started(self, number: int, pid: int) -> None:
        """Note that a worker was started; it is not ready yet."""
        self.workers[number].pid = pid

    def not_started(self, number: int, error: Exception) -> None:
        """Note that a worker could not be started.

        Parameters
        ----------
        number
            The worker.
        error
            Why; an `OSError` if the operating system has no more to give, and then fewer workers will do.

        Raises
        ------
        Exception
            If there is no other worker, or if it failed for another reason.
        """
        self.trace.note(number, "not started", repr(error))
        del self.workers[number]
        if not isinstance(error, OSError):
            raise error
        if not self.workers:
            raise PipetaskError(f"No worker process can be started ({error.strerror}).") from error
        self._processes = len(self.workers)
        _LOG.warning("No more than %d workers can be started (%s).", self._processes, error.strerror)

    def not_given(self, instruction: Give) -> None:
        """Note that a worker could not be given its bundle, because it is dead; its death will be told."""
        worker = self.workers[instruction.worker]
        self.trace.note(worker.number, "not given", _ids(instruction))
        worker.leaving = True
        self._give_back(worker, [ticket.id for ticket in instruction.tickets])

    def taken_back(self, instruction: TakeBack, ids: Sequence[int]) -> None:
        """Note what a worker had not begun, and will not begin any more."""
        worker = self.workers[instruction.worker]
        self.trace.note(worker.number, "taken back", ids)
        self._give_back(worker, ids)
        # The half that is left is not larger than the half that was taken.
        worker.held = min(worker.held, len(ids)) if instruction.half else 0

    def report(self, number: int, report: Report) -> None:
        """Note what a worker has reported.

        Raises
        ------
        PipetaskError
            If it could not start.
        """
        worker = self.workers[number]
        if worker.fault is not None:
            return
        match report:
            # It runs what it was given in order, and what it has not begun may have been taken back: so the only
            # quantum that it can speak of is the first.
            case QuantumOutcome() if report.id == next(iter(worker.assigned), None):
                self._ended(worker, report)
            case Ready() if not worker.ready:
                self.trace.note(number, "ready")
                worker.ready = True
                worker.since = self._clock()
                self._n_failed_starts = 0
            case InDebugger(error):
                self.trace.note(number, "in debugger")
                worker.debugged = error
            case Untidy(id, left) if id == next(iter(worker.assigned), None):
                self.trace.note(number, "untidy", f"{id}: {left}")
                self._left_behind.note(id, left)
                if left.stays:
                    worker.leaving = True
            case StartFailure(error) if not worker.ready:
                self.trace.note(number, "start failure", error.type_name)
                if error.type_name.endswith(MissingGuardError.__name__):
                    raise MissingGuardError
                raise PipetaskError(
                    f"A worker could not start: {error.type_name}: {error.message}"
                ) from _RemoteError(error.traceback)
            case Unreadable():
                self._distrust(worker, _FOREIGN)
            case QuantumOutcome() | Untidy():
                self._distrust(worker, f"{_FOREIGN} of the quantum that it ran (but of {report.id})")
            case other:
                self._distrust(worker, f"it reported {type(other).__name__}")

    def died(self, number: int, death: Death) -> None:
        """Note the death of a worker, after all its reports, and after all that it had not begun was taken back.

        Raises
        ------
        PipetaskError
            If it is the last of so many that died before they were ready that no other will do better.
        """
        worker = self.workers.pop(number)
        self.trace.note(number, "died", death)
        started = time.time() - (self._clock() - worker.since)
        # What is left it had begun.  That is one quantum, unless a child of a task has read tokens; lose none.
        for id in worker.assigned:
            outcome = explain_death(id, worker.doomed, worker.fault, death, started)
            if worker.debugged is not None:  # it had failed before
                outcome = replace(outcome, status=Status.FAILED, error=worker.debugged)
            self._finish(outcome)
        if not worker.assigned and not worker.ready:
            self._n_failed_starts += 1
            if self._n_failed_starts >= MOST_FAILED_STARTS:
                raise PipetaskError(
                    f"{MOST_FAILED_STARTS} workers in a row died before they were ready "
                    f"(exit code {death.ending.exit_code})."
                )

    def _ended(self, worker: WorkerState, outcome: QuantumOutcome) -> None:
        worker.debugged = None
        worker.since = self._clock()
        self.trace.add((worker.since, worker.number, outcome.status, outcome.id))
        self._bundler.learn(worker.drop(outcome.id).task_index, outcome)
        self._finish(outcome)

    def _finish(self, outcome: QuantumOutcome) -> None:
        """Take an outcome, unless the quantum is tried again."""
        if (final := self._frontier.finish(outcome)) is not None:
            self._context.note_failure(final)
            self._outcomes.append(final)

    def _distrust(self, worker: WorkerState, fault: str) -> None:
        """Believe nothing more that comes from a worker."""
        self.trace.note(worker.number, "fault", fault)
        worker.fault = fault

    def _give_back(self, worker: WorkerState, ids: Sequence[int]) -> None:
        for id in ids:
            self._frontier.give_back(worker.drop(id))

    # Decisions

    def _assigned(self) -> list[Assigned]:
        """Return what each worker has; a display may ask from another thread."""
        return [worker.assigned for worker in list(self.workers.values())]

    @property
    def _n_busy(self) -> int:
        return sum(1 for worker in self.workers.values() if worker.assigned)

    def _staff(self) -> Iterator[Instruction]:
        """Start as many workers as there is work for."""
        wanted = self._bundler.ready(self._processes, self._processes) + self._n_busy
        while sum(not worker.leaving for worker in self.workers.values()) < min(self._processes, wanted):
            self._n_started += 1
            self.trace.note(self._n_started, "start")
            self.workers[self._n_started] = WorkerState(self._n_started, self._clock())
            yield Start(self._n_started)

    def _hand_out(self) -> Iterator[Instruction]:
        """Give work to those who are about to run out of it."""
        hungry = [
            worker for worker in self.workers.values() if worker.is_available and self._is_hungry(worker)
        ]
        hungry.sort(key=lambda worker: len(worker.assigned))
        for worker in hungry:
            if not worker.assigned and not self._bundler.ready(self._processes, 1):
                yield from self._take_back_half()
                if self._context.stop:
                    return
            if not worker.is_available:  # what was read when others gave back may concern this one
                continue
            idle = not worker.assigned
            quanta, seconds = self._bundler.next(self._processes, idle=idle, behind=worker.assigned)
            if quanta:
                yield self._given(worker, quanta, seconds)

    def _is_hungry(self, worker: WorkerState) -> bool:
        # Half a bundle is left when the next one is sent, so that it arrives before the worker has nothing to do.
        return not worker.assigned or worker.backlog < self._policy.seconds / 2

    def _take_back_half(self) -> Iterator[Instruction]:
        """Take back half of what the worker with the most of it has not begun.

        A worker that was believed to have some may have none; then it is another's turn.
        """
        while not self._bundler.ready(self._processes, 1):
            rich = max(
                filter(self._may_share, self.workers.values()), key=lambda each: each.held, default=None
            )
            if rich is None:
                return
            yield self._taken(rich, half=True)

    def _may_share(self, worker: WorkerState) -> bool:
        """Return whether another worker could run what this one has not begun."""
        return bool(worker.held) and self._bundler.may_share(self._processes, worker.assigned)

    def _given(self, worker: WorkerState, quanta: list[QuantumData], seconds: float) -> Give:
        frontier, ticket = self._frontier, self._context.ticket
        give = Give(
            worker.number,
            [ticket(q, frontier.attempt(q.id), new_inputs=frontier.has_new_inputs(q)) for q in quanta],
        )
        self.trace.note(worker.number, "give", _ids(give))
        if not worker.assigned:
            worker.since = self._clock()
        worker.assigned.update((quantum.id, quantum) for quantum in quanta)
        worker.held += len(quanta)
        worker.backlog += seconds
        return give

    def _taken(self, worker: WorkerState, *, half: bool = False) -> TakeBack:
        self.trace.note(worker.number, "take back", "half" if half else "all")
        return TakeBack(worker.number, half)

    def _killed(self, worker: WorkerState, why: Status) -> Kill:
        self.trace.note(worker.number, "kill", why)
        worker.doomed = why
        return Kill(worker.number, why)

    def _remove_faulty(self) -> Iterator[Instruction]:
        """Kill those that are not believed any more, and take from those that leave what they have not begun."""
        for worker in list(self.workers.values()):
            if worker.fault is not None and worker.doomed is None:
                yield self._killed(worker, Status.KILLED)
            elif worker.leaving and worker.held:
                yield self._taken(worker)

    def _stop(self) -> Iterator[Instruction]:
        """Take back what has not begun, and if that is asked for interrupt what runs; kill it if it does not obey."""
        for worker in list(self.workers.values()):
            if worker.held:
                yield self._taken(worker)
        if self._context.stop.level < StopLevel.STOP:
            return
        busy = [worker for worker in self.workers.values() if worker.assigned]
        if self._stop_deadline is None:
            self.trace.note(0, "stop", self._context.stop.reason or "")
            self._stop_deadline = self._clock() + self._policy.grace
            # Workers look for this when they are interrupted: without it, an interrupt concerns only their quantum.
            yield Halt()
            for worker in busy:
                yield Interrupt(worker.number)
        if self._context.stop.level >= StopLevel.KILL or self._clock() >= self._stop_deadline:
            # A process may take a while to die; until then there is nothing more to do.
            self._stop_deadline = self._clock() + self._policy.grace
            for worker in busy:
                if worker.doomed is None:
                    yield self._killed(worker, Status.CANCELLED)

    def _check_timeouts(self) -> Iterator[Instruction]:
        """Kill those whose quantum has taken too long."""
        if self._context.timeout is None:
            return
        for worker in list(self.workers.values()):
            if self._is_overdue(worker):
                # It may just have ended the one that took so long, and begun another.  When all that it has not begun
                # is taken back, it can begin nothing else, and its reports after that say what it still runs.
                yield self._taken(worker)
                if self._is_overdue(worker):
                    yield self._killed(worker, Status.TIMED_OUT)

    def _is_overdue(self, worker: WorkerState) -> bool:
        timeout = self._context.timeout
        return timeout is not None and worker.is_timed and self._clock() >= worker.since + timeout


def _ids(give: Give) -> tuple[int, ...]:
    return tuple(ticket.id for ticket in give.tickets)


class _RemoteError(Exception):
    """Carries the text of a traceback from another process."""

    def __str__(self) -> str:
        return f"\n{self.args[0]}"
