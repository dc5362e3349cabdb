"""Which quanta are ready, and which never will be: the only scheduling logic there is."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator

from ..outcome import QuantumOutcome, Status
from ..quantum_data import QuantumData

__all__ = ["Frontier"]


class Frontier:
    """The edge between what is done and what waits.

    Parameters
    ----------
    quanta
        The stream; it is read only as far as needed to have enough ready quanta.

    Notes
    -----
    Ready quanta are handed out lowest id first.  Each quantum taken from the stream leaves in exactly one way:
    through `take` or `give_back` and then `finish`, or through `blocked` or `cancel`.
    """

    def __init__(self, quanta: Iterable[QuantumData]):
        self._stream: Iterator[QuantumData] | None = iter(quanta)
        self._ready: list[tuple[int, QuantumData]] = []
        self._waiting: dict[int, tuple[QuantumData, int]] = {}
        self._dependents: dict[int, list[int]] = {}
        self._done: set[int] = set()
        self._bad: dict[int, int] = {}
        self._blocked: list[QuantumOutcome] = []
        self._out = 0

    @property
    def exhausted(self) -> bool:
        """Whether nothing is left to hand out, now or later."""
        return self._stream is None and not self._ready and not self._waiting and not self._out

    def fill(self, count: int) -> int:
        """Read the stream until ``count`` quanta are ready, or as many as there are; return how many are."""
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
        self._out += 1
        return heapq.heappop(self._ready)[1]

    def peek(self) -> QuantumData | None:
        """Return what `take` would."""
        return self._ready[0][1] if self._ready or self.fill(1) else None

    def give_back(self, quantum: QuantumData) -> None:
        """Take back a quantum that was handed out and not started."""
        self._out -= 1
        heapq.heappush(self._ready, (quantum.id, quantum))

    def finish(self, outcome: QuantumOutcome) -> None:
        """Note how a quantum that was handed out ended."""
        self._out -= 1
        if outcome.status.unblocks:
            self._unblock(outcome.id)
        else:
            self._bad[outcome.id] = outcome.id
            self._block(outcome.id)

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
        self._ready.clear()
        self._waiting.clear()
        for id in sorted(left):
            yield _cancelled(id, reason)
        for quantum in stream or ():
            yield _cancelled(quantum.id, reason)

    def _admit(self, quantum: QuantumData) -> None:
        done, bad = self._done, self._bad
        missing = [id for id in quantum.prerequisites if id not in done]
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
        self._done.add(id)
        for dependent in self._dependents.pop(id, ()):
            if dependent not in self._waiting:
                continue  # blocked by something else meanwhile
            quantum, missing = self._waiting[dependent]
            if missing == 1:
                del self._waiting[dependent]
                heapq.heappush(self._ready, (dependent, quantum))
            else:
                self._waiting[dependent] = (quantum, missing - 1)

    def _block(self, root: int) -> None:
        ids = [root]
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
