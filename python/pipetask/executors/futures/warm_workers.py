"""The warm worker processes of one process of an engine, by run."""

from __future__ import annotations

import atexit
import contextlib
import tempfile
import threading
import time
import uuid
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ...runner import RunnerSpec
from ..pool.launcher import ForkServer, WorkerProcess
from ..stop import StopLevel
from .lone_worker import LoneWorker
from .shared_folder import SharedFolder

__all__ = ["WARM_WORKERS", "WarmWorkers"]

IDLE_SECONDS = 60.0
"""Time after which worker processes that get no more bundles end, since nothing may tell that their run has died."""

LOOK = 2.0
"""Seconds between two looks at whether a run is over."""


class WarmWorkers:
    """The workers of this process, which wait for the next bundle of their run."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._runs: dict[str, _Run] = {}
        self._over: deque[str] = deque(maxlen=100)
        """The last runs that have ended while bundles of theirs may have been on their way."""
        self._changed = threading.Event()
        self._reaper: threading.Thread | None = None

    def is_over(self, run: str) -> bool:
        """Return whether a run has ended, as far as this process knows."""
        return run in self._over

    def warm_up(self, run: str, variables: Mapping[str, str]) -> None:
        """Start what starts the workers of a run, which imports in the background what they need.

        Parameters
        ----------
        run
            Identifier of the run.
        variables
            Environment variables of the workers.
        """
        with self._lock:
            if not self.is_over(run):
                self._of(run, variables)

    def take(
        self, run: str, recipe: RunnerSpec, variables: Mapping[str, str], folder: SharedFolder | None
    ) -> LoneWorker:
        """Return a worker for a bundle: the one that has worked last, or a new one.

        Parameters
        ----------
        run
            Identifier of the run.
        recipe
            What runs a quantum.
        variables
            Environment variables of the workers.
        folder
            The run's shared folder.
        """
        with self._lock:
            mine = self._of(run, variables)
            mine.folder = folder
            mine.n_busy += 1
            if mine.idle:
                return mine.idle.pop()
        return LoneWorker(recipe, mine.launcher, _log_file(folder))

    def put(self, run: str, worker: LoneWorker, *, again: bool) -> None:
        """Take a worker back; keep it for the next bundle if there may be one.

        Parameters
        ----------
        run
            Identifier of the run.
        worker
            The worker.
        again
            Whether it can run other bundles.
        """
        with self._lock:
            mine = self._runs[run]
            mine.n_busy -= 1
            mine.used = time.monotonic()
            keep = again and not self.is_over(run)
            if keep:
                mine.idle.append(worker)
            last = self.is_over(run) and not mine.n_busy
            if last:
                del self._runs[run]
        if not keep:
            worker.close()
        if last:
            mine.launcher.close()

    def note_end(self, run: str) -> None:
        """Let the workers of a run end soon, without waiting for that."""
        self._over.append(run)
        self._changed.set()

    def end(self, run: str) -> None:
        """End the idle workers of a run, and let those that are busy end, too."""
        with self._lock:
            self._over.append(run)
            if (mine := self._runs.get(run)) is None:
                return
            gone, mine.idle = mine.idle, []
            last = not mine.n_busy
            if last:
                del self._runs[run]
        for worker in gone:  # all at once
            worker.dismiss()
        for worker in gone:
            worker.close()
        if last:
            mine.launcher.close()

    def end_all(self) -> None:
        """End everything."""
        for run in list(self._runs):
            self.end(run)

    def _of(self, run: str, variables: Mapping[str, str]) -> _Run:
        if run not in self._runs:
            self._runs[run] = _Run(_LockedLauncher(variables))
            self._changed.set()
        if self._reaper is None:
            self._reaper = threading.Thread(target=self._reap, daemon=True, name="pipetask-reaper")
            self._reaper.start()
        return self._runs[run]

    def _reap(self) -> None:
        """End what belongs to runs that are over, or that have not been heard of for a while."""
        while True:
            self._changed.wait(LOOK if self._runs else None)
            self._changed.clear()
            for run, mine in list(self._runs.items()):
                idle = not mine.n_busy and time.monotonic() > mine.used + IDLE_SECONDS
                if self.is_over(run) or mine.is_over():
                    self.end(run)
                elif idle:
                    self._rest(run)

    def _rest(self, run: str) -> None:
        """End the workers of a run that may have more bundles for us later."""
        with self._lock:
            mine = self._runs[run]
            if mine.n_busy:
                return
            del self._runs[run]
        for worker in mine.idle:
            worker.close()
        mine.launcher.close()


class _LockedLauncher(ForkServer):
    """A server that several threads ask for workers."""

    def __init__(self, variables: Mapping[str, str]):
        super().__init__(variables)
        self._lock = threading.Lock()

    def start(self, pipes: Sequence[int]) -> WorkerProcess:
        with self._lock:
            return super().start(pipes)


@dataclass
class _Run:
    """What this process has for a run."""

    launcher: _LockedLauncher
    folder: SharedFolder | None = None
    idle: list[LoneWorker] = field(default_factory=list)
    n_busy: int = 0
    used: float = field(default_factory=time.monotonic)
    """When a bundle has ended."""

    def is_over(self) -> bool:
        """Return whether the folder says that the run is over."""
        return self.folder is not None and self.folder.level() is StopLevel.KILL


def _log_file(folder: SharedFolder | None) -> Path:
    """Return a file for the log of a worker, in a folder of its own: a worker that loses its driver removes both."""
    for parent in (None if folder is None else folder.path, None):
        with contextlib.suppress(OSError):
            return Path(tempfile.mkdtemp(prefix="worker-", dir=parent)) / "worker.log"
    return Path(tempfile.gettempdir(), f"worker-{uuid.uuid4()}", "worker.log")  # then there is no log


WARM_WORKERS = WarmWorkers()
"""Those of this process."""

atexit.register(WARM_WORKERS.end_all)
