"""The contract between an execution model and whatever runs a quantum."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from ..outcome import QuantumOutcome, StoredOutputs

__all__ = ["READ_AHEAD", "ExceptionHook", "Interruption", "Runner", "RunnerSpec", "Ticket"]

READ_AHEAD = 16
"""Quanta to load at a time: reading them from the graph file one by one takes several times as long."""

ExceptionHook = Callable[["Ticket", BaseException], None]
"""Called with a live exception, traceback attached, before it is turned into text (for a debugger)."""


class Interruption(KeyboardInterrupt):
    """Raised in a quantum because the run stops.

    Tasks see a `KeyboardInterrupt`, as at Ctrl-C. One that is not of this class is the task's own doing, or that of
    whoever has sent a SIGINT to its process, and fails the quantum like any exception.
    """


class Ticket(NamedTuple):
    """All that a worker is told about one quantum; the rest it reads from the graph file."""

    id: int
    """Position in the enumeration."""

    quantum_id: bytes
    """The 16 bytes of the quantum's UUID in its graph."""

    registered_before: bool = False
    """Whether the registry holds outputs of an earlier attempt that did not succeed."""

    attempt: int = 1
    """Which attempt at the quantum in this run it is, from 1; those before may have left files."""

    new_inputs: bool = False
    """Whether something that it needs has run in this run; what is stored of it was then made from what was before."""


class Runner(Protocol):
    """Runs quanta, one at a time, in the process that opened it."""

    def load(self, tickets: Sequence[Ticket]) -> None:
        """Read what is needed to run these quanta, which come next."""

    def run(self, ticket: Ticket) -> QuantumOutcome:
        """Run one of the quanta last loaded.

        Never raises for what the task does; `Interruption` is how a quantum is cancelled, and becomes an outcome as
        well.
        """

    def is_whole(self, outputs: StoredOutputs) -> bool:
        """Return whether the files of what a quantum has stored are there, each as large as it was recorded."""

    def close(self) -> None:
        """Release whatever is open."""


class RunnerSpec(Protocol):
    """A picklable recipe for a runner; workers get this and open their own."""

    @property
    def files(self) -> Mapping[str, str]:
        """Paths of the files that it reads, each with the name that a copy should have."""

    def moved(self, folder: str) -> RunnerSpec:
        """Return a recipe that reads copies of its files in a folder, and that works in any working directory."""

    def write_parts(self, parts: Iterable[tuple[Path, Sequence[bytes]]]) -> None:
        """Write, in place of copies, files with what some quanta need and as little else as possible.

        Parameters
        ----------
        parts
            Folders that exist, and the UUIDs of the quanta that a recipe moved there has to run.
        """

    def resuming(self) -> RunnerSpec:
        """Return a recipe for quanta that may have been begun before, and may have left files."""

    def prepare_process(self) -> None:
        """Set up a process that was started to run quanta."""

    def open(self, on_exception: ExceptionHook | None = None) -> Runner:
        """Make the runner (slow: imports, butler, graph file)."""
