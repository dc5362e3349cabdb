"""Brings functions to Celery's broker, and results back as futures.

Celery tells nobody that a worker is gone, and the broker keeps what it had for ever, or gives it to another worker
after a fixed time, whether it still runs or not.  So workers are asked every few seconds what they have.  What none of
them has several times in a row, while nothing waits in the queue either, is lost.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from typing import Any

from ....errors import one_line
from .celery_app import QUEUE, TASK, packed, unpacked

__all__ = ["Courier"]

_LOG = logging.getLogger(__name__)

DRAIN = 0.02
"""Seconds to wait for a result before new functions are sent."""

LOOK = 5.0
"""Seconds between two rounds of questions to all workers."""

ANSWER = 1.0
"""Seconds that workers have to answer."""

MOST_MISSED = 3
"""Rounds in a row in which nobody has a function, after which it is lost."""

CONNECTING = 30.0
"""Seconds without the broker after which it is lost."""

MOMENT = 2.0
"""Seconds in which the broker is reached again, if this process was stopped for so long and now goes on."""


class _Parcel(Future[Any]):
    """A function on its way, under the ID of Celery's task."""

    def __init__(self, order: str):
        super().__init__()
        self.id = str(uuid.uuid4())
        self.order = order
        self.unwanted = False
        """Whether it is to be taken back, if no worker has begun with it."""

    def cancel(self) -> bool:
        """Ask for it to be taken back; whether that succeeds is seen later."""
        self.unwanted = True
        return False

    def give_back(self) -> None:
        """Say that it was taken back before it had begun."""
        super().cancel()
        self.set_running_or_notify_cancel()


