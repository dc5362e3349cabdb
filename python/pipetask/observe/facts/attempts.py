"""One row for each attempt at a quantum, as columns of numpy."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from ...graph.enumeration import EnumeratedGraph
from ...outcome import QuantumOutcome, Status, Usage
from ..running import Running
from .lanes import Lane, assign_lanes

__all__ = ["NUMBERS", "RUNNING", "STATUSES", "WORDS", "Attempts", "Floats", "Integers"]

Floats: TypeAlias = npt.NDArray[np.float64]
Integers: TypeAlias = npt.NDArray[np.int64]

STATUSES = tuple(Status)
"""The statuses by the numbers that stand for them in a column."""

RUNNING = len(STATUSES)
"""Stands for an attempt that has not ended."""

WORDS = (*(status.value for status in STATUSES), "running")
"""What each number in a column of statuses means."""

NUMBERS = {status: number for number, status in enumerate(STATUSES)}
"""The other way round."""

_MEASURES = tuple(field.name for field in fields(Usage))


@dataclass(frozen=True, repr=False)
class Attempts:
    """All attempts that were started, in the order of lanes, and of their starts in a lane.

    A row takes about 90 bytes.
    """

    position: Integers
    """Position of the quantum in the structure of the graph."""

    task: Integers
    """Index of its label in the structure."""

    status: npt.NDArray[np.uint8]
    """Index in `STATUSES`, or `RUNNING`."""

    number: npt.NDArray[np.uint16]
    """Which attempt at the quantum this is, counted from 1."""

    start: Floats
    end: Floats
    """Seconds since 1970-01-01 UTC.  An attempt that has not ended has the present here."""

    lane: Integers
    """Index in ``lanes``."""

    host: Integers
    """Index in ``hosts``."""

    pid: Integers
    """The process, or -1."""

    usage: Mapping[str, Floats]
    """The fields of `~pipetask.outcome.Usage`, NaN where they are not known."""

    hosts: tuple[str, ...]
    lanes: tuple[Lane, ...]

    @classmethod
    def of(
        cls,
        graph: EnumeratedGraph,
        outcomes: Iterable[QuantumOutcome],
        running: Iterable[Running] = (),
        now: float = 0.0,
    ) -> Attempts:
        """Collect the attempts of outcomes.

        Parameters
        ----------
        graph
            The quanta.
        outcomes
            One for each quantum that has ended.
        running
            Attempts that have not ended.
        now
            The present, for these.
        """
        builder = _Builder(graph)
        for outcome in outcomes:
            for before in outcome.earlier:
                builder.add(before)
            builder.add(outcome)
        for each in running:
            outcome = QuantumOutcome(each.id, Status.PLANNED, each.start, now, each.host, each.pid)
            outcome.attempt = each.attempt
            builder.add(outcome, RUNNING)
        return builder.finish()

    def __len__(self) -> int:
        return len(self.position)

    @cached_property
    def seconds(self) -> Floats:
        """How long each took."""
        return self.end - self.start

    @cached_property
    def is_failure(self) -> npt.NDArray[np.bool_]:
        """Whether the attempt itself went wrong."""
        return np.array([status.is_failure for status in STATUSES] + [False])[self.status]

    @cached_property
    def is_cut_off(self) -> npt.NDArray[np.bool_]:
        """Whether it has not ended, or was ended because the run was stopped or killed."""
        return (self.status == RUNNING) | (self.status == NUMBERS[Status.CANCELLED])

    @cached_property
    def _by_quantum(self) -> Integers:
        """Rows by quantum, and by the number of the attempt."""
        return np.lexsort((self.number, self.position)).astype(np.int64)

    @cached_property
    def previous(self) -> Integers:
        """Row of the attempt before at the same quantum, or -1."""
        order, rows = self._by_quantum, np.full(len(self), -1, dtype=np.int64)
        again = self.position[order[1:]] == self.position[order[:-1]]
        rows[order[1:][again]] = order[:-1][again]
        return rows

    def last_rows(self, size: int) -> Integers:
        """Return the row of the last attempt at each quantum by position, or -1.

        Parameters
        ----------
        size
            Number of quanta in the graph.
        """
        rows = np.full(size, -1, dtype=np.int64)
        rows[self.position[self._by_quantum]] = self._by_quantum
        return rows


class _Builder:
    """Collects rows in arrays that need no object for each value."""

    def __init__(self, graph: EnumeratedGraph):
        self._graph = graph
        self._hosts: dict[str, int] = {}
        self._position, self._host, self._pid = array("i"), array("i"), array("q")
        self._status, self._number = array("B"), array("H")
        self._start, self._end = array("d"), array("d")
        self._usage = {name: array("d") for name in _MEASURES}

    def add(self, outcome: QuantumOutcome, status: int | None = None) -> None:
        """Add an attempt, if it was started."""
        if outcome.start is None or outcome.end is None:
            return
        self._position.append(self._graph.position(outcome.id))
        self._status.append(NUMBERS[outcome.status] if status is None else status)
        self._number.append(min(outcome.attempt, 65535))
        self._start.append(outcome.start)
        self._end.append(max(outcome.start, outcome.end))  # a clock may be set back meanwhile
        self._host.append(self._hosts.setdefault(outcome.host or "", len(self._hosts)))
        self._pid.append(-1 if outcome.pid is None else outcome.pid)
        for name, column in self._usage.items():
            value = getattr(outcome.usage, name, None)
            column.append(np.nan if value is None else value)

    def finish(self) -> Attempts:
        """Return the rows in their order."""
        start, end = _column(self._start, np.float64), _column(self._end, np.float64)
        host, pid = _column(self._host, np.int64), _column(self._pid, np.int64)
        hosts = tuple(self._hosts)
        lane, lanes = assign_lanes(start, end, host, pid, hosts)
        order = np.lexsort((end, start, lane))
        position = _column(self._position, np.int64)[order]
        ends = np.cumsum(self._graph.structure.counts, dtype=np.int64)
        return Attempts(
            position,
            np.searchsorted(ends, position, side="right").astype(np.int64),
            _column(self._status, np.uint8)[order],
            _column(self._number, np.uint16)[order],
            start[order],
            end[order],
            lane[order],
            host[order],
            pid[order],
            {name: _column(column, np.float64)[order] for name, column in self._usage.items()},
            hosts,
            lanes,
        )


def _column(values: array[Any], kind: Any) -> Any:
    return np.array(values, dtype=kind)
