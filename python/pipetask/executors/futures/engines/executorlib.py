"""executorlib: processes of this machine, or an executor of the user's."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Executor, Future
from functools import partial
from typing import Any, Self

from .local import LocalEngine
from .named import named
from .outliving import end_after_parent

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
        self._pending: set[Future[Any]] = set()
        """What the executor has to do."""
        self._former: list[tuple[Executor, set[Future[Any]]]] = []
        """Those of before a worker was lost, and what they have to do."""

    @classmethod
    def make(cls, argument: str | None, workers: int) -> Self:
        """Make one for an executor, ``package.module.name``, or for this machine."""
        if argument is None:
            return cls(partial(_this_machine, workers), workers)
        engine = cls(named(argument, "an executor, or what returns one", "submit"), workers)
        engine.is_here = False
        return engine

    def start(self) -> Executor:
        """Start the executor."""
        self._broken = False
        return self._start_one()

    def submit(self, function: Callable[..., Any], /, *arguments: Any) -> Future[Any]:
        """Have a function called."""
        if self._broken:
            raise BrokenExecutor("executorlib has lost a worker")  # which it does not replace
        future = super().submit(_call, os.getpid() if self.is_here else None, function, *arguments)
        self._pending.add(future)
        future.add_done_callback(self._pending.discard)
        future.add_done_callback(self._look_at)
        self._end_idle()
        return future

    def _look_at(self, future: Future[Any]) -> None:
        error = None if future.cancelled() else future.exception()
        if error is not None and (not isinstance(error, Exception) or self.lost(error)):
            self._broken = True

    def renew(self) -> None:
        """Start all workers again; those of before end when they have done what they have."""
        if self._executor is not None:
            self._former.append((self._executor, self._pending))
        self._executor, self._pending, self._broken = None, set(), False
        self._end_idle()

    def _end_idle(self) -> None:
        """End executors of before that have nothing to do any more.

        One that is told to end before may lose a function: the thread of a worker that has died puts it back into the
        queue, behind what tells the others to end.
        """
        idle = [executor for executor, pending in self._former if not pending]
        self._former = [each for each in self._former if each[0] not in idle]
        for executor in idle:
            executor.shutdown(wait=False)

    def close(self) -> None:
        """Shut all executors down."""
        super().close()
        for executor, _ in self._former:
            executor.shutdown(wait=False, cancel_futures=True)
        self._former = []


def _call(parent: int | None, function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function, of which executorlib would want to know the signature; let the worker end after the command."""
    _end_after_parent(parent)
    return function(*arguments)


@functools.cache
def _end_after_parent(parent: int | None) -> None:
    """Watch the command, or what has started this worker on another machine."""
    # Not as its init_function: with one, executorlib waits for ever for a worker that has died.
    end_after_parent(os.getppid() if parent is None else parent)


def _this_machine(workers: int) -> Any:
    from executorlib import SingleNodeExecutor

    return SingleNodeExecutor(
        max_workers=workers,
        block_allocation=True,
        hostname_localhost=True,
        restart_limit=0,
    )
