"""Parsl: a configuration of the user's, or its high-throughput executor on this machine."""

from __future__ import annotations

import contextlib
import functools
import multiprocessing
import os
import shlex
import sys
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Future
from typing import Any, Self

import psutil

from ..engine import Engine
from .named import named

__all__ = ["Parsl"]

CLEANING = 5.0
"""Seconds in which Parsl ends what there is without its interchange."""


class Parsl(Engine):
    """Parsl.

    Parameters
    ----------
    config
        Returns a ``parsl.Config``.
    workers
        How many functions to have in work at the same time.
    """

    def __init__(self, config: Callable[[], Any], workers: int):
        import parsl  # noqa: F401  says at once if it is missing

        self._config = config
        self._workers = workers
        self._kernel: Any = None
        self._interchange_died = False
        self._executor: Any = None

    @classmethod
    def make(cls, argument: str | None, workers: int) -> Self:
        """Make one for a configuration, ``package.module.name``, or for this machine."""
        if argument is None:
            engine = cls(lambda: _this_machine(workers), workers)
            engine.is_here = True
            return engine
        return cls(named(argument, "a parsl.Config, or what returns one", "executors"), workers)

    @property
    def slots(self) -> int:
        """The number of workers that the user has asked for: blocks come and go."""
        return self._workers

    def submit(self, function: Callable[..., Any], /, *arguments: Any) -> Future[Any]:
        """Have a function called."""
        if self._executor is None:
            import parsl
            from parsl.concurrent import ParslPoolExecutor

            config = self._config()
            config.retries = 0  # what was lost is run again here, which knows what it was
            for each in config.executors:
                if getattr(each, "interchange_launch_cmd", None) == ["interchange.py"]:  # by default
                    each.interchange_launch_cmd = _interchange()
            self._kernel = parsl.load(config)
            self._executor = ParslPoolExecutor(dfk=self._kernel)
        if any(getattr(each, "bad_state_is_set", False) for each in self._kernel.executors.values()):
            raise BrokenExecutor("Parsl's blocks have ended")  # otherwise all functions would fail at once
        return self._executor.submit(_attended, os.getpid(), function, *arguments)

    def lost(self, error: Exception) -> bool:
        """Return whether a worker, a manager or a block was lost, and not that something cannot be pickled."""
        from parsl.serialize.errors import DeserializationError, DeserializerPluginError, SerializationError

        mistakes = DeserializationError | DeserializerPluginError | SerializationError
        return super().lost(error) and not isinstance(error, mistakes)

    def end_of_life(self) -> str | None:
        """Return that an interchange has ended, which Parsl does not look at."""
        for executor in self._kernel.executors.values() if self._kernel is not None else ():
            interchange = getattr(executor, "interchange_proc", None)
            if interchange is not None and interchange.poll() is not None:
                self._interchange_died, reason = True, "Parsl's interchange has ended"
                # Otherwise Parsl would ask it to end the blocks, and wait for an answer for ever.
                executor.set_bad_state_and_fail_all(RuntimeError(reason))
                with contextlib.suppress(
                    Exception
                ):  # a manager ends by itself, too, when it misses heartbeats
                    executor.provider.cancel(list(executor.blocks_to_job_id.values()))
                return reason
        return None

    def renew(self) -> None:
        """Start new blocks: those of before have ended too often for Parsl to go on."""
        self.close()

    def close(self) -> None:
        """End all blocks."""
        if self._kernel is None:
            return
        import parsl

        kernel, self._kernel, self._executor = self._kernel, None, None
        parsl.clear()
        if self._interchange_died:  # which Parsl would wait for
            for each in kernel.executors.values():
                _let_go(each)
            cleaner = threading.Thread(target=kernel.cleanup, daemon=True)
            cleaner.start()
            cleaner.join(CLEANING)
        else:
            kernel.cleanup()


def _let_go(executor: Any) -> None:
    """End the wait for an answer of an interchange that is gone: threads of Parsl would be in it for ever."""
    with contextlib.suppress(AttributeError):  # it has none
        client = executor.command_client
        client.ok = False
        client.close = client.zmq_socket.close  # its context, which ends but once, is ended here
        threading.Thread(target=client.zmq_context.term, daemon=True, name="pipetask-parsl-end").start()


def _attended(command: int, function: Callable[..., Any], /, *arguments: Any) -> Any:
    """Call a function in a worker that ends with its manager; otherwise it would wait for the next for ever."""
    if os.getpid() != command:  # there are executors that run functions in the process of the command
        _end_with_manager()
    return function(*arguments)


@functools.cache
def _end_with_manager() -> None:
    if (manager := multiprocessing.parent_process()) is not None and manager.pid is not None:
        beside = [each for each in psutil.Process(manager.pid).children() if each.pid != os.getpid()]

        def wait() -> None:
            manager.join()
            for each in beside:  # Parsl has started a process there that would stay for ever
                with contextlib.suppress(psutil.Error):
                    each.kill()
            os._exit(1)  # our own workers end with this process

        threading.Thread(target=wait, daemon=True, name="pipetask-manager").start()


def _interchange() -> list[str]:
    """Return how an interchange is started that ends after this command, if that is killed."""
    return [sys.executable, "-m", "pipetask.executors.futures.engines.parsl_interchange", str(os.getpid())]


def _this_machine(workers: int) -> Any:
    from parsl import Config, HighThroughputExecutor
    from parsl.executors.high_throughput.executor import DEFAULT_LAUNCH_CMD
    from parsl.providers import LocalProvider

    # Its programs are started by name otherwise, and would be those of another environment or of none.
    module = "parsl.executors.high_throughput"
    launch = DEFAULT_LAUNCH_CMD.replace(
        "process_worker_pool.py", f"{shlex.quote(sys.executable)} -m {module}.process_worker_pool"
    )
    executor = HighThroughputExecutor(
        label="pipetask",
        address="127.0.0.1",
        loopback_address="127.0.0.1",
        max_workers_per_node=workers,
        cores_per_worker=1e-6,
        heartbeat_period=2,
        heartbeat_threshold=10,
        launch_cmd=launch,
        interchange_launch_cmd=_interchange(),
        provider=LocalProvider(init_blocks=1, max_blocks=1),
        encrypted=False,
    )
    return Config(
        [executor],
        run_dir=tempfile.mkdtemp(prefix="pipetask-parsl-"),
        strategy="none",
        initialize_logging=False,
        usage_tracking=0,
    )
