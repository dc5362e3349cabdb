"""What fits into the walltime of a job.

A job that is killed at its limit loses what it runs at that moment.  So no quantum is begun that will not fit, judged
by the longest of its label so far, and what runs shortly before the limit is interrupted.  The first quantum of a job
is always begun: no other job would have more time for it.
"""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from types import FrameType

from ..executors.stop import StopLevel, StopRequest
from ..outcome import Kind, QuantumOutcome, Status
from .exit_codes import ExitCode
from .index import IndexedQuantum

__all__ = ["Walltime"]

_WARNING = signal.SIGUSR2
"""What this process sends itself when quanta have to end; a batch system may send it, too."""

_MOST_RESERVED = 30.0
"""Seconds that are kept, at most, for ending cleanly."""

_REASON = "the job's walltime ends"


class Walltime:
    """The walltime of this job.

    Parameters
    ----------
    left
        Seconds that are left of it; `None` if that is not known, and then everything fits.
    quanta
        All quanta of the node.
    todo
        Ids of those that this job has to run, in the order in which it begins them.
    earlier
        Outcomes of the node's quanta from earlier jobs.
    clock
        Tells the time in seconds.
    """

    def __init__(
        self,
        left: float | None,
        quanta: Iterable[IndexedQuantum],
        todo: Iterable[int],
        earlier: Iterable[QuantumOutcome] = (),
        clock: Callable[[], float] = time.monotonic,
    ):
        self._clock = clock
        self._end = None if left is None else clock() + left - min(_MOST_RESERVED, left / 10)
        self._tasks = {quantum.id: quantum.task for quantum in quanta}
        self._waiting = dict.fromkeys(todo)
        self._longest: dict[int, float] = {}
        self._some_ended = self._cut_short = False
        for outcome in earlier:
            self._learn(outcome)

    def note(self, outcome: QuantumOutcome, running: Collection[int], stop: StopRequest) -> None:
        """Take note of an outcome, and let nothing more begin if the next quantum does not fit.

        Parameters
        ----------
        outcome
            How a quantum ended.
        running
            Ids of the quanta that run.
        stop
            Where to ask for the end.
        """
        self._waiting.pop(outcome.id, None)
        self._learn(outcome)
        self._some_ended |= outcome.status.kind in (Kind.DONE, Kind.FAILED)
        next_one = next((id for id in self._waiting if id not in running), None)
        if self._end is not None and next_one is not None and not self._fits(next_one):
            self._cut_short = True
            stop.ask(_REASON, StopLevel.FINISH)

    def cut_short(self, stop: StopRequest) -> None:
        """Let nothing more begin, although there would be time."""
        self._cut_short = True
        stop.ask("the job is asked to end", StopLevel.FINISH)

    @contextlib.contextmanager
    def interrupting(self, stop: StopRequest) -> Iterator[None]:
        """Let what runs be interrupted when the walltime ends, until the context ends.

        The signal that a batch system may send ahead of the limit has the same effect.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def warn(number: int, frame: FrameType | None) -> None:
            self._cut_short = True
            stop.ask(_REASON)

        before = signal.signal(_WARNING, warn)
        over = threading.Event()
        timer = threading.Thread(target=self._warn_in_time, args=[over], name="walltime", daemon=True)
        timer.start()
        try:
            yield
        finally:
            over.set()
            timer.join()
            signal.signal(_WARNING, before)

    def exit_code(self, outcomes: Collection[QuantumOutcome], stop: StopRequest) -> ExitCode | None:
        """Return what this job exits with because of its walltime; `None` if that was long enough.

        Parameters
        ----------
        outcomes
            What has become of the job's quanta.
        stop
            Whether the job was asked to end.
        """
        at_limit = stop.signal is not None and self._end is not None and self._clock() >= self._end
        left = any(outcome.status is Status.CANCELLED for outcome in outcomes)
        if not left or not (self._cut_short or at_limit):
            return None
        return ExitCode.UNFINISHED if self._some_ended else ExitCode.OUT_OF_TIME

    def _warn_in_time(self, over: threading.Event) -> None:
        """Send this process the warning when its time has come, unless it is over before."""
        if self._end is not None and not over.wait(max(0.0, self._end - self._clock())):
            signal.pthread_kill(threading.main_thread().ident or 0, _WARNING)

    def _learn(self, outcome: QuantumOutcome) -> None:
        seconds, task = outcome.duration, self._tasks.get(outcome.id)
        if seconds is not None and task is not None and outcome.status.kind is not Kind.NOT_RUN:
            self._longest[task] = max(seconds, self._longest.get(task, 0.0))

    def _fits(self, id: int) -> bool:
        assert self._end is not None
        return self._clock() + self._longest.get(self._tasks[id], 0.0) < self._end
