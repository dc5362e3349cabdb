"""ipyparallel: a cluster that is running, or one on this machine."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Future
from pathlib import Path
from typing import Any, Self

import psutil

from ..engine import Engine, names_mistake

__all__ = ["IPyParallel"]

ANSWER = 5.0
"""Seconds in which a controller must take a connection."""


class IPyParallel(Engine):
    """A cluster of ipyparallel.

    Parameters
    ----------
    cluster
        The connection file of its controller, or the name of its profile; `None`: a cluster is started on this machine.
    workers
        How many of its engines to start.
    """

    def __init__(self, cluster: str | None, workers: int):
        import ipyparallel  # noqa: F401  says at once if it is missing

        self.is_here = cluster is None
        self._name = cluster
        self._workers = workers
        self._cluster: Any = None
        self._client: Any = None
        self._view: Any = None
        self._profile: str | None = None
        self._controller: list[psutil.Process] = []
        """The processes of a controller that was started here: it is one of several."""

    @classmethod
    def make(cls, argument: str | None, workers: int) -> Self:
        """Make one for a connection file or a profile, or for this machine."""
        return cls(argument, workers)

    @property
    def slots(self) -> int:
        """The number of its engines."""
        self._connect()
        return max(1, len(self._client.ids))

    def submit(self, function: Callable[..., Any], /, *arguments: Any) -> Future[Any]:
        """Have a function called by any of its engines."""
        self._connect()
        if not self._client.ids:
            raise BrokenExecutor("ipyparallel has no engine left")  # the function would wait for one
        return self._view.apply_async(function, *arguments)

    def lost(self, error: Exception) -> bool:
        """Return whether an engine or the controller was lost; of an exception there, only the name is known here."""
        name = getattr(error, "ename", None)
        return super().lost(error) if name is None else not names_mistake(name)

    def _connect(self) -> None:
        if self._view is not None:
            return
        from ipyparallel import Client, Cluster

        if self._name is None:
            self._profile = tempfile.mkdtemp(prefix="pipetask-ipyparallel-")
            self._cluster = Cluster(
                n=self._workers, profile_dir=self._profile, log_level=logging.ERROR, config=_outliving()
            )
            self._client = self._cluster.start_and_connect_sync()
            controller = psutil.Process(self._cluster.controller.pid)
            self._controller = [controller, *controller.children(recursive=True)]
        elif Path(self._name).is_file():
            self._client = Client(self._name)
        else:
            self._client = Client(profile=self._name)
        self._view = self._client.load_balanced_view()
        self._view.retries = 0  # what was lost is run again here, which knows what it was

    def end_of_life(self) -> str | None:
        """Return that the controller has ended, for whose return a client waits for ever."""
        for name in ("_query_socket", "_task_socket"):
            endpoint = getattr(getattr(self._client, name, None), "last_endpoint", b"").decode().rstrip("\0")
            host, _, port = endpoint.removeprefix("tcp://").rpartition(":")
            if not endpoint.startswith("tcp://") or not port.isdigit():
                continue
            try:
                socket.create_connection((host, int(port)), ANSWER).close()
            except ConnectionRefusedError:
                return "ipyparallel's controller has ended"
            except OSError:
                continue  # the network may come back
        return None

    def tell_all(self, function: Callable[..., Any], /, *arguments: Any) -> None:
        """Have a function called in each engine of a cluster that goes on."""
        if self._cluster is None and self._client is not None and self._client.ids:
            self._client[:].apply_async(function, *arguments)

    def renew(self) -> None:
        """Start a cluster again; wait for engines of another."""
        if self._cluster is not None:
            self.close()

    def close(self) -> None:
        """Disconnect, and end the cluster that was started here."""
        client, self._client, self._view = self._client, None, None
        cluster, self._cluster = self._cluster, None
        if client is not None:
            client.close()
        if cluster is not None:
            with contextlib.suppress(Exception):  # its controller may be gone
                cluster.stop_cluster_sync()
        for process in self._controller:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self._controller = []
        if self._profile is not None:
            shutil.rmtree(self._profile, ignore_errors=True)
            self._profile = None


def _outliving() -> Any:
    """Return a configuration with which all processes of a cluster end after this one, if that is killed."""
    from traitlets.config import Config

    config, start = Config(), [sys.executable, "-m", f"{__package__}.outliving", str(os.getpid())]
    config.ControllerLauncher.controller_cmd = [*start, "ipyparallel.controller"]
    config.EngineLauncher.engine_cmd = [*start, "ipyparallel.engine"]
    # By default, engines end two minutes after the controller, also if they run something.
    config.EngineLauncher.engine_args = ["--IPEngine.max_heartbeat_misses=0"]
    return config
