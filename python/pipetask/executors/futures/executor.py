"""The execution model for engines of `concurrent.futures`' kind."""

from __future__ import annotations

import concurrent.futures
import logging
import pickle
import tempfile
import weakref
from collections.abc import Generator, Iterable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from ...errors import PipetaskError, UsageError, one_line, reason_of
from ...graph.enumeration import QuantumData
from ...options.models import FuturesOptions
from ...outcome import QuantumOutcome
from ..base import ExecutionContext, QuantumExecutor, Traits
from ..pool.bundling import BundlePolicy
from ..pool.executor import THREAD_VARIABLES
from ..resources import Resources
from .dispatch import Dispatch
from .engine import Borrowed, Engine, find_engine
from .far_side import Facts, Inquiry, end_run, file_mark, look_around, versions
from .shared_folder import SharedFolder

__all__ = ["FuturesExecutor"]

_LOG = logging.getLogger(__name__)

POLICY = BundlePolicy(seconds=1.0, most=64)
"""An engine needs milliseconds for what the pool does in one, so bundles are longer."""

PATIENCE = 120.0
"""Seconds in which an engine must have started a worker that can answer."""


class FuturesExecutor(QuantumExecutor):
    """Runs quanta on an engine: anything that takes a function and returns a future.

    Parameters
    ----------
    engine
        An `Engine`, which is closed in the end, or an executor, which is not.
    slots
        For an executor: how many functions it can run at the same time, if it does not say so.
    folder
        A folder that the engine's workers can see, too.  By default it is one for temporary files, which is right for
        workers on this machine.  Workers that cannot see it run quanta all the same, but when the engine loses one of
        them, what it had finished and not yet told is run again.
    policy
        How many quanta travel together, and how long they may take to stop.
    implicit_threads
        Whether libraries in the workers may start threads of their own.
    """

    traits = Traits(retries=True, resources=True)
    options_group = FuturesOptions

    def __init__(
        self,
        engine: Engine | concurrent.futures.Executor,
        slots: int | None = None,
        folder: str | Path | None = None,
        policy: BundlePolicy = POLICY,
        *,
        implicit_threads: bool = False,
    ):
        if not hasattr(engine, "submit"):
            raise UsageError(
                f"engine={engine!r} has no method submit: give an Engine or an executor; or name an engine in "
                "pipetask.run(…, mode='futures', engine='loky')."
            )
        self._engine = engine if isinstance(engine, Engine) else Borrowed(engine, slots)
        self._parent_folder = folder
        self._policy = policy
        self._folder: SharedFolder | None = None
        self.traits = replace(self.traits, implicit_threads=implicit_threads)

    @classmethod
    def from_options(cls, options: FuturesOptions) -> FuturesExecutor:
        """Make an instance for the command line."""
        engine = find_engine(options.engine, options.processes)
        return cls(engine, folder=options.engine_folder, implicit_threads=options.implicit_threads)

    @classmethod
    def instead_of(cls, option: str, value: object) -> str | None:
        """Return what can be done instead of giving another model's option."""
        return "run the quantum here with -j 1" if option == "debugger" else None

    def check(self, context: ExecutionContext) -> None:
        """Let a worker look around, and refuse what would fail in all of them."""
        for label in context.graph.structure.labels:
            if not context.graph.source.task_node(label).task_class.canMultiprocess:
                raise PipetaskError(
                    f"Task {label!r} does not support multiprocessing: use -j 1, or leave it out of the pipeline."
                )
        self._folder = self._new_folder()
        weakref.finalize(self, self._folder.remove)  # the run may never begin
        files = tuple(context.runner.files.values())
        inquiry = Inquiry(_pickled(context), files, self._folder)
        try:
            facts = self._engine.submit(look_around, inquiry).result(PATIENCE)
        except TimeoutError as error:
            self._close()
            raise PipetaskError(f"No worker of the engine has answered in {PATIENCE:.0f} s.") from error
        except Exception as error:
            self._close()
            raise PipetaskError(f"The engine cannot run a function: {one_line(error)}") from error
        if (reason := _difference(facts, inquiry)) is not None:
            self._close()
            raise PipetaskError(reason)
        if context.resources is not None:
            self._check_fit(context.resources)
        if not facts.sees_folder:
            _LOG.warning(
                "Workers on %s do not see %s: if the engine loses one, what it had not yet told is run again. Name a "
                "folder that both sides see with --engine-folder.",
                facts.host,
                self._folder.path,
            )
            self._remove_folder()

    def _check_fit(self, resources: Resources) -> None:
        slots = self._engine.slots
        try:
            available = resources.available(slots, here=self._engine.is_here)
            resources.check(available, f"the engine runs {slots} at a time")
        except UsageError:
            self._close()
            raise

    def execute(
        self, quanta: Iterable[QuantumData], context: ExecutionContext
    ) -> Generator[QuantumOutcome, None, None]:
        """Execute a stream of quanta."""
        variables = {} if self.traits.implicit_threads else dict.fromkeys(THREAD_VARIABLES, "1")
        try:
            with closing(
                Dispatch(quanta, context, self._engine, self._policy, self._folder, variables)
            ) as dispatch:
                context.activity.report_with(dispatch.running, shares=dispatch.shares)
                try:
                    yield from dispatch.outcomes()
                finally:
                    end_run(dispatch.run)
        finally:
            self._close()

    def _new_folder(self) -> SharedFolder:
        try:
            if self._parent_folder is not None:
                Path(self._parent_folder).mkdir(parents=True, exist_ok=True)
            return SharedFolder(
                Path(tempfile.mkdtemp(prefix="pipetask-", dir=self._parent_folder)).absolute()
            )
        except OSError as error:
            raise UsageError(
                f"--engine-folder {self._parent_folder or tempfile.gettempdir()}: {reason_of(error)}."
            ) from error

    def _close(self) -> None:
        self._engine.close()
        self._remove_folder()

    def _remove_folder(self) -> None:
        # Logs of quanta that were killed stay, and the folder with them.
        if self._folder is not None:
            folder, self._folder = self._folder, None
            folder.remove()


def _pickled(context: ExecutionContext) -> bytes:
    try:
        return pickle.dumps(context.runner)
    except Exception as error:
        raise PipetaskError(f"What runs a quantum cannot be sent to workers: {one_line(error)}") from error


def _difference(facts: Facts, inquiry: Inquiry) -> str | None:
    """Return what on the far side would make all quanta fail, if anything would."""
    for name, ours in versions().items():
        theirs = facts.versions.get(name)
        if theirs != ours:
            there = f"{name} {theirs}" if theirs else f"no {name}"
            return f"Workers on {facts.host} have {there}, and this is {name} {ours}: they must be the same."
    if facts.runner_error is not None:
        return f"Workers on {facts.host} cannot read what runs a quantum: {facts.runner_error}"
    for path, mark in facts.files.items():
        if mark is None:
            return (
                f"Workers on {facts.host} cannot read {path}: put it where both sides see it under this name."
            )
        if mark != file_mark(path):
            return f"Workers on {facts.host} see another file as {path} than this command does."
    return None
