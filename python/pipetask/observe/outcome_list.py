"""A list of outcomes that a program or a notebook looks at: short to print, and a table where that is wanted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import fields
from html import escape
from typing import TYPE_CHECKING, Any

from ..graph.enumeration import EnumeratedGraph
from ..outcome import QuantumOutcome, Unit, Usage
from ..text import cut, visible

if TYPE_CHECKING:
    from astropy.table import Table

__all__ = ["Outcomes", "html_table", "why"]

SHOWN = 10
"""Number of outcomes that a notebook shows."""

LONGEST_LINE = 200
"""Number of characters of a message that are shown."""

_UNITS = {"start": Unit.SECONDS, "end": Unit.SECONDS} | {
    each.name: each.metadata["unit"] for each in fields(Usage)
}


class Outcomes(list[QuantumOutcome]):
    """A list of outcomes with short text, and with the labels and data IDs of their quanta.

    Parameters
    ----------
    graph
        The graph of the run.
    outcomes
        The outcomes, in the order in which they ended.
    """

    def __init__(self, graph: EnumeratedGraph, outcomes: Iterable[QuantumOutcome] = ()):
        super().__init__(outcomes)
        self._graph = graph

    def to_dicts(self) -> list[dict[str, Any]]:
        """Return one dictionary of plain values for each outcome, which can be written as JSON.

        Each has ``id``, ``label``, ``data_id``, ``quantum_id``, ``status``, ``reason``, ``start`` and ``end`` (seconds
        since 1970-01-01 UTC), ``host``, ``pid``, ``attempt``, ``log``, ``error_type``, ``error`` (the message),
        ``traceback``, and the fields of `~pipetask.outcome.Usage` (seconds and bytes).  Unknown values are `None`.
        """
        return [_plain(self._graph, outcome) for outcome in self]

    def to_table(self) -> Table:
        """Return an Astropy table with a row for each outcome.

        Its columns are those of `to_dicts` without tracebacks, but with a column for each dimension of the data IDs.
        Times and sizes have units (s, byte).  What is not known is masked.
        """
        rows = self.to_dicts()
        dimensions = dict.fromkeys(name for row in rows for name in row["data_id"])
        names = ["id", "label", *dimensions, *(name for name in _NAMES if name not in ("id", "label"))]
        for row in rows:
            row.update(row["data_id"])
        return _table({name: [row.get(name) for row in rows] for name in names})

    def __repr__(self) -> str:
        counts = Counter(outcome.status for outcome in self)
        what = ", ".join(f"{number} {status.value}" for status, number in counts.items())
        first = f"; the first: {_line(self._graph, self[0])}" if self else ""
        return f"<{len(self)} outcome{'' if len(self) == 1 else 's'}{': ' if what else ''}{what}{first}>"

    def _repr_html_(self) -> str:
        rows = [
            [self._graph.label(each.id), _data_id(self._graph, each), each.status.value, why(each)]
            for each in self[:SHOWN]
        ]
        more = f"<p>… and {len(self) - SHOWN} more</p>" if len(self) > SHOWN else ""
        return html_table(["label", "data ID", "status", "why"], rows) + more


def html_table(headings: list[str], rows: list[list[str]]) -> str:
    """Return a table as HTML; texts are escaped."""
    head = "".join(f"<th>{escape(heading)}</th>" for heading in headings)
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def why(outcome: QuantumOutcome) -> str:
    """Return in one short line why a quantum ended as it did; empty if there is nothing to say."""
    error = outcome.error
    text = f"{error.type_name}: {error.message}" if error is not None else outcome.reason or ""
    return cut(visible(text.strip().partition("\n")[0]), LONGEST_LINE)


def _data_id(graph: EnumeratedGraph, outcome: QuantumOutcome) -> str:
    values = ", ".join(f"{name}={value!r}" for name, value in graph.data_id(outcome.id).items())
    return cut(visible(values), LONGEST_LINE)


def _line(graph: EnumeratedGraph, outcome: QuantumOutcome) -> str:
    line = f"{visible(graph.describe(outcome.id))} {outcome.status.value}"
    return cut(f"{line}: {reason}" if (reason := why(outcome)) else line, LONGEST_LINE)


def _plain(graph: EnumeratedGraph, outcome: QuantumOutcome) -> dict[str, Any]:
    error, usage = outcome.error, outcome.usage or Usage()
    values = (
        outcome.id,
        graph.label(outcome.id),
        graph.data_id(outcome.id),
        str(graph.quantum_id(outcome.id)),
        outcome.status.value,
        outcome.reason,
        outcome.start,
        outcome.end,
        outcome.host,
        outcome.pid,
        outcome.attempt,
        outcome.log,
        error.type_name if error is not None else None,
        error.message if error is not None else None,
        error.traceback if error is not None else None,
        *(getattr(usage, name) for name in _MEASURES),
    )
    return dict(zip(_KEYS, values, strict=True))


_MEASURES = [each.name for each in fields(Usage)]
_KEYS = [
    *("id", "label", "data_id", "quantum_id", "status", "reason", "start", "end", "host", "pid", "attempt"),
    *("log", "error_type", "error", "traceback", *_MEASURES),
]
_NAMES = [name for name in _KEYS if name not in ("data_id", "traceback")]
"""The columns of a table besides the dimensions."""


def _table(columns: dict[str, list[Any]]) -> Table:
    from astropy.table import MaskedColumn, Table

    table = Table()
    for name, values in columns.items():
        mask = [value is None for value in values]
        known = next((value for value in values if value is not None), "")
        filled = [type(known)() if value is None else value for value in values]
        unit = _UNITS[name].value if name in _UNITS else None
        table[name] = MaskedColumn(filled, mask=mask if any(mask) else False, unit=unit)
    return table
