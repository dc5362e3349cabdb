"""Graphs without content, and functions that stand in for tasks."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..graph.enumeration import EnumeratedGraph
from ..graph.structure import GraphStructure
from ..outcome import QuantumOutcome, Status, StoredOutputs
from ..runner import Interruption, Runner, Ticket
from ..runner.base import ExceptionHook
from ..runner.failure import describe_exception
from ..settings.paths import PathMap

__all__ = ["CallSpec", "enumerated"]


def enumerated(counts: dict[str, int], edges: Sequence[tuple[int, int]] = ()) -> EnumeratedGraph:
    """Return a graph without content.

    Parameters
    ----------
    counts
        Number of quanta by label; positions run through the labels in this order.
    edges
        Pairs of positions: a quantum, and one that waits for it.
    """
    return EnumeratedGraph(GraphStructure.from_edges(counts, edges), _NoContent())


class _NoContent:
    def task_node(self, label: str) -> Any:
        return _AnyTask

    def quantum(self, quantum_id: Any) -> Any:
        raise AssertionError("only the structure is available: do not ask for a quantum")


class _AnyTask:
    class task_class:  # noqa: N801  an attribute of task nodes
        canMultiprocess = True


@dataclass(frozen=True)
class CallSpec:
    """A runner that calls a function with the id of each quantum.

    What the function returns is not kept; what it raises fails the quantum.
    """

    function: Callable[[int], object]

    logs: Path | None = None
    """Folder for the logs of quanta, ``ID.log``: all that is logged in the process while the quantum runs, as a runner
    with a butler captures it."""

    @property
    def files(self) -> dict[str, str]:
        """It reads none."""
        return {}

    @property
    def target(self) -> str | None:
        """What identifies the place that functions write to: there is none."""
        return None

    def moved(self, folder: str) -> CallSpec:
        """Return itself: it reads nothing."""
        return self

    def roots(self) -> tuple[str, ...]:
        """Return nothing: it reads and writes nothing."""
        return ()

    def translated(self, paths: PathMap) -> CallSpec:
        """Return itself: it knows no files."""
        return self

    def write_parts(self, parts: Iterable[tuple[Path, Sequence[bytes]]]) -> None:
        """Do nothing: it reads nothing."""

    def resuming(self) -> CallSpec:
        """Return itself: functions leave nothing."""
        return self

    def prepare_process(self) -> None:
        """Do nothing."""

    def open(self, on_exception: ExceptionHook | None = None) -> Runner:
        """Make the runner."""
        return _CallRunner(self.function, self.logs)


class _CallRunner:
    def __init__(self, function: Callable[[int], object], logs: Path | None):
        self._function = function
        self._logs = logs

    def is_whole(self, outputs: StoredOutputs) -> bool:
        return True

    def load(self, tickets: Sequence[Ticket]) -> None:
        pass

    def run(self, ticket: Ticket) -> QuantumOutcome:
        start = time.time()
        try:
            with _captured(self._logs and self._logs / f"{ticket.id}.log"):
                self._function(ticket.id)
        except Interruption:
            return QuantumOutcome(ticket.id, Status.CANCELLED, start, time.time(), reason="interrupted")
        except BaseException as error:
            described = describe_exception(error)
            return QuantumOutcome(ticket.id, Status.FAILED, start, time.time(), error=described)
        return QuantumOutcome(ticket.id, Status.SUCCEEDED, start, time.time())

    def close(self) -> None:
        pass


@contextmanager
def _captured(path: Path | None) -> Iterator[None]:
    """Write what this process logs to a file."""
    if path is None:
        yield
        return
    root, handler = logging.getLogger(), logging.FileHandler(path)
    root.addHandler(handler)
    try:
        yield
    finally:
        root.removeHandler(handler)
        handler.close()
