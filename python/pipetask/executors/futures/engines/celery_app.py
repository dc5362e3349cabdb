"""What Celery's workers run: ``celery -A pipetask.executors.futures.engines.celery_app worker``.

The environment variable ``CELERY_BROKER_URL`` names the broker, and ``CELERY_RESULT_BACKEND`` what keeps results.
Without the latter, a broker of Redis keeps them, and one that speaks AMQP, such as RabbitMQ, sends them back.
"""

from __future__ import annotations

import base64
import os
import pickle
from typing import Any

import celery

from ....errors import UsageError

__all__ = ["QUEUE", "TASK", "app", "make_app", "packed", "unpacked"]

QUEUE = "pipetask"
"""Name of the queue of our functions."""

TASK = "pipetask.call"

LONG = 10 * 365 * 24 * 3600
"""Seconds until Redis gives a function that still runs to another worker: never.  What is lost we see ourselves."""

_OWN_KEYS = {
    "unacked_key": "pipetask-unacked",
    "unacked_index_key": "pipetask-unacked-index",
    "unacked_mutex_key": "pipetask-unacked-mutex",
}
"""Where Redis keeps what workers have.  By default all applications share that, and one with a shorter time than ours
would give our functions out again."""


def make_app(broker: str | None) -> Any:
    """Make an application of Celery for a broker.

    Parameters
    ----------
    broker
        Its URL.

    Raises
    ------
    UsageError
        If results could not be kept.
    """
    backend = os.environ.get("CELERY_RESULT_BACKEND") or _own_backend(broker)
    made = celery.Celery("pipetask", broker=broker, backend=backend, set_as_current=False)
    made.conf.update(
        task_default_queue=QUEUE,
        # A process takes a function when it is free, and none for later.
        task_acks_late=True,
        worker_prefetch_multiplier=1,
        # A function whose process died has failed; the next worker must not run it again by itself.
        task_reject_on_worker_lost=False,
        task_acks_on_failure_or_timeout=True,
        broker_transport_options={"visibility_timeout": LONG, **_OWN_KEYS},
        broker_connection_retry_on_startup=True,
        # Three tries in a few seconds: whether it has come back is asked again and again.
        result_backend_transport_options={"retry_policy": {"max_retries": 3, "interval_max": 1}},
        worker_hijack_root_logger=False,
    )
    made.task(name=TASK)(_call)
    return made


def _own_backend(broker: str | None) -> str | None:
    """Return what brings results back where only the broker is named."""
    match broker and broker.partition(":")[0].partition("+")[0]:
        case None | "" | "redis" | "rediss":
            return broker
        case "amqp" | "amqps" | "pyamqp":
            return "rpc://"
        case scheme:  # not the URL, which may have a password
            raise UsageError(f"{scheme}: brings no results back: name what does in CELERY_RESULT_BACKEND.")


def _call(order: str) -> str:
    function, arguments = unpacked(order)
    return packed(function(*arguments))


def packed(value: object) -> str:
    """Return a value as a text, which any serializer of Celery's can carry."""
    return base64.b64encode(pickle.dumps(value)).decode()


def unpacked(text: str) -> Any:
    """Return the value of a text."""
    return pickle.loads(base64.b64decode(text))


app = make_app(os.environ.get("CELERY_BROKER_URL"))
