"""Which quanta are ready, and which never will be: the only scheduling logic there is."""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable, Iterable, Iterator

from ..graph.enumeration import QuantumData
from ..outcome import QuantumOutcome, Status
from .elsewhere import Elsewhere
from .retries import NO_RETRIES, RetryPolicy, all_attempts

__all__ = ["Frontier"]


class Frontier:
    """The edge between what is done and what waits.

    Parameters
    ----------
    quanta
        The stream; it is read only as far as needed to have enough ready quanta.
    retries
        Which failures are not the end: such a quantum becomes ready once more.
    clock
        Tells the time in seconds.
    elsewhere
        What other models have done of the same graph, if the stream is only a part of it.

    Notes
    -----
    Ready quanta are handed out lowest id first.  Each quantum taken from the stream leaves in exactly one way:
    through `finish`, `blocked` or `cancel`.
    """

    def __init__(
        self,
        quanta: Iterable[QuantumData],
        retries: RetryPolicy = NO_RETRIES,
        clock: Callable[[], float] = time.monotonic,
        elsewhere: Elsewhere | None = None,
    ):
        self._elsewhere = elsewhere
        self._retries = retries
        self._clock = clock
        self._stream: Iterator[QuantumData] | None = iter(quanta)
        self._ready: list[tuple[int, QuantumData]] = []
        self._waiting: dict[int, tuple[QuantumData, int]] = {}
        self._dependents: dict[int, list[int]] = {}
        self._done = bytearray()  # by id; a set of a million takes sixty times as much
        self._skipped: set[int] = set()
        self._bad: dict[int, int] = {}
        self._blocked: list[QuantumOutcome] = []
        self._out: dict[int, QuantumData] = {}
        self._failed: dict[int, list[QuantumOutcome]] = {}
        """Outcomes of quanta that are tried again, oldest first, until the last attempt has ended."""
        self._later: list[tuple[float, int, QuantumData]] = []
        """A heap of those that wait for their next attempt, by when that is due."""

    @property
    def exhausted(self) -> bool:
        """Whether nothing is left to hand out, now or later."""
        left = self._ready or self._waiting or self._out or self._later
        return self._stream is None and not left

    @property
    def next_due(self) -> float | None:
        """When, by the clock, the next quantum that waits to be tried again is ready; `None` if none waits."""
        return self._later[0][0] if self._later else None

    def describe(self) -> str:
        """Return how many quanta it knows in which state, in one line."""
        counts = {
            "ready": self._ready,
            "waiting for others": self._waiting,
            "handed out": self._out,
            "waiting for another attempt": self._later,
        }
        text = ", ".join(f"{len(found)} {what}" for what, found in counts.items())
        return text if self._stream is None else f"{text}; more to come"

    def attempt(self, id: int) -> int:
        """Return which attempt at a quantum is the current or next one, from 1."""
        return 1 + len(self._failed.get(id, ()))

    def has_new_inputs(self, quantum: QuantumData) -> bool:
        """Return whether something that a quantum needs has run, rather than been found done."""
        return not self._skipped.issuperset(quantum.prerequisites)

    def fill(self, count: int) -> int:
        """Read the stream until ``count`` quanta are ready, or as many as there are; return how many are."""
        if self._later:
            self._wake()
        if self._elsewhere is not None:
            self._hear(self._elsewhere)
        while len(self._ready) < count and self._stream is not None:
            quantum = next(self._stream, None)
            if quantum is None:
                self._stream = None
            else:
                self._admit(quantum)
        return len(self._ready)

    def take(self) -> QuantumData | None:
        """Hand out the ready quantum with the lowest id, `None` if there is none at the moment."""
        if not self._ready and not self.fill(1):
            return None
        quantum = heapq.heappop(self._ready)[1]
        self._out[quantum.id] = quantum
        return quantum

    def peek(self) -> QuantumData | None:
        """Return what `take` would."""
        return self._ready[0][1] if self._ready or self.fill(1) else None

    def give_back(self, quantum: QuantumData) -> None:
        """Take back a quantum that was handed out and not started."""
        del self._out[quantum.id]
        heapq.heappush(self._ready, (quantum.id, quantum))

    def finish(self, outcome: QuantumOutcome) -> QuantumOutcome | None:
        """Note how a quantum that was handed out ended.

        Returns
        -------
        outcome
            The quantum's one outcome, which knows of all attempts; `None` if it will be tried again.
        """
        id = outcome.id
        quantum = self._out.pop(id)
        if self._retries and not outcome.status.unblocks and self._put_off(quantum, outcome):
            return None
        if id in self._failed:
            outcome.earlier = all_attempts(self._failed.pop(id), outcome)[:-1]
        if outcome.status is Status.SKIPPED:
            self._skipped.add(id)
        if outcome.status.unblocks:
            self._unblock(id)
        else:
            self._bad[id] = id
            self._block(id, id)
        return outcome

    def blocked(self) -> list[QuantumOutcome]:
        """Return outcomes of quanta that can never run, each once."""
        blocked, self._blocked = self._blocked, []
        return blocked

    def cancel(self, reason: str) -> Iterator[QuantumOutcome]:
        """Give up all that has not been handed out, including the rest of the stream."""
        stream, self._stream = self._stream, None
        yield from self.blocked()
        left = [quantum.id for _, quantum in self._ready]
        left += [quantum.id for quantum, _ in self._waiting.values()]
        left += [quantum.id for _, _, quantum in self._later]
        self._ready.clear()
        self._waiting.clear()
        self._later.clear()
        for id in sorted(left):
            yield self._last_failure(id) if id in self._failed else _cancelled(id, reason)
        for quantum in stream or ():
            yield _cancelled(quantum.id, reason)

    def _put_off(self, quantum: QuantumData, outcome: QuantumOutcome) -> bool:
        """Let a quantum that has failed wait for another attempt; return whether it gets one."""
        outcomes = [*self._failed.get(quantum.id, ()), outcome]
        delay = self._retries.rule(quantum.label).delay_before_next(outcomes)
        if delay is None:
            return False
        outcome.outputs = None  # the next attempt replaces them
        self._failed[quantum.id] = outcomes
        heapq.heappush(self._later, (self._clock() + delay, quantum.id, quantum))
        return True

    def _wake(self) -> None:
        """Make ready what has waited long enough for its next attempt."""
        now = self._clock()
        while self._later and self._later[0][0] <= now:
            _, id, quantum = heapq.heappop(self._later)
            heapq.heappush(self._ready, (id, quantum))

    def _last_failure(self, id: int) -> QuantumOutcome:
        """Return the outcome of a quantum that will not get its next attempt."""
        *before, last = self._failed.pop(id)
        last.earlier = all_attempts(before, last)[:-1]
        return last

    def _hear(self, elsewhere: Elsewhere) -> None:
        """Take note of prerequisites that have ended in other execution models."""
        for ended in elsewhere.take():
            if ended.unblocks:
                if ended.skipped:
                    self._skipped.add(ended.id)
                self._reserve(ended.id)
                self._unblock(ended.id)
            else:
                root = ended.id if ended.root is None else ended.root
                self._bad[ended.id] = root
                self._block(ended.id, root)

    def _reserve(self, id: int) -> None:
        if id >= len(self._done):
            self._done.extend(bytes(id + 1 - len(self._done)))

    def _admit(self, quantum: QuantumData) -> None:
        done, bad = self._done, self._bad
        if quantum.id >= len(done):
            done.extend(bytes(quantum.id + 1 - len(done)))
        missing = [id for id in quantum.prerequisites if not done[id]]
        if not missing:
            heapq.heappush(self._ready, (quantum.id, quantum))
            return
        root = min((bad[id] for id in missing if id in bad), default=None)
        if root is not None:
            self._drop(quantum.id, root)
            return
        self._waiting[quantum.id] = (quantum, len(missing))
        for id in missing:
            self._dependents.setdefault(id, []).append(quantum.id)

    def _unblock(self, id: int) -> None:
        self._done[id] = True
        for dependent in self._dependents.pop(id, ()):
            if dependent not in self._waiting:
                continue  # blocked by something else meanwhile
            quantum, missing = self._waiting[dependent]
            if missing == 1:
                del self._waiting[dependent]
                heapq.heappush(self._ready, (dependent, quantum))
            else:
                self._waiting[dependent] = (quantum, missing - 1)

    def _block(self, id: int, root: int) -> None:
        ids = [id]
        while ids:
            for dependent in self._dependents.pop(ids.pop(), ()):
                if self._waiting.pop(dependent, None) is not None:
                    self._drop(dependent, root)
                    ids.append(dependent)

    def _drop(self, id: int, root: int) -> None:
        self._bad[id] = root
        self._blocked.append(QuantumOutcome(id, Status.BLOCKED, blocked_by=root))


def _cancelled(id: int, reason: str) -> QuantumOutcome:
    return QuantumOutcome(id, Status.CANCELLED, reason=f"not started: {reason}")