class Courier:
    """What is on its way.

    One thread has all to do with messages, since results arrive in the thread that has sent the function.  Another one
    asks the workers.

    Parameters
    ----------
    app
        The application of Celery.

    Raises
    ------
    Exception
        What the library of the broker raises if it cannot be reached.
    """

    def __init__(self, app: Any):
        self._app = app
        with app.connection_for_write() as connection:
            connection.ensure_connection(max_retries=1, timeout=CONNECTING)
        self._outbox: SimpleQueue[_Parcel] = SimpleQueue()
        self._sent: dict[str, tuple[_Parcel, Any]] = {}
        self._revoked: set[str] = set()
        self._missed: Counter[str] = Counter()
        """In how many rounds no worker had a function."""
        self._lost: SimpleQueue[str] = SimpleQueue()
        self._slots = 0
        self._reached = time.monotonic()
        self._late: float | None = None
        """When it was first seen that the broker has not been reached for too long."""
        self._closing = threading.Event()
        self._counted = threading.Event()
        self._threads = [
            threading.Thread(target=work, daemon=True, name=f"pipetask-celery-{name}")
            for name, work in {"courier": self._carry, "scout": self._scout}.items()
        ]
        for thread in self._threads:
            thread.start()

    @property
    def slots(self) -> int:
        """The number of processes of all workers, when they were asked last."""
        self._counted.wait(2 * ANSWER)
        return max(1, self._slots)

    @property
    def finds_no_worker(self) -> bool:
        """Whether no worker has answered when they were asked last."""
        return self._counted.is_set() and not self._slots

    def send(self, function: Callable[..., Any], arguments: Sequence[Any]) -> Future[Any]:
        """Have a function called by any worker."""
        parcel = _Parcel(packed((function, arguments)))
        self._outbox.put(parcel)
        return parcel

    def is_lost(self) -> bool:
        """Return whether the broker has not been reached for a while, while this process was not stopped."""
        now = time.monotonic()
        if now <= self._reached + CONNECTING:
            self._late = None
            return False
        if self._late is None:
            self._late = now
        return now > self._late + MOMENT

    def close(self) -> None:
        """Take back what no worker has begun."""
        self._closing.set()
        for thread in self._threads:
            thread.join(2 * ANSWER)
        with contextlib.suppress(Exception):  # the broker may be gone
            if self._sent and not self.is_lost():
                self._app.control.revoke(list(self._sent))
            self._app.close()
        for _, result in self._sent.values():
            result.backend = None  # otherwise each would connect to unsubscribe when it is deleted

    # The thread for messages

    def _carry(self) -> None:
        next_look = time.monotonic() + LOOK
        while not self._closing.is_set():
            try:
                self._send()
                self._take_back()
                with contextlib.suppress(TimeoutError):  # raised over AMQP when no result has come
                    self._app.backend.result_consumer.drain_events(timeout=DRAIN)
                if time.monotonic() >= next_look:
                    self._look_at_all()
                    next_look = time.monotonic() + LOOK
                self._bury()
                self._reached = time.monotonic()
            except Exception as error:  # each library of a broker has its own
                _LOG.debug("Celery's broker: %s", one_line(error), exc_info=error)
                self._closing.wait(DRAIN * 10)

    def _send(self) -> None:
        while True:
            try:
                parcel = self._outbox.get_nowait()
            except Empty:
                return
            if parcel.unwanted:
                parcel.give_back()
                continue
            try:
                result = self._app.tasks[TASK].apply_async((parcel.order,), task_id=parcel.id, retry=False)
            except BaseException:
                self._outbox.put(parcel)
                raise
            self._sent[parcel.id] = parcel, result
            result.then(self._land)

    def _land(self, result: Any) -> None:
        """Take a result, which is called once."""
        parcel, _ = self._sent.pop(result.id)
        self._revoked.discard(result.id)
        match result.state:
            case "SUCCESS":
                parcel.set_result(unpacked(result.result))
            case "REVOKED":
                parcel.give_back()
            case _:
                error = result.result
                parcel.set_exception(
                    error if isinstance(error, Exception) else RuntimeError(f"{result.state}: {error}")
                )

    def _take_back(self) -> None:
        unwanted = [
            id for id, (parcel, _) in self._sent.items() if parcel.unwanted and id not in self._revoked
        ]
        if unwanted:
            self._revoked.update(unwanted)
            self._app.control.revoke(unwanted)

    def _look_at_all(self) -> None:
        """Ask for all results: the connection through which they come may have been another one meanwhile."""
        for _, result in list(self._sent.values()):
            result.ready()  # which calls `_land` if it is

    def _bury(self) -> None:
        """Give up what no worker has."""
        with contextlib.suppress(Empty):
            while True:
                id = self._lost.get_nowait()
                if id not in self._sent or self._sent[id][1].ready():
                    continue
                parcel, result = self._sent.pop(id)
                self._revoked.discard(id)
                self._app.backend.remove_pending_result(result)
                self._app.control.revoke(id)  # a worker that comes back must not run it
                parcel.set_exception(ConnectionError("Celery's worker is gone"))

    # The thread that asks the workers

    def _scout(self) -> None:
        while not self._closing.is_set():
            try:
                self._ask()
            except Exception as error:  # as above
                _LOG.debug("Celery's workers: %s", one_line(error), exc_info=error)
            self._counted.set()
            self._closing.wait(LOOK)

    def _ask(self) -> None:
        ids = list(self._sent)
        queues = self._app.control.inspect(timeout=ANSWER).active_queues() or {}
        hosts = [
            host for host, theirs in queues.items() if any(queue.get("name") == QUEUE for queue in theirs)
        ]
        if hosts:
            ask = self._app.control.inspect(hosts, timeout=ANSWER, limit=len(hosts))
            pools = [each.get("pool", {}) for each in (ask.stats() or {}).values()]
            self._slots = sum(pool.get("max-concurrency", 1) for pool in pools)
            held = {id for theirs in (ask.query_task(*ids) or {}).values() for id in theirs} if ids else set()
        else:
            self._slots, held = 0, set()
        if self._n_waiting():
            held.update(ids)  # any of them may be what waits
        self._missed = Counter({id: self._missed[id] + 1 for id in ids if id not in held})
        for id, times in self._missed.items():
            if times >= MOST_MISSED:
                self._lost.put(id)

    def _n_waiting(self) -> int:
        with self._app.connection_for_read() as connection:
            try:
                return int(connection.default_channel.queue_declare(QUEUE, passive=True).message_count)
            except connection.channel_errors:  # a queue that is empty is not there
                return 0
