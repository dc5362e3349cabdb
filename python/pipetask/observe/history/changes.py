"""What has changed from one run to the next."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from .past_run import LabelNumbers, PastRun, Spread

__all__ = ["MEASURES", "Change", "History", "percent_text"]

MEASURES = ("median time", "95 % time", "median memory", "95 % memory")
"""What is compared of each task."""


@dataclass(frozen=True)
class Change:
    """A number of a run, beside that of the run before."""

    value: float | None
    before: float | None = None
    threshold: float = 20.0
    """Percent."""

    any_more: bool = False
    """Whether any growth is for the worse, as with failures."""

    @property
    def percent(self) -> float | None:
        """By how much it has grown; `None` if it cannot be compared."""
        if self.value is None or not self.before:
            return None
        return 100 * (self.value / self.before - 1)

    @property
    def is_worse(self) -> bool:
        """Whether it has grown by more than the threshold."""
        if self.any_more:
            return self.before is not None and (self.value or 0) > self.before
        return self.percent is not None and self.percent > self.threshold

    @property
    def is_better(self) -> bool:
        """Whether it has shrunk by more than the threshold."""
        if self.any_more:
            return self.before is not None and (self.value or 0) < self.before
        return self.percent is not None and self.percent < -self.threshold

    def json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {
            "value": self.value,
            "percent": self.percent,
            "worse": self.is_worse,
            "better": self.is_better,
        }


class History:
    """Several runs in the order in which they started.

    Parameters
    ----------
    runs
        The runs.
    threshold
        Percent by which a number may grow.
    """

    def __init__(self, runs: Sequence[PastRun], threshold: float = 20.0):
        self.runs = sorted(runs, key=lambda run: run.start)
        self.threshold = threshold
        self._before: list[PastRun | None] = [None, *(before for before, _ in pairwise(self.runs))]
        self.labels = list(dict.fromkeys(label for run in self.runs for label in run.labels))

    def duration(self, number: int) -> Change:
        """Return how long a run took, by its number."""
        before = self._before[number]
        return self._change(self.runs[number].seconds, before.seconds if before else None)

    def failed(self, number: int, label: str | None = None) -> Change:
        """Return how many quanta failed, of one task or of all."""
        run, before = self.runs[number], self._before[number]
        if label is None:
            old = before.failed if before else None
            return Change(run.failed, old, self.threshold, any_more=True)
        mine, theirs = run.labels.get(label), before.labels.get(label) if before else None
        return Change(
            mine.failed if mine else None, theirs.failed if theirs else None, self.threshold, any_more=True
        )

    def measures(self, number: int, label: str) -> list[Change]:
        """Return the `MEASURES` of a task in a run."""
        before = self._before[number]
        mine = _values(self.runs[number].labels.get(label))
        theirs = _values(before.labels.get(label) if before else None)
        return [self._change(ours, old) for ours, old in zip(mine, theirs, strict=True)]

    def worse(self) -> Iterator[str]:
        """Yield what is worse in the last run than in the one before, in words."""
        number = len(self.runs) - 1
        if number < 1:
            return
        if self.duration(number).is_worse:
            yield f"duration {percent_text(self.duration(number))}"
        for label in self.labels:
            if (failed := self.failed(number, label)).is_worse:
                yield f"{label}: {failed.value:.0f} failed, {failed.before:.0f} before"
            for what, change in zip(MEASURES, self.measures(number, label), strict=True):
                if change.is_worse:
                    yield f"{label}: {what} {percent_text(change)}"

    def json(self) -> dict[str, Any]:
        """Return everything as plain values."""
        return {
            "threshold": self.threshold,
            "runs": [self._run_json(number) for number in range(len(self.runs))],
            "worse": list(self.worse()),
        }

    def _run_json(self, number: int) -> dict[str, Any]:
        run = self.runs[number]
        return {
            "name": run.name,
            "start": run.start,
            "end": run.end,
            "outcome": run.outcome,
            "quanta": run.quanta,
            "failed": self.failed(number).json(),
            "seconds": self.duration(number).json(),
            "labels": {
                label: {
                    "quanta": numbers.quanta,
                    "failed": self.failed(number, label).json(),
                    **self._measures_json(number, label),
                }
                for label, numbers in run.labels.items()
            },
        }

    def _measures_json(self, number: int, label: str) -> dict[str, Any]:
        median, p95, median_memory, p95_memory = (each.json() for each in self.measures(number, label))
        return {
            "seconds": {"median": median, "p95": p95},
            "memory": {"median": median_memory, "p95": p95_memory},
        }

    def _change(self, value: float | None, before: float | None) -> Change:
        return Change(value, before, self.threshold)


def _values(numbers: LabelNumbers | None) -> list[float | None]:
    spreads = [numbers.seconds, numbers.memory] if numbers else [None, None]
    return [value for spread in spreads for value in _both(spread)]


def _both(spread: Spread | None) -> tuple[float | None, float | None]:
    return (None, None) if spread is None else (spread.median, spread.p95)


def percent_text(change: Change) -> str:
    """Return a change such as ``+25 %``; nothing if it cannot be compared."""
    return "" if change.percent is None else f"{round(change.percent):+d} %"
