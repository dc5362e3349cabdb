"""Ray: a cluster that is running, or one on this machine."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Self

from ..engine import Engine

__all__ = ["Ray"]

RECOUNT = 5.0
"""Seconds until the cluster, whose nodes may come and go, is asked again how large it is."""


class Ray(Engine):
    """A Ray cluster.

    Parameters
    ----------
    address
        Address of its head, such as ``host:6379``, or ``auto``; `None`: a cluster is started on this machine.
    workers
        How many functions a cluster that is started here can run at the same time.
    """

    def __init__(self, address: str | None, workers: int):
        import ray  # noqa: F401  says at once if it is missing

        self.is_here = address is None
        self._address = address
        self._workers = workers
        self._call: Any = None
        self._thread: ThreadPoolExecutor | None = None
        self._cores, self._counted = workers, -RECOUNT

    @classmethod
    def make(cls, argument: str | None, workers: int) -> Self:
        """Make one for an address, or for this machine."""
        return cls(argument, workers)

    @property
    def slots(self) -> int:
        """The number of cores of all nodes."""
        self._connect()
        if self._address is not None and time.monotonic() >= self._counted + RECOUNT:
            import ray

            self._cores = max(1, int(ray.cluster_resources().get("CPU", 0)))
            self._counted = time.monotonic()
        return self._cores

    def submit(self, function: Callable[..., Any], /, *arguments: Any) -> Future[Any]:
        """Have a function called on any node."""
        self._connect()
        return self._call.remote(function, *arguments).future()

    def _connect(self) -> None:
        if self._call is not None:
            return
        # A cluster ends with the thread that has started it, which here may be one that only starts engines.
        self._thread = ThreadPoolExecutor(1, "pipetask-ray")
        self._call = self._thread.submit(self._start).result()

    def _start(self) -> Any:
        """Connect; return what calls a function."""
        import ray

        if self._address is None:
            os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it would ask, and send them somewhere
            here: dict[str, Any] = {"num_cpus": self._workers, "include_dashboard": False}
        else:
            here = {"address": self._address}
        ray.init(**here, log_to_driver=False, logging_level=logging.ERROR)
        # What was lost is run again here, which knows what it was.
        return ray.remote(num_cpus=1, max_retries=0)(_call)

    def close(self) -> None:
        """Disconnect, and end the cluster that was started here."""
        if self._call is not None:
            import ray

            self._call = None
            ray.shutdown()
        if self._thread is not None:
            self._thread.shutdown()
            self._thread = None


def _call(function: Callable[..., Any], /, *arguments: Any) -> Any:
    return function(*arguments)
