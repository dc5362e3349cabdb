"""A stand-in for Globus Compute, since tests cannot reach its service.

Tasks are files in a folder, and results, too; a process of its own, the endpoint, takes one task after the other.  So
what was submitted outlives the command, as with the service: it waits, it is run, and its result is kept.  Functions,
arguments and results go through the SDK's own serializer, futures are the SDK's, and what the adapter asks for must be
what the SDK's executor takes.  Logging in, batches and the network are missing.

With ``--engine globus_stand_in.GlobusCompute:ID`` a command has the adapter that pipetask comes with, on this executor.
"""

from __future__ import annotations

import contextlib
import inspect
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable
from concurrent.futures import InvalidStateError
from pathlib import Path
from typing import Any, ClassVar

import globus_compute_sdk
from globus_compute_sdk.errors import TaskExecutionFailed
from globus_compute_sdk.sdk.asynchronous.compute_future import ComputeFuture
from globus_compute_sdk.serialize import ComputeSerializer

from pipetask.executors.futures.engines.globus_compute import GlobusCompute

__all__ = ["GlobusCompute", "StandIn", "folder_of"]

LOOK = 0.02
"""Seconds between two looks at a folder."""


def folder_of(endpoint: object) -> Path:
    """Return the folder that stands for the service, as far as it knows an endpoint."""
    return Path(tempfile.gettempdir(), f"globus-{endpoint}")


def put(path: Path, *parts: str) -> None:
    """Write a file in one piece."""
    draft = path.with_name(f".{path.name}")
    draft.write_text("\0".join(parts))
    draft.replace(path)


class StandIn:
    """Takes what the SDK's executor takes."""

    interface = inspect.signature(globus_compute_sdk.Executor)
    made: ClassVar[list[StandIn]] = []

    def __init__(self, *arguments: Any, **options: Any):
        given = self.interface.bind(*arguments, **options).arguments
        self._folder = folder_of(given["endpoint_id"])
        self._serializer = ComputeSerializer()
        self._open: dict[Path, ComputeFuture] = {}
        self.is_shut = False
        self._n_tasks = 0
        self.made.append(self)
        threading.Thread(target=self._watch, daemon=True).start()

    def submit(self, function: Callable[..., Any], *arguments: Any) -> ComputeFuture:
        if self.is_shut:
            raise RuntimeError("it is shut down")
        packed = map(self._serializer.serialize, (function, arguments))
        self._n_tasks += 1
        name = f"{time.time_ns()}-{self._n_tasks:06}"
        future = ComputeFuture(name)
        self._open[self._folder / "results" / name] = future
        put(self._folder / "tasks" / name, *packed)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more tasks; what was submitted is at the service, and cannot be cancelled."""
        self.is_shut = True
        while wait and self._open:
            time.sleep(LOOK)

    def _watch(self) -> None:
        """Fetch results until there can be no more."""
        while self._open or not self.is_shut:
            for path in [path for path in list(self._open) if path.exists()]:
                kind, text = path.read_text().split("\0")
                future = self._open.pop(path)
                with contextlib.suppress(InvalidStateError):  # cancelled: the service does not know of that
                    if kind == "success":
                        future.set_result(self._serializer.deserialize(text))
                    else:
                        future.set_exception(TaskExecutionFailed(text))
            time.sleep(LOOK)


def serve(folder: Path) -> None:
    """Run tasks, one at a time, for ever."""
    print("ready", flush=True)
    while True:
        for task in sorted((folder / "tasks").glob("[0-9]*")):
            put(folder / "results" / task.name, *answer(task))
            task.unlink()
        time.sleep(LOOK)


def answer(task: Path) -> tuple[str, str]:
    """Run a task; of an exception, only the text comes back."""
    serializer = ComputeSerializer()
    try:
        function, arguments = map(serializer.deserialize, task.read_text().split("\0"))
        return "success", serializer.serialize(function(*arguments))
    except Exception:
        return "exception", traceback.format_exc()


globus_compute_sdk.Executor = StandIn  # type: ignore[misc]

if __name__ == "__main__":
    serve(Path(sys.argv[1]))
