"""Gives each quantum to the execution model of its label, and tells models what others have done."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence

from ...graph.enumeration import EnumeratedGraph, QuantumData
from ...outcome import QuantumOutcome, Status
from ..elsewhere import Elsewhere, Ended

__all__ = ["Switchboard"]

_DONE, _SKIPPED = 1, 2


class Switchboard:
    """One stream, divided into one for each execution model; used from the threads of all of them.

    Parameters
    ----------
    quanta
        The stream.
    graph
        Knows labels.
    owners
        The number of the model that each label belongs to, by the label's index.
    n_models
        How many models there are.
    """

    def __init__(
        self, quanta: Iterable[QuantumData], graph: EnumeratedGraph, owners: Sequence[int], n_models: int
    ):
        self.inboxes = [Elsewhere() for _ in range(n_models)]
        self._stream = iter(quanta)
        self._graph = graph
        self._owners = owners
        self._lock = threading.Lock()
        self._waiting: list[deque[QuantumData]] = [deque() for _ in range(n_models)]
        """What was read from the stream when another model asked for a quantum."""

        self._n_open = [0] * n_models
        """Quanta of each model that were read and have not ended."""

        self._done = bytearray(len(graph.structure))
        """By id, `_DONE` or `_SKIPPED` if dependents may run; a dictionary would take a hundred times as much."""

        self._failed: dict[int, Ended] = {}

        self._asking: dict[int, set[int]] = {}
        """Models that want to be told when a quantum ends, by its id."""

    def stream(self, model: int) -> Iterator[QuantumData]:
        """Yield the quanta of one model; this never waits for another one."""
        mine = self._waiting[model]
        while True:
            with self._lock:
                while not mine:
                    if (quantum := next(self._stream, None)) is None:
                        return
                    self._sort(quantum)
                quantum = mine.popleft()
            yield quantum

    def note(self, outcome: QuantumOutcome, *, stopping: bool = False) -> None:
        """Tell those that need a quantum how it ended.

        Parameters
        ----------
        outcome
            How it ended.
        stopping
            Whether all models have been told to stop.  Then each of them cancels what needs a cancelled quantum, which
            is not blocked.
        """
        status, id = outcome.status, outcome.id
        root = outcome.blocked_by if status is Status.BLOCKED else None
        ended = Ended(id, status.unblocks, status is Status.SKIPPED, root)
        with self._lock:
            self._n_open[self._owner(self._graph.position(id))] -= 1
            if stopping and status is Status.CANCELLED:
                return
            if ended.unblocks:
                self._done[id] = _SKIPPED if ended.skipped else _DONE
            else:
                self._failed[id] = ended
            for model in self._asking.pop(id, ()):
                self.inboxes[model].tell(ended)

    def n_open(self, model: int) -> int:
        """Return how many quanta a model was to run that have not ended."""
        with self._lock:
            return self._n_open[model]

    def close(self) -> None:
        """Close the inboxes, when no model runs any more."""
        for inbox in self.inboxes:
            inbox.close()

    def _owner(self, position: int) -> int:
        return self._owners[self._graph.structure.task_index(position)]

    def _sort(self, quantum: QuantumData) -> None:
        owner = self._owner(quantum.position)
        for id in quantum.prerequisites:
            if self._owner(self._graph.position(id)) == owner:
                continue
            if self._done[id]:
                self.inboxes[owner].tell(Ended(id, unblocks=True, skipped=self._done[id] == _SKIPPED))
            elif id in self._failed:
                self.inboxes[owner].tell(self._failed[id])
            else:
                self._asking.setdefault(id, set()).add(owner)
        self._n_open[owner] += 1
        self._waiting[owner].append(quantum)
