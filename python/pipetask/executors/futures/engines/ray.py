"""Ray: a cluster that is running, or one on this machine."""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self

from ....errors import PipetaskError, reason_of
from ...resources import Inventory
from ..engine import Engine

__all__ = ["Ray"]

RECOUNT = 5.0
"""Seconds until the cluster, whose nodes may come and go, is asked again how large it is."""

CONNECTING = 10.0
"""Seconds in which the head has to answer."""

_NAMES = {"cpus": "num_cpus", "gpus": "num_gpus", "memory": "memory"}
"""What Ray calls what functions need."""


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
        if address is not None:
            _use_token()
        import ray  # noqa: F401  says at once if it is missing

        self.is_here = address is None
        self._address = address
        self._workers = workers
        self._call: Any = None
        self._thread: ThreadPoolExecutor | None = None
        self._cores, self._counted = workers, -RECOUNT
        self._inventory: list[dict[str, int]] = []

    @classmethod
    def make(cls, argument: str | None, workers: int) -> Self:
        """Make one for an address, or for this machine."""
        return cls(argument, workers)

    @property
    def slots(self) -> int:
        """The number of cores of all nodes."""
        self._count()
        return self._cores

    def submit(self, function: Callable[..., Any], /, *arguments: Any) -> Future[Any]:
        """Have a function called on any node."""
        return self.submit_for({}, function, *arguments)

    def submit_for(
        self, needs: Mapping[str, int], function: Callable[..., Any], /, *arguments: Any
    ) -> Future[Any]:
        """Have a function called on a node that has free what it needs."""
        self._connect()
        wanted = {ray: needs[ours] for ours, ray in _NAMES.items() if needs.get(ours)}
        call = self._call.options(**wanted) if wanted and self._address is not None else self._call
        return call.remote(function, *arguments).future()

    def inventory(self) -> Inventory:
        """Return what the nodes of a cluster that is running have."""
        self._count()
        return self._inventory

    def _count(self) -> None:
        """Ask how large a cluster is that was not started here, unless that was done a moment ago."""
        self._connect()
        if self._address is None or time.monotonic() < self._counted + RECOUNT:
            return
        import ray

        nodes = [each["Resources"] for each in ray.nodes() if each["Alive"]]
        self._inventory = [
            {
                "cpus": int(each.get("CPU", 0)),
                "gpus": int(each.get("GPU", 0)),
                "memory": int(each.get("memory", 0)),
            }
            for each in nodes
        ]
        self._cores = max(1, sum(each["cpus"] for each in self._inventory))
        self._counted = time.monotonic()

    def lost(self, error: Exception) -> bool:
        """Return whether a worker or a node was lost, and not that the function has raised the exception."""
        from ray.exceptions import RayTaskError, RuntimeEnvSetupError

        if isinstance(error, RayTaskError) and isinstance(error.cause, Exception):
            return super().lost(error.cause)
        return super().lost(error) and not isinstance(error, RuntimeEnvSetupError)

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
            _look_at(self._address)
            here = {"address": self._address}
        try:
            ray.init(**here, log_to_driver=False, logging_level=logging.ERROR)
        except ConnectionError as error:
            raise PipetaskError(
                f"{reason_of(error)}: give the address that `ray start --head` has printed, or auto on one of its "
                "nodes. If the cluster wants a token, name its file in RAY_AUTH_TOKEN_PATH."
            ) from error
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


def _use_token() -> None:
    """Let Ray show the token that it finds: by itself it does so only to a cluster that is on this machine.

    It reads this when it is imported.  A cluster that wants none does not mind.
    """
    names = ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")
    if any(map(os.environ.get, names)) or Path("~/.ray/auth_token").expanduser().exists():
        os.environ.setdefault("RAY_AUTH_MODE", "token")


def _look_at(address: str) -> None:
    """Refuse an address where nothing listens, since Ray would try for minutes."""
    host, _, port = address.rpartition(":")
    if not port.isdecimal() or "/" in host:  # auto, or an address of another kind
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), CONNECTING).close()
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or reason_of(error)
        raise PipetaskError(
            f"No head of Ray answers at {address} ({reason}): give the address that `ray start --head` has printed, or "
            "auto on one of its nodes."
        ) from error


def _call(function: Callable[..., Any], /, *arguments: Any) -> Any:
    return function(*arguments)
