"""Engines of this machine: threads and processes."""

from __future__ import annotations

import multiprocessing
from abc import abstractmethod
from collections.abc import Callable
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from typing import Any, Self

from ....errors import UsageError
from ..engine import Engine

__all__ = ["LocalEngine", "Loky", "Processes", "Threads"]


class LocalEngine(Engine):
    """An executor of this machine, which is made when it is needed.

    Parameters
    ----------
    workers
        Its size.
    """

    is_here = True

    def __init__(self, workers: int):
        self._workers = workers
        self._executor: Executor | None = None

    @classmethod
    def make(cls, argument: str | None, workers: int) -> Self:
        """Make one; there is nothing to say behind its name."""
        if argument is not None:
            raise UsageError("it takes no argument; the number of workers is -j.")
        return cls(workers)

    @abstractmethod
    def _start(self) -> Executor:
        """Start the executor."""

    @property
    def slots(self) -> int:
        """The number of functions that it can run at the same time."""
        return self._workers

    def submit(self, function: Callable[..., Any], /, *arguments: Any) -> Future[Any]:
        """Have a function called."""
        if self._executor is None:
            self._executor = self._start()
        return self._executor.submit(function, *arguments)

    def close(self) -> None:
        """Shut the executor down."""
        executor, self._executor = self._executor, None
        if executor is not None:
            self._shut_down(executor, wait=True)

    def _shut_down(self, executor: Executor, *, wait: bool) -> None:
        executor.shutdown(wait, cancel_futures=True)


class Threads(LocalEngine):
    """Threads of this process, each of which waits for a worker process of its own."""

    def _start(self) -> Executor:
        return ThreadPoolExecutor(self._workers, "pipetask-engine")


class _Breakable(LocalEngine):
    """An executor that takes nothing more when one of its processes has died."""

    def renew(self) -> None:
        """Forget the executor; the next function gets a new one."""
        executor, self._executor = self._executor, None
        if executor is not None:
            self._shut_down(executor, wait=False)


class Processes(_Breakable):
    """`concurrent.futures.ProcessPoolExecutor`."""

    def _start(self) -> Executor:
        return ProcessPoolExecutor(self._workers, multiprocessing.get_context("spawn"))


class Loky(_Breakable):
    """The executor of loky, which joblib is built on."""

    def __init__(self, workers: int):
        import loky  # noqa: F401  says at once if it is missing

        super().__init__(workers)

    def _start(self) -> Executor:
        from loky import ProcessPoolExecutor as LokyExecutor

        return LokyExecutor(self._workers)

    def _shut_down(self, executor: Any, *, wait: bool) -> None:
        executor.shutdown(wait=wait, kill_workers=True)
