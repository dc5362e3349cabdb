"""The contract between an execution model and a runner of quanta."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from ..outcome import QuantumOutcome, StoredOutputs
from ..settings.paths import PathMap

__all__ = ["READ_AHEAD", "ExceptionHook", "Interruption", "Runner", "RunnerSpec", "Ticket"]

READ_AHEAD = 16
"""Quanta to load at a time: reading them from the graph file one by one takes several times as long."""

ExceptionHook = Callable[[str, BaseException], None]
"""Called with label and data ID of a quantum, and a live exception before it is turned into text (for a debugger)."""


class Interruption(KeyboardInterrupt):
    """Raised in a quantum because the run stops.

    Tasks see a `KeyboardInterrupt`, as after Ctrl-C.  A `KeyboardInterrupt` of another class was raised by the task, or
    by a SIGINT that the run did not send, and fails the quantum like any exception (see D28).
    """


class Ticket(NamedTuple):
    """What a worker is told about one quantum; it reads the rest from the graph file."""

    id: int
    """Position in the enumeration."""

    quantum_id: bytes
    """The 16 bytes of the quantum's UUID in its graph."""

    registered_before: bool = False
    """Whether the registry has outputs of an earlier attempt that did not succeed."""

    attempt: int = 1
    """The number of this attempt at the quantum in this run, from 1; earlier ones may have left files."""

    new_inputs: bool = False
    """Whether a prerequisite has run in this run; stored outputs of the quantum are then outdated."""


class Runner(Protocol):
    """Runs quanta, one at a time, in the process that opened it."""

    def load(self, tickets: Sequence[Ticket]) -> None:
        """Read these quanta, which will be run next."""

    def run(self, ticket: Ticket) -> QuantumOutcome:
        """Run one of the quanta last loaded.

        It never raises exceptions of the task; an `Interruption` cancels the quantum, and becomes an outcome, too.
        """

    def is_whole(self, outputs: StoredOutputs) -> bool:
        """Return whether all files of stored outputs exist with the recorded sizes."""

    def close(self) -> None:
        """Close everything that is open."""


class RunnerSpec(Protocol):
    """A picklable description of a runner; workers receive it and open their own runners."""

    @property
    def files(self) -> Mapping[str, str]:
        """Paths of the files that the runner reads, each with the name that a copy should have."""

    @property
    def target(self) -> str | None:
        """What identifies the place that quanta write to; `None` if several runs may write there at the same time."""

    def moved(self, folder: str) -> RunnerSpec:
        """Return a specification that reads copies of its files in a folder, and works in any working directory."""

    def roots(self) -> Sequence[str]:
        """Return the local folders that quanta read and write."""

    def translated(self, paths: PathMap) -> RunnerSpec:
        """Return a specification for processes that see files under other names; outcomes have the names of here.

        Raises
        ------
        UsageError
            If that is not possible.
        """

    def write_parts(self, parts: Iterable[tuple[Path, Sequence[bytes]]]) -> None:
        """Write graph parts instead of copies: files with what some quanta need, and little else.

        Parameters
        ----------
        parts
            Existing folders, and the UUIDs of the quanta that a specification moved there must be able to run.
        """

    def resuming(self) -> RunnerSpec:
        """Return a specification for quanta that may have been started before, and may have left files."""

    def prepare_process(self) -> None:
        """Set up a process that was started to run quanta."""

    def open(self, on_exception: ExceptionHook | None = None) -> Runner:
        """Make the runner (slow: imports, butler, graph file)."""
