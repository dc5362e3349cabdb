"""The warm worker processes of one process of an engine, by run."""

from __future__ import annotations

import atexit
import contextlib
import os
import tempfile
import threading
import time
import uuid
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from ...runner import RunnerSpec
from ..pool.launcher import ForkServer, WorkerProcess
from ..stop import StopLevel
from .code_package import UnpackedCode
from .environment import USUAL, Environment
from .lone_worker import LoneWorker
from .shared_folder import SharedFolder

__all__ = ["WARM_WORKERS", "Home", "WarmWorkers"]

IDLE_SECONDS = 60.0
"""Time after which worker processes that get no more bundles end, since nothing may tell that their run has died."""

LOOK = 2.0
"""Seconds between two looks at whether a run is over."""

_DEVICES = (
    "CUDA_VISIBLE_DEVICES",
    "HIP_VISIBLE_DEVICES",
    "ROCR_VISIBLE_DEVICES",
    "ONEAPI_DEVICE_SELECTOR",
    "ZE_AFFINITY_MASK",
)
"""Environment variables with which engines say which GPUs of NVIDIA, AMD and Intel a function may use."""

_Key: TypeAlias = tuple[str, Environment, tuple[str | None, ...]]


@dataclass(frozen=True)
class Home:
    """What worker processes have in common that can serve the same quanta."""

    run: str
    """Identifier of the run."""

    variables: Mapping[str, str]
    """Environment variables."""

    environment: Environment = USUAL
    folder: SharedFolder | None = None
    """The run's shared folder."""

    devices: tuple[str | None, ...] = field(default_factory=lambda: tuple(map(os.environ.get, _DEVICES)))
    """The devices that this process may use now: Ray sets others for another function, and workers keep theirs."""

    @property
    def key(self) -> _Key:
        """What tells it from others."""
        return self.run, self.environment, self.devices


