"""executorlib: processes of this machine, or an executor of the user's."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Executor, Future
from functools import partial
from typing import Any, Self

from .local import LocalEngine
from .named import named

__all__ = ["Executorlib"]


class Executorlib(LocalEngine):
    """executorlib, whose workers stay for the whole run (in its words, by block allocation).

    Parameters
    ----------
    start
        Returns an executor.
    workers
        How many functions it can run at the same time.
    """

    reruns = True  # it may start a worker that has died again, and give it the same function

    def __init__(self, start: Callable[[], Any], workers: int):
        import executorlib  # noqa: F401  says at once if it is missing

        super().__init__(workers)
        self._start_one = start
        self._broken = False

    @classmethod
    def make(cls, argument: str | None, workers: int) -> Self:
        """Make one for an executor, ``package.module.name``, or for this machine."""
        if argument is None:
            return cls(partial(_this_machine, workers), workers)
        engine = cls(named(argument, "an executor, or what returns one,"), workers)
        engine.is_here = False
        return engine

    def _start(self) -> Executor:
        self._broken = False
        return self._start_one()

    def submit(self, function: Callable[..., Any], /, *arguments: Any) -> Future[Any]:
        """Have a function called."""
        if self._broken:
            raise BrokenExecutor("executorlib has lost a worker")  # which it does not replace
        future = super().submit(_call, function, *arguments)
        future.add_done_callback(self._look_at)
        return future

    def _look_at(self, future: Future[Any]) -> None:
        if not future.cancelled() and future.exception() is not None:
            self._broken = True

    def renew(self) -> None:
        """Start all workers again; those of before end when they have done what they have."""
        executor, self._executor = self._executor, None
        self._broken = False
        if executor is not None:
            executor.shutdown(wait=False)


def _call(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function, of which executorlib would want to know the signature."""
    return function(*arguments)


def _this_machine(workers: int) -> Any:
    from executorlib import SingleNodeExecutor

    return SingleNodeExecutor(
        max_workers=workers, block_allocation=True, hostname_localhost=True, restart_limit=0
    )
