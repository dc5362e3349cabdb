"""The multiprocess execution model."""

from __future__ import annotations

import logging
import multiprocessing
import os
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from multiprocessing import forkserver

from ...errors import PipetaskError, UsageError
from ...options.execution import ExecutorOptions
from ...outcome import QuantumOutcome
from ...quantum_data import QuantumData
from ..base import ExecutionContext, QuantumExecutor
from .bundling import BundlePolicy
from .foreman import Foreman
from .terminal import WorkerDebugger

__all__ = ["MultiprocessExecutor"]

_LOG = logging.getLogger(__name__)

START_METHODS = ("forkserver", "spawn")

PRELOAD = ["pipetask.runner.quantum_runner", "pipetask.executors.pool.worker"]
"""What the fork server imports once, so that no worker has to."""

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_MAX_THREADS")


class MultiprocessExecutor(QuantumExecutor):
    """Runs quanta in warm worker processes.

    Parameters
    ----------
    processes
        Number of workers.
    start_method
        ``forkserver``: workers are forked from a server process that has imported everything; ``spawn``: each
        worker is a new interpreter.
    policy
        How many quanta travel together, and how long they may take to stop.
    debugger
        Name of a module whose ``post_mortem`` is entered, in the worker, at the line that failed; needs a terminal.
    implicit_threads
        Whether libraries in the workers may start threads of their own.
    """

    def __init__(
        self,
        processes: int,
        start_method: str = "forkserver",
        policy: BundlePolicy | None = None,
        debugger: str | None = None,
        *,
        implicit_threads: bool = False,
    ):
        if processes < 1:
            raise UsageError(f"-j {processes}: there must be at least one process.")
        if start_method not in START_METHODS:
            raise UsageError(f"--start-method {start_method}: choose one of {', '.join(START_METHODS)}.")
        self._processes = processes
        self._start_method = start_method
        self._policy = policy or BundlePolicy()
        self._debugger = None if debugger is None else WorkerDebugger.here(debugger)
        self.implicit_threads = implicit_threads

    @classmethod
    def from_options(cls, options: ExecutorOptions) -> MultiprocessExecutor:
        """Make an instance for the command line."""
        policy = BundlePolicy(**options.settings.pool)
        start_method = options.start_method
        if start_method == "fork":
            _LOG.warning(
                "--start-method fork is unsafe where libraries have started threads; forkserver is used."
            )
            start_method = "forkserver"
        threads = options.implicit_threads
        return cls(options.processes, start_method, policy, options.debugger, implicit_threads=threads)

    def check(self, context: ExecutionContext) -> None:
        """Refuse tasks that say they cannot run in another process."""
        for label in context.graph.structure.labels:
            node = context.graph.source.task_node(label)
            if not node.task_class.canMultiprocess:
                raise PipetaskError(
                    f"Task {label!r} does not support multiprocessing: use -j 1, or leave it out of the pipeline."
                )

    def prepare(self) -> None:
        """Start the fork server, which imports everything while the caller reads the graph."""
        if self._start_method == "forkserver":
            with self._thread_limits():
                multiprocessing.set_forkserver_preload(PRELOAD)
                forkserver.ensure_running()

    def execute(
        self, quanta: Iterable[QuantumData], context: ExecutionContext
    ) -> Generator[QuantumOutcome, None, None]:
        """Execute a stream of quanta."""
        self.prepare()
        with self._thread_limits():
            foreman = Foreman(
                quanta,
                context,
                self._processes,
                multiprocessing.get_context(self._start_method),
                self._policy,
                self._debugger,
            )
        with self._debugger.settings_kept() if self._debugger else nullcontext(), foreman:
            yield from foreman.outcomes()

    @contextmanager
    def _thread_limits(self) -> Iterator[None]:
        # BLAS and OpenMP read these when they are loaded, so they must be there before a worker begins.
        if self.implicit_threads:
            yield
            return
        before = {name: os.environ.get(name) for name in _THREAD_VARIABLES}
        os.environ.update(dict.fromkeys(_THREAD_VARIABLES, "1"))
        try:
            yield
        finally:
            for name, value in before.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value
