"""The engine that the guide shows."""

from __future__ import annotations

# [begin example]
import multiprocessing
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from typing import Any, Self

from pipetask import Engine


class FreshProcesses(Engine):
    """Processes of this machine, each of which is replaced when it has run some functions."""

    is_here = True

    def __init__(self, workers: int, most: int):
        self._workers, self._most = workers, most
        self._pool: ProcessPoolExecutor | None = None

    @classmethod
    def make(cls, argument: str | None, workers: int) -> Self:
        return cls(workers, int(argument or 100))

    @property
    def slots(self) -> int:
        return self._workers

    def submit(self, function: Callable[..., Any], /, *arguments: Any) -> Future[Any]:
        if self._pool is None:
            spawn = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(self._workers, spawn, max_tasks_per_child=self._most)
        return self._pool.submit(function, *arguments)

    def renew(self) -> None:
        self.close()

    def close(self) -> None:
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(cancel_futures=True)


# [end example]
