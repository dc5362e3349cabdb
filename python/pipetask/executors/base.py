"""The contract of an execution model."""

from __future__ import annotations

import contextlib
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING, Protocol

from ..graph.enumeration import EnumeratedGraph, QuantumData
from ..options.execution import ExecutorOptions
from ..outcome import QuantumOutcome
from ..runner import RunnerSpec, Ticket
from .retries import NO_RETRIES, RetryPolicy

if TYPE_CHECKING:
    from ..observe.sink import Sink
    from ..observe.summary import RunSummary

__all__ = ["Activity", "Continuation", "ExecutionContext", "QuantumExecutor", "StopLevel", "StopRequest"]


class StopLevel(IntEnum):
    """How urgently a run should end."""

    GO_ON = 0
    STOP = 1
    """Start nothing more; interrupt what runs, and let it clean up."""

    KILL = 2
    """End what runs at once."""


class StopRequest:
    """A request to end a run early, made from anywhere: a signal handler, another thread, the executor itself.

    Attributes
    ----------
    level
        How urgent it is.
    reason
        Why, for a person; the first reason given stays.
    signal
        The signal that asked for it, if it was one.
    on_ask
        Called after each request, in the thread that asks; an executor that runs quanta in this process interrupts
        them here.
    """

    on_ask: Callable[[], None] = staticmethod(lambda: None)

    def __init__(self) -> None:
        self.level = StopLevel.GO_ON
        self.reason: str | None = None
        self.signal: int | None = None
        self._read_end, self._write_end = os.pipe()
        for end in (self._read_end, self._write_end):
            os.set_blocking(end, False)

    def ask(self, reason: str, level: StopLevel = StopLevel.STOP, signal: int | None = None) -> None:
        """Ask for an end; a lower level than already asked for changes nothing."""
        self.reason = self.reason or reason
        self.signal = self.signal or signal
        if level > self.level:
            self.level = level
            os.write(self._write_end, b".")
            self.on_ask()

    def fileno(self) -> int:
        """Return a descriptor that becomes readable with each new request, to wait on."""
        return self._read_end

    def acknowledge(self) -> None:
        """Make the descriptor unreadable until the next request."""
        with contextlib.suppress(BlockingIOError):
            while os.read(self._read_end, 64):
                pass

    def close(self) -> None:
        """Close the descriptors."""
        os.close(self._read_end)
        os.close(self._write_end)

    def __bool__(self) -> bool:
        return self.level > StopLevel.GO_ON


class Activity:
    """Which quanta run right now, for whoever displays it."""

    def __init__(self) -> None:
        self._source: Callable[[], Iterable[int]] = tuple

    def running(self) -> list[int]:
        """Return the ids of the quanta that run at this moment; may be called from any thread."""
        return list(self._source())

    def report_with(self, source: Callable[[], Iterable[int]]) -> None:
        """Let an executor say how to find that out."""
        self._source = source


class Continuation(Protocol):
    """A picklable recipe for the parts of a run that a batch model leaves to other processes."""

    @property
    def output_run(self) -> str:
        """The output RUN collection."""

    @property
    def repository(self) -> str:
        """The butler repository."""

    @property
    def deferred(self) -> bool:
        """Whether `begin` has something to do."""

    def hold(self, batch_run: str, directory: str) -> None:
        """Note in the repository that a run directory has the output run, until `release`.

        Parameters
        ----------
        batch_run
            Identifier of the batch run.
        directory
            Its run directory.

        Raises
        ------
        pipetask.errors.PipetaskError
            If somebody else has the output run.
        """

    def release(self, batch_run: str) -> bool:
        """Let others have the output run, and return whether the batch run had it."""

    def begin(self, graph: str, batch_run: str | None = None) -> None:
        """Make the registry ready, which was put off."""

    def end(self, graph: str, executor: QuantumExecutor, sinks: Sequence[Sink] = ()) -> RunSummary:
        """Take outcomes from a model that replays what happened elsewhere, and register their outputs.

        Parameters
        ----------
        graph
            The ``.qg`` file.
        executor
            A model with ``replays``; where it does not execute, the registry is only read.
        sinks
            What is told about outcomes, and about the end.
        """


