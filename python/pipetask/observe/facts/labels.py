"""What the quanta of each label took."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np

from ...outcome import Usage
from .attempts import Attempts, Floats, Integers

__all__ = ["Distribution", "LabelFacts", "label_facts"]

BINS = 24
"""Bars of a histogram."""


@dataclass(frozen=True)
class Distribution:
    """Values of a measure, in a few numbers; NaN if there are none."""

    count: int
    mean: float
    median: float
    high: float
    """The 95th percentile."""

    largest: float
    total: float
    edges: tuple[float, ...] = ()
    """Limits of the bars of a histogram, on a logarithmic scale."""

    bars: tuple[int, ...] = ()

    @classmethod
    def of(cls, values: Floats) -> Distribution:
        """Return the distribution of some values; those that are NaN are not known."""
        values = values[np.isfinite(values)]
        if not len(values):
            nan = float("nan")
            return cls(0, nan, nan, nan, nan, nan)
        median, high = np.percentile(values, (50, 95))
        positive = np.maximum(values, 1e-6)
        low, top = np.log10(positive.min()), np.log10(positive.max())
        edges = np.logspace(low, max(top, low + 0.1), BINS + 1)
        bars, _ = np.histogram(np.clip(positive, edges[0], edges[-1]), edges)
        return cls(
            len(values),
            float(values.mean()),
            float(median),
            float(high),
            float(values.max()),
            float(values.sum()),
            tuple(edges.tolist()),
            tuple(bars.tolist()),
        )


@dataclass(frozen=True)
class LabelFacts:
    """What the quanta of a label took."""

    label: str
    attempts: int
    """Attempts that were started."""

    seconds: Distribution
    """From start to end, of the last attempts; without those that were cut off, whose time says nothing."""

    usage: Mapping[str, Distribution]
    """The fields of `~pipetask.outcome.Usage`, of the last attempts."""


def label_facts(attempts: Attempts, labels: tuple[str, ...], last: Integers) -> list[LabelFacts]:
    """Return the facts about each label.

    Parameters
    ----------
    attempts
        The attempts.
    labels
        All labels, in their order.
    last
        The row of the last attempt at each quantum, or -1.
    """
    rows = last[last >= 0]
    rows = rows[~attempts.is_cut_off[rows]]
    found = []
    for task, label in enumerate(labels):
        mine = rows[attempts.task[rows] == task]
        usage = {each.name: Distribution.of(attempts.usage[each.name][mine]) for each in fields(Usage)}
        number = int(np.count_nonzero(attempts.task == task))
        found.append(LabelFacts(label, number, Distribution.of(attempts.seconds[mine]), usage))
    return found
