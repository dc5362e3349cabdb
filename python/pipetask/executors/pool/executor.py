"""The multiprocess execution model."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing, nullcontext
from dataclasses import replace
from multiprocessing import current_process

from ...errors import MissingGuardError, PipetaskError, UsageError
from ...graph.enumeration import QuantumData
from ...options.declaration import check_group, refuse_group
from ...options.models import MultiprocessOptions
from ...outcome import QuantumOutcome
from ...settings.site import Settings
from ..base import ExecutionContext, QuantumExecutor, Traits
from .bundling import BundlePolicy
from .foreman import Foreman
from .launcher import ForkServer, Launcher, Spawner
from .limits import check_descriptors, with_open_files
from .terminal import WorkerDebugger

__all__ = ["THREAD_VARIABLES", "MultiprocessExecutor"]

_LOG = logging.getLogger(__name__)

START_METHODS = ("forkserver", "spawn")

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_MAX_THREADS")
"""Environment variables that limit the threads of libraries."""


class MultiprocessExecutor(QuantumExecutor):
    """Runs quanta in warm worker processes.

    Parameters
    ----------
    processes
        Number of workers.
    start_method
        ``forkserver``: workers are forked from a server process that has imported what they need; ``spawn``: each
        worker is a new interpreter.
    policy
        How many quanta travel together, and how long they may take to stop.
    debugger
        Name of a module whose ``post_mortem`` is entered, in the worker, at the line that failed; needs a terminal.
    preload
        Whether the server imports the tasks, so that workers need not.
    implicit_threads
        Whether libraries in the workers may start threads of their own.
    """

    traits = Traits(retries=True, resources=True, shared_limits=True, parts=True)
    options_group = MultiprocessOptions

    def __init__(
        self,
        processes: int,
        start_method: str = "forkserver",
        policy: BundlePolicy | None = None,
        debugger: str | None = None,
        *,
        preload: bool = True,
        implicit_threads: bool = False,
    ):
        refuse_group(processes, "processes")
        if not isinstance(processes, int):
            raise UsageError(f"processes is of type {type(processes).__name__}: give an integer.")
        if processes < 1:
            raise UsageError(f"-j {processes}: there must be at least one process.")
        if start_method not in START_METHODS:
            raise UsageError(f"--start-method {start_method}: choose one of {', '.join(START_METHODS)}.")
        self._processes = processes
        self._start_method = start_method
        self._policy = policy or BundlePolicy()
        self._debugger = None if debugger is None else WorkerDebugger.here(debugger)
        self._preload = preload
        self.traits = replace(self.traits, implicit_threads=implicit_threads)
        self._launcher: Launcher | None = None
        self._open_files: int | None = None
        """What the limit of open files is raised to while quanta run."""

    @classmethod
    def from_options(cls, options: MultiprocessOptions) -> MultiprocessExecutor:
        """Make an instance for the command line."""
        check_group(options, MultiprocessOptions)
        policy = BundlePolicy(**Settings.load().pool)
        start_method = options.start_method
        if start_method == "fork":
            _LOG.warning(
                "--start-method fork is unsafe where libraries have started threads; forkserver is used."
            )
            start_method = "forkserver"
        return cls(
            options.processes,
            start_method,
            policy,
            options.debugger,
            preload=options.preload,
            implicit_threads=options.implicit_threads,
        )

    def check(self, context: ExecutionContext) -> None:
        """Refuse tasks that cannot run in another process or never fit, and more processes than there can be."""
        if (resources := context.resources) is not None:
            resources.check(resources.available(self._processes), f"-j {self._processes}")
        self._open_files = check_descriptors(min(self._processes, len(context.graph.structure)))
        for label in context.graph.structure.labels:
            node = context.graph.source.task_node(label)
            if not node.task_class.canMultiprocess:
                raise PipetaskError(
                    f"Task {label!r} does not support multiprocessing: use -j 1, or leave it out of the pipeline."
                )

    def prepare(self) -> None:
        """Start the server, which imports what workers need while the caller reads the graph."""
        self._prepared()

    def _prepared(self) -> Launcher:
        if getattr(current_process(), "_inheriting", False):
            raise MissingGuardError  # this is a worker, which imports the script
        if self._launcher is None:
            # BLAS and OpenMP read these when they are loaded, so they must be there before a worker begins.
            variables = {} if self.traits.implicit_threads else dict.fromkeys(THREAD_VARIABLES, "1")
            forks = self._start_method == "forkserver"
            self._launcher = ForkServer(variables) if forks else Spawner(variables)
        return self._launcher

    def preload(self, task_names: Callable[[], Sequence[str]]) -> None:
        """Let the server import the tasks while this process does."""
        if self._preload:
            self._prepared().preload(task_names)

    def execute(
        self, quanta: Iterable[QuantumData], context: ExecutionContext
    ) -> Generator[QuantumOutcome, None, None]:
        """Execute a stream of quanta."""
        launcher, self._launcher = self._prepared(), None
        terminal = self._debugger.settings_kept() if self._debugger else nullcontext()
        with (
            closing(launcher),
            terminal,
            with_open_files(self._open_files),
            Foreman(quanta, context, self._processes, launcher, self._policy, self._debugger) as foreman,
        ):
            yield from foreman.outcomes()
