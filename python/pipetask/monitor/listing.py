"""List the recent runs of a user."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from ..batch.status import NodeState, RunPhase
from ..errors import one_line
from ..journal.facts import RunBegin, RunEnd
from ..journal.places import recent_journals
from ..journal.records import first, last
from ..outcome import Status
from .local import PHASES, LocalWatch

__all__ = ["ListedRun", "recent_runs"]


@dataclass(frozen=True)
class ListedRun:
    """A run in a list."""

    place: str
    """Its journal."""

    name: str = ""
    """Its output run, or its folder."""

    phase: RunPhase | None = None
    """`None` if its journal cannot be read."""

    start: float | None = None
    end: float | None = None
    total: int = 0
    done: int = 0
    failed: int = 0
    error: str | None = None
    """Why its journal cannot be read."""

    def json(self) -> dict[str, Any]:
        """Return plain values for `json.dumps`."""
        return {**self.__dict__, "phase": self.phase and self.phase.value}


def recent_runs(most: int) -> Iterator[ListedRun]:
    """Yield the newest runs with a journal in the state folder, newest first.

    Parameters
    ----------
    most
        How many.
    """
    for journal in islice(recent_journals(), most):
        try:
            yield _listed(journal)
        except Exception as error:  # whatever is wrong with one journal, others can be read
            yield ListedRun(str(journal), journal.parent.name, error=one_line(error))


def _listed(journal: Path) -> ListedRun:
    end = last(journal)
    begin = first(journal)
    if begin is None or end is None or end.get("record") != RunEnd.word:
        return _looked_at(journal)
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


def _looked_at(journal: Path) -> ListedRun:
    """Read all of a journal: the run goes on, or ended without a word."""
    view = LocalWatch(journal).look()
    total = view.status.total
    return ListedRun(
        str(journal),
        view.name,
        view.phase,
        view.start,
        view.end,
        total.total(),
        total[NodeState.DONE],
        total[NodeState.FAILED],
    )
