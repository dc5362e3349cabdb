"""One of several execution models of a run, in a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator
from contextlib import closing
from dataclasses import replace
from queue import Queue

from ...errors import PipetaskError
from ...outcome import QuantumOutcome
from ..activity import Activity, RunningQuantum
from ..base import ExecutionContext, QuantumExecutor
from ..ledger import Account
from ..resources import Share
from ..stop import StopLevel, StopRequest
from .switchboard import Switchboard

__all__ = ["Part", "PartEnd"]


class _PartStop(StopRequest):
    """A request to stop one model, which is passed on to the whole run."""

    def __init__(self, whole: StopRequest):
        super().__init__()
        self._whole = whole

    def ask(self, reason: str, level: StopLevel = StopLevel.STOP, signal: int | None = None) -> None:
        super().ask(reason, level, signal)
        self._whole.ask(reason, level, signal)  # a level that it has changes nothing


class PartEnd:
    """The end of a part, in the queue of outcomes."""

    def __init__(self, error: BaseException | None):
        self.error = error


class Part:
    """The quanta of some labels, and the execution model that runs them.

    Parameters
    ----------
    name
        Name of the model, for messages.
    model
        The model.
    labels
        The labels.
    """

    def __init__(self, name: str, model: QuantumExecutor, labels: Collection[str]):
        self.name = name
        self.model = model
        self.labels = labels
        self.account: Account | None = None
        """What other models use of limits that this one draws on, too."""
        self.stop: StopRequest | None = None
        self.abandoned = False
        """Whether its outcomes are of no interest any more."""

        self._activity = Activity()
        self._thread: threading.Thread | None = None

    def context(self, whole: ExecutionContext) -> ExecutionContext:
        """Return what the model is told: what the whole run is told, but only its labels and its share of resources."""
        resources = whole.resources and whole.resources.of(self.labels)
        return replace(whole, labels=frozenset(self.labels), resources=resources)

    def start(
        self,
        number: int,
        switchboard: Switchboard,
        whole: ExecutionContext,
        queue: Queue[QuantumOutcome | PartEnd],
    ) -> None:
        """Run it; outcomes, and at the end a `PartEnd`, come into the queue."""
        self._activity = Activity()
        self.stop = _PartStop(whole.stop)
        if whole.stop:
            self.stop.ask(whole.stop.reason or "", whole.stop.level, whole.stop.signal)
        context = replace(
            self.context(whole),
            stop=self.stop,
            activity=self._activity,
            elsewhere=switchboard.inboxes[number],
            account=self.account,
        )

        def run() -> None:
            error = None
            try:
                self._run(number, switchboard, context, queue)
            except BaseException as raised:
                error = raised
            if self.account is not None:
                self.account.set({})
            queue.put(PartEnd(error))

        thread = threading.Thread(target=run, name=f"model {self.name}")
        thread.start()
        self._thread = thread

    def _run(
        self,
        number: int,
        switchboard: Switchboard,
        context: ExecutionContext,
        queue: Queue[QuantumOutcome | PartEnd],
    ) -> None:
        with closing(self.model.execute(switchboard.stream(number), context)) as outcomes:
            for outcome in outcomes:
                switchboard.note(outcome, stopping=bool(context.stop))
                if self.abandoned:
                    return
                queue.put(outcome)
        if missing := switchboard.n_open(number):
            raise PipetaskError(f"{self.name} has not said what became of {missing} quanta.")

    def abandon(self) -> None:
        """Have it end what runs, and throw away its outcomes."""
        self.abandoned = True
        if self.stop is not None:
            StopRequest.ask(self.stop, "nothing more is wanted", StopLevel.KILL)

    def ended(self) -> None:
        """Wait for the thread, which has put its last into the queue."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        stop, self.stop = self.stop, None  # in this order: a signal handler may come between
        if stop is not None:
            stop.close()

    # Questions, from any thread

    def running(self) -> list[RunningQuantum]:
        """Return the quanta that run."""
        return self._activity.quanta()

    def details(self) -> Iterator[str]:
        """Yield lines about the model."""
        yield f"{self.name}, for {', '.join(self.labels)}:"
        yield from self._activity.details()

    def shares(self) -> list[Share]:
        """Return how much of each resource is in use."""
        return [replace(share, model=self.name) for share in self._activity.shares()]
