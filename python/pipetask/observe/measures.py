"""Means and peaks of what the quanta of each task have used."""

from __future__ import annotations

from dataclasses import dataclass, field, fields

from ..outcome import Usage
from .summary import RunSummary

__all__ = ["MeasureColumn", "measure_columns"]


@dataclass
class _Values:
    count: int = 0
    sum: float = 0.0
    largest: float = 0.0

    def add(self, value: float) -> None:
        self.count += 1
        self.sum += value
        self.largest = max(self.largest, value)


@dataclass(frozen=True)
class MeasureColumn:
    """One measure of all tasks."""

    heading: str
    """Such as ``mean time``."""

    cells: dict[str, str] = field(default_factory=dict)
    """Text by label; labels without any known value are left out."""


def measure_columns(summary: RunSummary) -> list[MeasureColumn]:
    """Return a column for each measure with any known value, in the order of the fields of `Usage`."""
    values: dict[str, dict[str, _Values]] = {each.name: {} for each in fields(Usage)}
    for outcome in summary.outcomes:
        if outcome.usage is None:
            continue
        label = summary.graph.label(outcome.id)
        for name, by_label in values.items():
            if (value := getattr(outcome.usage, name)) is not None:
                if label not in by_label:
                    by_label[label] = _Values()
                by_label[label].add(value)
    columns = []
    for each in fields(Usage):
        what, unit, peak = each.metadata["label"], each.metadata["unit"], each.metadata["peak"]
        found = values[each.name].items()
        cells = {label: unit.text(v.largest if peak else v.sum / v.count) for label, v in found}
        columns.append(MeasureColumn(f"{'peak' if peak else 'mean'} {what}", cells))
    return [column for column in columns if column.cells]