class WarmWorkers:
    """The workers of this process, which wait for the next bundle of their run."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._runs: dict[_Key, _Run] = {}
        self._over: deque[str] = deque(maxlen=100)
        """The last runs that have ended while bundles of theirs may have been on their way."""
        self._changed = threading.Event()
        self._reaper: threading.Thread | None = None

    def is_over(self, run: str) -> bool:
        """Return whether a run has ended, as far as this process knows."""
        return run in self._over

    @property
    def are_busy(self) -> bool:
        """Whether a bundle is being run."""
        return any(mine.n_busy for mine in list(self._runs.values()))

    def warm_up(self, home: Home) -> None:
        """Start what starts the workers of a run, which imports in the background what they need.

        Parameters
        ----------
        home
            The run, and the environment.
        """
        folder = home.folder
        if folder is not None and folder.level() is StopLevel.KILL:
            return  # the run has ended, or it cannot be seen from here when it does
        with self._lock:
            if not self.is_over(home.run):
                self._of(home).sign = folder

    def take(self, home: Home, recipe: RunnerSpec, code: bytes | None = None) -> LoneWorker:
        """Return a worker for a bundle: the one that has worked last, or a new one.

        Parameters
        ----------
        home
            The run, and the environment.
        recipe
            What runs a quantum.
        code
            The code package of the environment, if it has come along.

        Raises
        ------
        NoCodeError
            If the code package is not on this machine, and has not come along.
        """
        with self._lock:
            mine = self._of(home, code)
            mine.folder = home.folder
            mine.n_busy += 1
            if mine.idle:
                return mine.idle.pop()
        return LoneWorker(recipe, mine.launcher, _log_file(home.folder))

    def put(self, home: Home, worker: LoneWorker, *, again: bool) -> None:
        """Take a worker back; keep it for the next bundle if there may be one.

        Parameters
        ----------
        home
            The run, and the environment.
        worker
            The worker.
        again
            Whether it can run other bundles.
        """
        with self._lock:
            mine = self._runs[home.key]
            mine.n_busy -= 1
            mine.used = time.monotonic()
            keep = again and not self.is_over(home.run)
            if keep:
                mine.idle.append(worker)
            last = self.is_over(home.run) and not mine.n_busy
            if last:
                del self._runs[home.key]
        if not keep:
            worker.close()
        if last:
            mine.close()

    def note_end(self, run: str) -> None:
        """Let the workers of a run end soon, without waiting for that."""
        self._over.append(run)
        self._changed.set()

    def end(self, run: str) -> None:
        """End the idle workers of a run, and let those that are busy end, too."""
        with self._lock:
            self._over.append(run)
            ended = [mine for key, mine in self._runs.items() if key[0] == run]
            gone = [worker for mine in ended for worker in mine.idle]
            last = [mine for mine in ended if not mine.n_busy]
            self._runs = {key: mine for key, mine in self._runs.items() if mine not in last}
            for mine in ended:
                mine.idle = []
        for worker in gone:  # all at once
            worker.dismiss()
        for worker in gone:
            worker.close()
        for mine in last:
            mine.close()

    def end_all(self) -> None:
        """End everything."""
        for run in {run for run, *_ in self._runs}:
            self.end(run)

    def _of(self, home: Home, code: bytes | None = None) -> _Run:
        if home.key not in self._runs:
            self._runs[home.key] = _Run(_LockedLauncher(home, code))
            self._changed.set()
        if self._reaper is None:
            self._reaper = threading.Thread(target=self._reap, daemon=True, name="pipetask-reaper")
            self._reaper.start()
        return self._runs[home.key]

    def _reap(self) -> None:
        """End what belongs to runs that are over, or that have not been heard of for a while."""
        while True:
            self._changed.wait(LOOK if self._runs else None)
            self._changed.clear()
            for key, mine in list(self._runs.items()):
                idle = not mine.n_busy and time.monotonic() > mine.used + IDLE_SECONDS
                if self.is_over(key[0]) or mine.is_over():
                    self.end(key[0])
                elif idle or mine.is_unused():
                    self._rest(key)

    def _rest(self, key: _Key) -> None:
        """End the workers of a run that may have more bundles for us later."""
        with self._lock:
            mine = self._runs.get(key)
            if mine is None or mine.n_busy:
                return
            del self._runs[key]
        for worker in mine.idle:
            worker.close()
        mine.close()


class _LockedLauncher(ForkServer):
    """A server that several threads ask for workers.

    Parameters
    ----------
    home
        Where workers start.
    code
        The code package of the environment, if it has come along.
    """

    def __init__(self, home: Home, code: bytes | None = None):
        self._lock = threading.Lock()
        self._code: UnpackedCode | None = None
        environment, folder = home.environment, home.folder
        if (package := environment.code) is not None:
            name = package.file_name
            self._code = UnpackedCode(package, lambda: code or (folder.read(name) if folder else None))
        variables = environment.variables_over(home.variables)
        interpreter = environment.interpreter(self._code.folders if self._code else (), variables)
        try:
            super().__init__(variables, interpreter)
        except BaseException:
            self.let_go()
            raise

    def start(self, pipes: Sequence[int]) -> WorkerProcess:
        with self._lock:
            return super().start(pipes)

    def let_go(self) -> None:
        """Let go of the code package, when no worker needs it any more."""
        code, self._code = self._code, None
        if code is not None:
            code.close()


@dataclass(eq=False)
class _Run:
    """What this process has for a run."""

    launcher: _LockedLauncher
    folder: SharedFolder | None = None
    sign: SharedFolder | None = None
    """A folder that was seen before the first bundle.  The run may go on without it."""

    idle: list[LoneWorker] = field(default_factory=list)
    n_busy: int = 0
    used: float = field(default_factory=time.monotonic)
    """When a bundle has ended."""

    def close(self) -> None:
        """End what starts workers, after the last of them."""
        self.launcher.close()
        self.launcher.let_go()

    def is_over(self) -> bool:
        """Return whether the folder says that the run is over."""
        return self.folder is not None and self.folder.level() is StopLevel.KILL

    def is_unused(self) -> bool:
        """Return whether the run has probably ended before this process had a bundle of it."""
        waits = self.folder is None and not self.n_busy
        return waits and self.sign is not None and self.sign.level() is StopLevel.KILL


def _log_file(folder: SharedFolder | None) -> Path:
    """Return a file for the log of a worker, in a folder of its own: a worker that loses its driver removes both."""
    for parent in (None if folder is None else folder.path, None):
        with contextlib.suppress(OSError):
            return Path(tempfile.mkdtemp(prefix="worker-", dir=parent)) / "worker.log"
    return Path(tempfile.gettempdir(), f"worker-{uuid.uuid4()}", "worker.log")  # then there is no log


WARM_WORKERS = WarmWorkers()
"""Those of this process."""

atexit.register(WARM_WORKERS.end_all)
