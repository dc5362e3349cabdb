"""Celery: workers that take functions from a broker."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Self

from ....errors import UsageError
from ....text import without_password
from ..engine import Engine

if TYPE_CHECKING:
    from .celery_courier import Courier

__all__ = ["Celery"]


class Celery(Engine):
    """The workers of a broker.

    Parameters
    ----------
    broker
        Its URL.
    """

    reruns = True  # a broker may give a function to another worker when it has lost the connection to one

    def __init__(self, broker: str):
        from .celery_app import make_app  # says at once if Celery is missing

        self._broker = broker
        self._app = make_app(broker)
        self._courier: Courier | None = None

    @classmethod
    def make(cls, argument: str | None, workers: int) -> Self:
        """Make one for the URL of a broker."""
        broker = argument or os.environ.get("CELERY_BROKER_URL")
        if broker is None:
            raise UsageError("name the broker, as in celery:redis://HOST:6379/0, or set CELERY_BROKER_URL.")
        return cls(broker)

    @property
    def slots(self) -> int:
        """The number of processes of all workers."""
        return self._connected().slots

    def submit(self, function: Callable[..., Any], /, *arguments: Any) -> Future[Any]:
        """Have a function called by any worker."""
        courier = self._connected()
        if courier.is_lost():
            raise ConnectionError("the connection to Celery's broker is lost")
        return courier.send(function, arguments)

    def lost(self, error: Exception) -> bool:
        """Return whether a worker or the broker was lost, and not that a message cannot be written or read."""
        from kombu.exceptions import ContentDisallowed, SerializationError

        return super().lost(error) and not isinstance(error, ContentDisallowed | SerializationError)

    def _connected(self) -> Courier:
        if self._courier is None:
            from .celery_courier import Courier

            self._courier = Courier(self._app)
        return self._courier

    def missing(self) -> str | None:
        """Return that no worker takes functions of ours."""
        if self._courier is None or not self._courier.finds_no_worker:
            return None
        from .celery_app import QUEUE

        broker = without_password(self._broker)
        start = f"CELERY_BROKER_URL={broker} celery -A pipetask.executors.futures.engines.celery_app worker"
        return f"no worker of Celery answers on the queue {QUEUE!r}: start one with `{start}`"

    def end_of_life(self) -> str | None:
        """Return that the broker has not been reached for a while."""
        lost = self._courier is not None and self._courier.is_lost()
        return "the connection to Celery's broker is lost" if lost else None

    def close(self) -> None:
        """Take back what no worker has begun; the workers go on."""
        courier, self._courier = self._courier, None
        if courier is not None:
            courier.close()
