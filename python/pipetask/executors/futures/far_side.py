"""What runs in the workers of an engine: a function that takes a bundle, and one that looks around.

Both are named by their module, so what travels is small: an `Order` there and an `Answer` back, neither of which has
objects of a task.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import pickle
import platform
import socket
import tempfile
import threading
import time
import zlib
from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from ...errors import one_line
from ...outcome import QuantumError, QuantumOutcome
from ...runner import Ticket
from ...runner.process_state import LeftBehind
from ..pool.launcher import ForkServer, WorkerProcess
from ..stop import StopLevel
from .lone_worker import Limits, LoneWorker, WorkerStartError
from .shared_folder import SharedFolder

__all__ = [
    "Answer",
    "Facts",
    "Inquiry",
    "Order",
    "end_run",
    "file_mark",
    "look_around",
    "run_bundle",
    "versions",
]

IDLE_SECONDS = 60.0
"""Time after which a worker process that gets no more bundles ends."""

_MARKED = 1 << 20
"""Bytes at the end of a file that are compared."""


@dataclass(frozen=True)
class Order:
    """A bundle of quanta, and all that is needed to run it."""

    run: str
    """Identifier of the run; its warm workers serve only this run."""

    number: int
    """Which bundle of the run it is."""

    runner: bytes
    """The pickled recipe for what runs a quantum."""

    tickets: tuple[Ticket, ...]
    limits: Limits
    folder: SharedFolder | None
    """Where outcomes are recorded at once, if the far side can write there."""

    variables: Mapping[str, str]
    """Environment variables of the worker process."""


@dataclass(frozen=True)
class Answer:
    """What became of a bundle; quanta of it without an outcome were not begun."""

    outcomes: tuple[tuple[Any, ...], ...]
    """In their wire format."""

    left_behind: tuple[tuple[int, LeftBehind], ...] = ()
    failure: QuantumError | None = None
    """Why there was no worker process, if there was none."""


def run_bundle(order: Order) -> Answer:
    """Run a bundle of quanta in a warm worker process of this process.

    Parameters
    ----------
    order
        The bundle.
    """
    outcomes: list[tuple[Any, ...]] = []
    folder = order.folder

    def level() -> StopLevel:
        if _WORKERS.is_over(order.run):
            return StopLevel.KILL
        return StopLevel.GO_ON if folder is None else folder.level()

    if level():
        return Answer(())
    worker = _WORKERS.take(order)
    try:
        with nullcontext(_forget) if folder is None else folder.recording(order.number) as record:

            def note(outcome: QuantumOutcome) -> None:
                outcomes.append(outcome.to_wire())
                record(outcome)

            worker.run(order.tickets, order.limits, level, note)
    except WorkerStartError as error:
        worker.close()
        return Answer(tuple(outcomes), failure=error.error)
    except BaseException:
        worker.close()
        raise
    left_behind = tuple(worker.left_behind)
    if level():
        worker.close()  # it has been told to stop
    else:
        _WORKERS.put(order.run, worker)
    return Answer(tuple(outcomes), left_behind)


def _forget(outcome: QuantumOutcome) -> None:
    """Record nothing: no folder is shared."""


def end_run(run: str) -> None:
    """End the worker processes that this process has for a run."""
    _WORKERS.end(run)


class _Workers:
    """The warm workers of this process that have nothing to do, by run."""

    def __init__(self) -> None:
        self._launchers: dict[frozenset[tuple[str, str]], _LockedLauncher] = {}
        self._lock = threading.Lock()
        self._idle: defaultdict[str, list[tuple[float, LoneWorker]]] = defaultdict(list)
        self._over: deque[str] = deque(maxlen=100)
        """The last runs that have ended while bundles of theirs may have been on their way."""
        self._reaper: threading.Thread | None = None

    def is_over(self, run: str) -> bool:
        """Return whether a run has ended, as far as this process knows."""
        return run in self._over

    def take(self, order: Order) -> LoneWorker:
        """Return a worker for a bundle: the one that has worked last, or a new one."""
        with self._lock:
            if idle := self._idle.get(order.run):
                return idle.pop()[1]
            variables = frozenset(order.variables.items())
            if variables not in self._launchers:
                self._launchers[variables] = _LockedLauncher(order.variables)
            launcher = self._launchers[variables]
        # A folder for each, since a worker that loses its driver removes its log and the folder.
        parent = None if order.folder is None else order.folder.path
        logs = Path(tempfile.mkdtemp(prefix="worker-", dir=parent))
        return LoneWorker(pickle.loads(order.runner), launcher, logs / "worker.log")

    def put(self, run: str, worker: LoneWorker) -> None:
        """Keep a worker for the next bundle, if there may be one."""
        with self._lock:
            if not self.is_over(run):
                self._idle[run].append((time.monotonic(), worker))
                self._start_reaper()
                return
        worker.close()

    def _start_reaper(self) -> None:
        if self._reaper is None:
            self._reaper = threading.Thread(target=self._reap, daemon=True, name="pipetask-reaper")
            self._reaper.start()

    def end(self, run: str) -> None:
        """End the idle workers of a run, and let those that are busy end, too; then what starts workers."""
        with self._lock:
            self._over.append(run)
            gone = [worker for _, worker in self._idle.pop(run, [])]
            launchers = [] if self._idle else list(self._launchers.values())
            if launchers:
                self._launchers.clear()
        for worker in gone:
            worker.close()
        for launcher in launchers:
            launcher.close()

    def close_all(self) -> None:
        """End everything."""
        for run in [*self._idle, ""]:
            self.end(run)

    def _reap(self) -> None:
        while True:
            time.sleep(IDLE_SECONDS / 4)
            oldest = time.monotonic() - IDLE_SECONDS
            with self._lock:
                gone = [worker for idle in self._idle.values() for since, worker in idle if since < oldest]
                for run, idle in list(self._idle.items()):
                    self._idle[run] = [each for each in idle if each[0] >= oldest]
            for worker in gone:
                worker.close()


class _LockedLauncher(ForkServer):
    """A server that several threads ask for workers."""

    def __init__(self, variables: Mapping[str, str]):
        super().__init__(variables)
        self._lock = threading.Lock()

    def start(self, pipes: Sequence[int]) -> WorkerProcess:
        with self._lock:
            return super().start(pipes)


_WORKERS = _Workers()
atexit.register(_WORKERS.close_all)


# Looking around before anything is touched.


@dataclass(frozen=True)
class Inquiry:
    """What is to be looked at."""

    runner: bytes
    """The pickled recipe for what runs a quantum."""

    files: tuple[str, ...]
    folder: SharedFolder | None


@dataclass(frozen=True)
class Facts:
    """What a worker of an engine sees."""

    host: str
    versions: Mapping[str, str]
    """Of Python (without its last number), pipetask and the packages of LSST."""

    files: Mapping[str, tuple[int, int] | None]
    """Marks of the files, `None` for those that are not there."""

    sees_folder: bool
    runner_error: str | None
    """Why the recipe cannot be unpickled."""


def look_around(inquiry: Inquiry) -> Facts:
    """Return what is seen from here.

    Parameters
    ----------
    inquiry
        What to look at.
    """
    runner_error = None
    try:
        pickle.loads(inquiry.runner)
    except Exception as error:
        runner_error = one_line(error)
    return Facts(
        socket.gethostname(),
        versions(),
        {path: file_mark(path) for path in inquiry.files},
        inquiry.folder is not None and os.access(inquiry.folder.path, os.R_OK | os.W_OK | os.X_OK),
        runner_error,
    )


def versions() -> dict[str, str]:
    """Return the versions that have to be the same on both sides."""
    found = {"Python": ".".join(platform.python_version_tuple()[:2])}
    for name in ("pipetask", "lsst-pipe-base", "lsst-daf-butler"):
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def file_mark(path: str) -> tuple[int, int] | None:
    """Return size and checksum (of the end) of a file; `None` if it cannot be read."""
    try:
        with Path(path).open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _MARKED))
            return size, zlib.crc32(file.read())
    except OSError:
        return None
