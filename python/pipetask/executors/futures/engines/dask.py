"""Dask: a cluster that is running, or one on this machine."""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any, Self

from ....errors import PipetaskError, reason_of
from ...resources import Inventory
from ..engine import Engine
from .local import start_tracker

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

_NO_COMPLAINTS = "import logging; logging.getLogger('distributed').setLevel(logging.CRITICAL)"
"""Lets workers of this machine not complain, with tracebacks, that the command has ended them while they had work."""

RECOUNT = 5.0
"""Seconds until the scheduler, whose workers may come and go, is asked again how many there are."""

CONNECTING = 30.0
"""Seconds that it may take to reach a scheduler, in the beginning and after the connection was lost."""

RETRY = 0.5
"""Seconds between two tries to reach a scheduler that is perhaps starting."""

_NAMES = {"cpu": "cpus", "gpu": "gpus", "mem": "memory"}
"""Other names that resources of workers go by, in small letters, with ours."""

_LOST = "the connection to Dask's scheduler is lost"

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
        self._inventory: list[dict[str, int]] = []
        self._names: dict[str, str] = {}
        """What workers call their resources, by our names."""

    @classmethod
    def make(cls, argument: str | None, workers: int) -> Self:
        """Make one for an address, or for this machine."""
        if argument is not None:
            from distributed.comm import parse_address, parse_host_port

            parse_host_port(parse_address(argument)[1])  # a ValueError says what is missing
        return cls(argument, workers)

    @property
    def slots(self) -> int:
        """The number of threads of all workers."""
        self._count()
        return self._workers if self._cluster is not None else self._threads

    def submit(self, function: Callable[..., Any], /, *arguments: Any) -> Future[Any]:
        """Have a function called on any worker."""
        return self.submit_for({}, function, *arguments)

    def submit_for(
        self, needs: Mapping[str, int], function: Callable[..., Any], /, *arguments: Any
    ) -> Future[Any]:
        """Have a function called on a worker that was started with enough of what it needs (``--resources``)."""
        self._connect()
        if not self._connected:
            raise ConnectionError(_LOST)
        declared = {theirs: needs[ours] for ours, theirs in self._names.items() if ours in needs}
        return self._executor.submit(function, *arguments, **({"resources": declared} if declared else {}))

    def inventory(self) -> Inventory:
        """Return what the workers of a cluster that is running were started with (``dask worker --resources``)."""
        self._count()
        return self._inventory

    def missing(self) -> str | None:
        """Return that the scheduler has no worker."""
        if (
            self._address is None
            or not self._connected
            or self._client.scheduler_info(n_workers=-1)["workers"]
        ):
            return None
        start = f"DASK_DISTRIBUTED__WORKER__DAEMON=False dask worker {self._address} --nthreads 1"
        return f"Dask's scheduler has no worker: start one with `{start}`"

    def _count(self) -> None:
        """Ask the scheduler for its workers, unless that was done a moment ago."""
        self._connect()
        if self._cluster is not None or time.monotonic() < self._counted + RECOUNT or not self._connected:
            return
        try:
            workers = self._client.scheduler_info(n_workers=-1)["workers"].values()
        except KeyError:  # it could not be asked
            raise ConnectionError(_LOST) from None
        self._threads = max(1, sum(each["nthreads"] for each in workers))
        declared = [each["resources"] for each in workers]
        self._names = {_ours(name): name for each in declared for name in each}
        inventory = [{_ours(name): int(amount) for name, amount in each.items()} for each in declared]
        self._inventory = inventory if self._names else []
        self._counted = time.monotonic()

    @property
    def _connected(self) -> bool:
        return self._client is not None and self._client.status in ("running", "connecting")

    def _connect(self) -> None:
        if self._client is not None:
            return
        import dask
        from distributed import Client, LocalCluster

        class ClosedOnlyByUs(Client):
            def __del__(self) -> None:
                """Do not try for a minute to close a connection while the interpreter ends."""

        if self._address is not None:
            _reach(self._address)
        with dask.config.set(_SETTINGS):
            if self._address is None:
                start_tracker()
                self._cluster = LocalCluster(
                    n_workers=self._workers,
                    threads_per_worker=1,
                    processes=True,
                    dashboard_address=None,
                    scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},  # of its pages without a dashboard
                    silence_logs=logging.ERROR,
                    preload=[_NO_COMPLAINTS],
                    memory_limit=0,  # Dask would watch, and kill, processes that use next to nothing
                )
            place = self._cluster or self._address
            self._client = ClosedOnlyByUs(place, set_as_default=False, timeout=CONNECTING)
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


def _ours(name: str) -> str:
    return _NAMES.get(name.lower().rstrip("s"), name.lower() if name.lower() == "memory" else name)


def _reach(address: str) -> None:
    """Wait until something listens at an address.

    A client of Dask that is still trying would keep a command that is interrupted for a minute.
    """
    from distributed.comm import parse_address, parse_host_port

    protocol, place = parse_address(address)
    if protocol not in ("tcp", "tls"):
        return
    deadline = time.monotonic() + CONNECTING
    while True:
        try:
            socket.create_connection(parse_host_port(place), max(1.0, deadline - time.monotonic())).close()
            return
        except OSError as error:
            if isinstance(error, socket.gaierror) or time.monotonic() + RETRY > deadline:
                reason = error.strerror or reason_of(error)
                raise PipetaskError(
                    f"No scheduler of Dask answers at {address} ({reason}): give the address that `dask scheduler` has "
                    "printed."
                ) from error
        time.sleep(RETRY)
