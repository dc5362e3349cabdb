"""The numbers of quanta by label and status as a short table, for text and for notebooks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from ..outcome import Kind, Status
from ..text import cut, visible

__all__ = ["STATUS_ORDER", "as_text", "count_rows"]

MOST_LABELS = 20
"""Number of labels that are shown."""

LONGEST_LABEL = 40

STATUS_ORDER = sorted(Status, key=lambda status: list(Kind).index(status.kind))
"""Statuses in the order in which they are shown."""


def count_rows(counts: Mapping[str, Counter[Status]]) -> list[list[str]]:
    """Return a row of headings, one for each label, and their sum, as text.

    Parameters
    ----------
    counts
        Number of quanta by label and status.  If there are many labels, only the first of them are shown.
    """
    total = sum(counts.values(), Counter[Status]())
    statuses = [status for status in STATUS_ORDER if total[status]]
    rows = [["label", *(status.value for status in statuses)]]
    for label, each in list(counts.items())[:MOST_LABELS]:
        rows.append([cut(visible(label), LONGEST_LABEL), *(str(each[status]) for status in statuses)])
    if (left := len(counts) - MOST_LABELS) > 0:
        rows.append([f"… {left} more", *("" for _ in statuses)])
    if len(counts) > 1:
        rows.append(["all", *(str(total[status]) for status in statuses)])
    return rows


def as_text(rows: list[list[str]]) -> str:
    """Return rows as aligned text: the first column to the left, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            [row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))]
        ).rstrip()
        for row in rows
    )