@dataclass(frozen=True)
class ExecutionContext:
    """What an execution model is told besides the stream of quanta."""

    graph: EnumeratedGraph
    """Looks up labels and data IDs of ids."""

    runner: RunnerSpec
    """Recipe for what runs a quantum."""

    stop: StopRequest = field(default_factory=StopRequest)
    fail_fast: bool = False
    timeout: float | None = None
    """Seconds that one quantum may take."""

    registered_before: frozenset[int] = frozenset()
    """Positions in the structure of quanta with registered outputs of an attempt that did not succeed."""

    done: frozenset[int] = frozenset()
    """Positions in the structure of quanta that an earlier attempt has done; the stream leaves them out."""

    activity: Activity = field(default_factory=Activity)
    retries: RetryPolicy = NO_RETRIES
    """Which failures are tried again, and when."""

    later: Continuation | None = None
    """What begins and ends this run in other processes; `None` where no registry takes part."""

    hand_over: Callable[[str, str], None] = lambda batch_run, directory: None
    """Lets a batch run (its identifier, its run directory) have the output run, which this process has had so far; a
    batch model calls it when the directory is complete."""

    def ticket(self, quantum: QuantumData, attempt: int = 1, *, new_inputs: bool = False) -> Ticket:
        """Return what a worker is told about a quantum: which attempt it is, and whether its inputs are new."""
        id_bytes = self.graph.structure.quantum_id_bytes(quantum.position)
        return Ticket(quantum.id, id_bytes, quantum.position in self.registered_before, attempt, new_inputs)

    def note_failure(self, outcome: QuantumOutcome) -> None:
        """Ask for the run's end if this outcome calls for it.

        An invalid quantum (exit code 21) says that the pipeline itself is wrong, and ends the run like
        ``--fail-fast``.
        """
        invalid = outcome.error is not None and outcome.error.exit_code == 21
        if outcome.status.is_failure and (self.fail_fast or invalid):
            self.stop.ask(f"{self.graph.describe(outcome.id)} {outcome.status.value}")


class QuantumExecutor(ABC):
    """An execution model: how quanta get run."""

    executes = True
    """Whether the repository may be touched; a model that only looks says `False`."""

    batch = False
    """Whether quanta run after `execute` has returned; only then can the registry's pre-update be put off."""

    replays = False
    """Whether its outcomes are of quanta that have run elsewhere; then what is stored is no reason to leave any out."""

    goes_on = False
    """Whether what it replays has not come to its end."""

    batch_run: str | None = None
    """Identifier of the batch run that this is a part of; while it goes on, no other may write to its output run."""

    register_again = "run the same command with --extend-run"
    """What a user can do, when the cause is put right, to register outputs that could not be registered."""

    in_process = False
    """Whether tasks run in the calling process, which then needs the threads limited and logging set up."""

    implicit_threads = False
    """Whether libraries may start threads of their own (BLAS, OpenMP) where quanta run."""

    @classmethod
    def from_options(cls, options: ExecutorOptions) -> QuantumExecutor:
        """Make an instance for the command line.

        Raises
        ------
        pipetask.errors.UsageError
            If the options make no sense for this model.
        """
        return cls()

    def check(self, context: ExecutionContext) -> None:  # noqa: B027  nothing to refuse by default
        """Refuse, before anything is touched, what this model cannot do.

        Raises
        ------
        pipetask.errors.PipetaskError
            With one line that says what and why.
        """

    def prepare(self) -> None:  # noqa: B027  nothing to prepare by default
        """Start slow preparations in the background, as soon as it is clear that this model will be used."""

    def preload(self, task_names: Callable[[], Sequence[str]]) -> None:  # noqa: B027  nothing by default
        """Begin to import the graph's tasks, in the background, where quanta will run.

        Parameters
        ----------
        task_names
            Returns the full names of the task classes.
        """

    @abstractmethod
    def execute(
        self, quanta: Iterable[QuantumData], context: ExecutionContext
    ) -> Generator[QuantumOutcome, None, None]:
        """Execute a stream of quanta.

        Parameters
        ----------
        quanta
            The stream.  A quantum comes before any other that has it as a prerequisite.  The end of the stream is
            the sign that the last quantum has come.
        context
            All else there is to know.

        Yields
        ------
        outcome
            One for each quantum taken from the stream, exactly once, in the order they end.

        Notes
        -----
        Take quanta from the stream only as fast as they can be used.  Write it as a generator: closing it ends the
        run, and whatever was started for it.
        """
