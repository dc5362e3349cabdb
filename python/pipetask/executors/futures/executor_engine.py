"""Engines that are executors: of Python's, or of a site's own."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any, Self

from .engine import Engine

__all__ = ["ExecutorEngine"]


class ExecutorEngine(Engine):
    """An executor like those of `concurrent.futures`, which `start` returns when it is needed.

    Parameters
    ----------
    argument
        What the user has given behind the engine's name and a colon; `None` if there is nothing.
    workers
        How many workers the user has asked for.
    """

    def __init__(self, argument: str | None, workers: int):
        self.argument = argument
        self.workers = workers
        self._executor: Executor | None = None

    @classmethod
    def make(cls, argument: str | None, workers: int) -> Self:
        """Make one for ``--engine NAME:ARGUMENT``."""
        return cls(argument, workers)

    @abstractmethod
    def start(self) -> Executor:
        """Start the executor: for the first function, and again after `renew`."""

    @property
    def slots(self) -> int:
        """The number of functions that it can run at the same time."""
        return self.workers

    def submit(self, function: Callable[..., Any], /, *arguments: Any) -> Future[Any]:
        """Have a function called."""
        if self._executor is None:
            self._executor = self.start()
        return self._executor.submit(function, *arguments)

    def renew(self) -> None:
        """Forget the executor, which takes nothing more; the next function gets a new one."""
        self._end(wait=False)

    def close(self) -> None:
        """Shut the executor down."""
        self._end(wait=True)

    def shut_down(self, executor: Executor, *, wait: bool) -> None:
        """Shut an executor down.

        Parameters
        ----------
        executor
            What `start` has returned.
        wait
            Whether to wait until it has ended.
        """
        executor.shutdown(wait, cancel_futures=True)

    def _end(self, *, wait: bool) -> None:
        executor, self._executor = self._executor, None
        if executor is not None:
            self.shut_down(executor, wait=wait)
