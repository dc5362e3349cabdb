"""Dask: a cluster that is running, or one on this machine."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Self

from ..engine import Engine

__all__ = ["Dask"]

_SETTINGS = {
    # A death costs the functions that were assigned to the worker, too; those are run again here, and not by the
    # scheduler, which would give a function that kills workers to one after the other.
    "distributed.scheduler.allowed-failures": 0,
    "distributed.worker.daemon": False,  # workers start processes
    # Our functions only wait, so there is nothing to see for what would look at them up to a hundred times a second.
    "distributed.worker.profile.enabled": False,
    "distributed.admin.tick.interval": "1s",
    "distributed.admin.system-monitor.interval": "5s",
}

RECOUNT = 5.0
"""Seconds until the scheduler, whose workers may come and go, is asked again how many there are."""

CONNECTING = "30s"
"""How long it may take to reach a scheduler, in the beginning and after the connection was lost."""

TELLING = 2.0
"""Seconds in which all workers should have been told something."""


class Dask(Engine):
    """A Dask cluster.

    Parameters
    ----------
    address
        Address of its scheduler, such as ``tcp://host:8786``; `None`: a cluster is started on this machine.
    workers
        How many workers to start.
    """

    reruns = True

    def __init__(self, address: str | None, workers: int):
        import distributed  # noqa: F401  says at once if it is missing

        self.is_here = address is None
        self._address = address
        self._workers = workers
        self._cluster: Any = None
        self._client: Any = None
        self._executor: Any = None
        self._threads, self._counted = 1, -RECOUNT

    @classmethod
    def make(cls, argument: str | None, workers: int) -> Self:
        """Make one for an address, or for this machine."""
        return cls(argument, workers)

    @property
    def slots(self) -> int:
        """The number of threads of all workers."""
        self._connect()
        if self._cluster is not None:
            return self._workers
        if time.monotonic() >= self._counted + RECOUNT and self._connected:
            self._threads, self._counted = max(1, sum(self._client.nthreads().values())), time.monotonic()
        return self._threads

    def submit(self, function: Callable[..., Any], /, *arguments: Any) -> Future[Any]:
        """Have a function called on any worker."""
        self._connect()
        if not self._connected:
            raise ConnectionError("the connection to Dask's scheduler is lost")
        return self._executor.submit(function, *arguments)

    @property
    def _connected(self) -> bool:
        return self._client is not None and self._client.status in ("running", "connecting")

    def _connect(self) -> None:
        if self._client is not None:
            return
        import dask
        from distributed import Client, LocalCluster

        with dask.config.set(_SETTINGS):
            if self._address is None:
                self._cluster = LocalCluster(
                    n_workers=self._workers,
                    threads_per_worker=1,
                    processes=True,
                    dashboard_address=None,
                    memory_limit=0,  # Dask would watch, and kill, processes that use next to nothing
                )
            self._client = Client(self._cluster or self._address, set_as_default=False, timeout=CONNECTING)
        self._executor = self._client.get_executor(pure=False, retries=0)

    def tell_all(self, function: Callable[..., Any], /, *arguments: Any) -> None:
        """Have a function called in each worker of a cluster that goes on."""
        if not self._connected or self._cluster is not None:
            return

        def tell() -> None:
            with contextlib.suppress(Exception):  # a worker or the scheduler goes at this moment
                self._client.run(function, *arguments, on_error="ignore")

        teller = threading.Thread(target=tell, daemon=True)  # a worker may hang
        teller.start()
        teller.join(TELLING)

    def close(self) -> None:
        """Disconnect, and end the cluster that was started here."""
        for each in (self._client, self._cluster):
            if each is not None:
                each.close()
        self._client = self._cluster = self._executor = None
