"""Parsl: a configuration of the user's, or its high-throughput executor on this machine."""

from __future__ import annotations

import importlib
import shlex
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Self

from ....errors import UsageError
from ..engine import Engine

__all__ = ["Parsl"]


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
        self._executor: Any = None

    @classmethod
    def make(cls, argument: str | None, workers: int) -> Self:
        """Make one for a configuration, ``package.module.name``, or for this machine."""
        if argument is None:
            engine = cls(lambda: _this_machine(workers), workers)
            engine.is_here = True
            return engine
        module, _, name = argument.rpartition(".")
        if not module:
            raise UsageError(
                "name a configuration as package.module.name: a parsl.Config, or what returns one."
            )
        found = getattr(importlib.import_module(module), name, None)
        if found is None:
            raise UsageError(f"module {module} has no {name}.")
        return cls(found if callable(found) else lambda: found, workers)

    @property
    def slots(self) -> int:
        """The number of workers that the user has asked for: blocks come and go."""
        return self._workers

    def submit(self, function: Callable[..., Any], /, *arguments: Any) -> Future[Any]:
        """Have a function called."""
        if self._executor is None:
            from parsl.concurrent import ParslPoolExecutor

            config = self._config()
            config.retries = 0  # what was lost is run again here, which knows what it was
            self._executor = ParslPoolExecutor(config).__enter__()
        return self._executor.submit(function, *arguments)

    def close(self) -> None:
        """End all blocks."""
        if self._executor is not None:
            self._executor.__exit__(None, None, None)
            self._executor = None


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
        interchange_launch_cmd=[sys.executable, "-m", f"{module}.interchange"],
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
