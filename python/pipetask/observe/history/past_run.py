"""The numbers of a run that are compared with those of others."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

import numpy as np

from ...outcome import Status

__all__ = ["Ended", "LabelNumbers", "PastRun", "Spread"]


@dataclass(frozen=True, slots=True)
class Ended:
    """How one quantum ended, as far as it is compared."""

    label: str
    status: Status
    seconds: float | None = None
    memory: float | None = None
    """Peak, in bytes."""


@dataclass(frozen=True)
class Spread:
    """The distribution of a measure."""

    median: float
    p95: float

    @classmethod
    def of(cls, values: list[float]) -> Spread | None:
        """Return the distribution of some values, if there are any."""
        if not values:
            return None
        median, p95 = np.percentile(np.array(values), [50, 95]).tolist()
        return cls(median, p95)


@dataclass(frozen=True)
class LabelNumbers:
    """The numbers of one task."""

    quanta: int
    failed: int
    seconds: Spread | None
    """Of the quanta that succeeded, and so is the memory: a failure may come early."""

    memory: Spread | None


@dataclass(frozen=True)
class PastRun:
    """A run, as far as it is compared."""

    name: str
    """As the user has named it."""

    start: float
    end: float
    outcome: str
    labels: Mapping[str, LabelNumbers] = field(default_factory=dict)

    @classmethod
    def of(cls, name: str, start: float, end: float, outcome: str, ended: Iterable[Ended]) -> PastRun:
        """Add up what became of quanta.

        Parameters
        ----------
        name, start, end, outcome
            See the fields.
        ended
            One for each quantum.
        """
        counts: dict[str, list[int]] = {}
        seconds, memory = defaultdict[str, list[float]](list), defaultdict[str, list[float]](list)
        for each in ended:
            count = counts.setdefault(each.label, [0, 0])
            count[0] += 1
            count[1] += each.status.is_failure
            if each.status is not Status.SUCCEEDED:
                continue
            if each.seconds is not None:
                seconds[each.label].append(each.seconds)
            if each.memory is not None:
                memory[each.label].append(each.memory)
        numbers = {
            label: LabelNumbers(quanta, failed, Spread.of(seconds[label]), Spread.of(memory[label]))
            for label, (quanta, failed) in counts.items()
        }
        return cls(name, start, end, outcome, numbers)

    @property
    def seconds(self) -> float:
        """How long it took."""
        return max(0.0, self.end - self.start)

    @property
    def quanta(self) -> int:
        """Number of quanta."""
        return sum(each.quanta for each in self.labels.values())

    @property
    def failed(self) -> int:
        """Number of quanta that failed."""
        return sum(each.failed for each in self.labels.values())

    def json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Return what `json` was called on."""
        labels = {
            label: LabelNumbers(
                each["quanta"], each["failed"], _spread(each["seconds"]), _spread(each["memory"])
            )
            for label, each in values["labels"].items()
        }
        return cls(**{**values, "labels": labels})


def _spread(values: Mapping[str, float] | None) -> Spread | None:
    return None if values is None else Spread(**values)
