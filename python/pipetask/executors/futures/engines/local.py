"""Engines of this machine: threads and processes."""

from __future__ import annotations

import multiprocessing
import os
import signal
from concurrent.futures import BrokenExecutor, Executor, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import resource_tracker
from typing import Any, Self

from ....errors import UsageError
from ..executor_engine import ExecutorEngine
from .outliving import end_after_parent

__all__ = ["LocalEngine", "Loky", "Processes", "Threads", "start_tracker"]


def start_tracker() -> None:
    """Start what multiprocessing starts with its first process, and keep the signals that are blocked in this thread.

    Later, it would unblock SIGINT, which a terminal sends to all processes.
    """
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    resource_tracker.ensure_running()
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)


class LocalEngine(ExecutorEngine):
    """An executor of this machine.

    Parameters
    ----------
    workers
        Its size.
    """

    is_here = True

    def __init__(self, workers: int):
        super().__init__(None, workers)

    @classmethod
    def make(cls, argument: str | None, workers: int) -> Self:
        """Make one; there is nothing to say behind its name."""
        if argument is not None:
            raise UsageError("it takes no argument; the number of workers is -j.")
        return cls(workers)


class Threads(LocalEngine):
    """Threads of this process, each of which waits for a worker process of its own."""

    def start(self) -> Executor:
        """Start the executor."""
        return ThreadPoolExecutor(self.workers, "pipetask-engine")

    def renew(self) -> None:
        """Keep the executor: it does not break."""


class Processes(LocalEngine):
    """`concurrent.futures.ProcessPoolExecutor`."""

    def start(self) -> Executor:
        """Start the executor."""
        start_tracker()
        spawn = multiprocessing.get_context("spawn")
        return ProcessPoolExecutor(self.workers, spawn, end_after_parent, (os.getpid(),))


class Loky(LocalEngine):
    """The executor of loky, which joblib is built on."""

    def __init__(self, workers: int):
        import loky  # noqa: F401  says at once if it is missing

        super().__init__(workers)

    def start(self) -> Executor:
        """Start the executor."""
        from loky import ProcessPoolExecutor as LokyExecutor

        start_tracker()
        return LokyExecutor(self.workers, initializer=end_after_parent, initargs=(os.getpid(),))

    def lost(self, error: Exception) -> bool:
        """Return whether a worker was lost; loky also breaks when something cannot be unpickled."""
        is_broken = isinstance(error, BrokenExecutor)
        return super().lost(error) and not (is_broken and "failed to un-serialize" in str(error))

    def shut_down(self, executor: Any, *, wait: bool) -> None:
        """Shut it down, also if a worker has something to do."""
        executor.shutdown(wait=wait, kill_workers=True)
