"""List the recent runs of a user."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from ..batch.outcomes import span
from ..batch.run_directory import RunDirectory
from ..batch.status import NodeState, RunPhase, RunStatus
from ..batch.watch import RunWatch
from ..errors import one_line
from ..journal.facts import RunBegin, RunEnd
from ..journal.places import recent_runs as recent_places
from ..journal.records import first, last
from ..outcome import Status
from .local import PHASES, LocalWatch

__all__ = ["ListedRun", "recent_runs"]


@dataclass(frozen=True)
class ListedRun:
    """A run in a list."""

    place: str
    """Its journal, or its run directory."""

    name: str = ""
    """Its output run, or its folder."""

    phase: RunPhase | None = None
    """`None` if it cannot be read."""

    start: float | None = None
    end: float | None = None
    total: int = 0
    done: int = 0
    failed: int = 0
    error: str | None = None
    """Why it cannot be read."""

    def json(self) -> dict[str, Any]:
        """Return plain values for `json.dumps`."""
        return {**self.__dict__, "phase": self.phase and self.phase.value}


def recent_runs(most: int) -> Iterator[ListedRun]:
    """Yield the newest runs that are known in the state folder, newest first.

    Parameters
    ----------
    most
        How many.
    """
    for place in islice(recent_places(), most):
        try:
            yield _of_batch(RunDirectory(place)) if place.is_dir() else _listed(place)
        except Exception as error:  # whatever is wrong with one run, others can be read
            name = place.name if place.is_dir() else place.parent.name
            yield ListedRun(str(place), name, error=one_line(error))


def _listed(journal: Path) -> ListedRun:
    end = last(journal)
    begin = first(journal)
    if begin is None or end is None or end.get("record") != RunEnd.word:
        view = LocalWatch(journal).look()  # it goes on, or has ended without a word
        return _row(str(journal), view.name, view.status, view.start, view.end)
    head, tail = RunBegin.from_record(begin), RunEnd.from_record(end)
    counts = {Status.from_word(word): number for word, number in tail.counts.items()}
    return ListedRun(
        str(journal),
        head.output_run or journal.parent.name,
        PHASES.get(tail.outcome, RunPhase.FAILED),
        head.start,
        tail.end,
        sum(head.labels.values()),
        sum(number for status, number in counts.items() if status.unblocks),
        sum(number for status, number in counts.items() if status.is_failure),
    )


def _of_batch(directory: RunDirectory) -> ListedRun:
    """Say what can be said without reading the outcomes of all jobs, of which there may be many."""
    status = RunWatch(directory).look()
    start, end = span(directory.outcomes) or ((directory.path / "run.json").stat().st_mtime, None)
    name = directory.facts.output_run
    return _row(str(directory.path), name, status, start, end if status.phase.over else None)


def _row(place: str, name: str, status: RunStatus, start: float | None, end: float | None) -> ListedRun:
    total = status.total
    done, failed = total[NodeState.DONE], total[NodeState.FAILED]
    return ListedRun(place, name, status.phase, start, end, total.total(), done, failed)
