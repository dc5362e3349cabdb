"""Lay out the live table: numbers are never cut; the bar shrinks first, and then columns go."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rich.cells import cell_len, set_cell_size
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

from ..outcome import Unit
from ..text import visible
from .running_now import LongRunning
from .tally import Tally, TallyRow

__all__ = ["ProgressTable", "beginning_of", "duration"]

WIDEST_BAR = 24
NARROWEST_BAR = 8
SHORT_LABEL = 20
"""Number of characters that are kept of a label before numbers go."""

_GAP = 2
"""Number of blanks between two columns."""

_STYLES = {"failed": "bold red", "blocked": "yellow", "cancelled": "yellow"}
_HEADINGS = ("done", "running", "failed", "blocked", "cancelled", "memory", "rate", "left")
_EXPENDABLE = ("running", "left", "blocked", "cancelled", "failed")
"""Columns that go if there is no room even without a bar, in this order."""


@dataclass(frozen=True)
class ProgressTable:
    """The figures as a table, for any width: a row for each label that takes part, and one for all."""

    tally: Tally

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Lay the table out for the width that there is now."""
        rows = list(self.tally.rows())
        if len(rows) > 1:
            rows.append(self.tally.sum(rows))
        yield _table(rows, options.max_width, options.ascii_only)
        if longest := self.tally.longest():
            yield _longest(longest, options.max_width, options.ascii_only)
        if shares := self.tally.shares():
            yield Text(
                beginning_of(f"in use: {', '.join(map(str, shares))}", options.max_width, options.ascii_only),
                style="dim",
            )
        yield Text(f"{duration(self.tally.elapsed)} elapsed", style="dim italic")


def _table(rows: list[TallyRow], width: int, ascii_only: bool) -> Table:
    layout = _Layout.of(rows, width)
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("task", no_wrap=True, width=layout.label)
    if layout.bar:
        table.add_column("", width=layout.bar)
    for heading in layout.columns:
        table.add_column(heading, justify="right", no_wrap=True, style=_STYLES.get(heading, ""))
    for number, row in enumerate(rows):
        if len(rows) > 1 and number == len(rows) - 1:
            table.add_section()
        bar = [_bar(row, layout.bar, ascii_only)] if layout.bar else []
        cells = [column[number] for column in layout.columns.values()]
        label = Text(beginning_of(visible(row.label), layout.label, ascii_only))
        table.add_row(label, *bar, *cells, style="bold" if row.is_sum else "")
    return table


def _longest(longest: list[LongRunning], width: int, ascii_only: bool) -> Table:
    """Return a table of what has been running longest; names are cut, numbers are not."""
    times = ["for", *(duration(each.seconds) for each in longest)]
    memory = ["memory", *("" if each.memory is None else Unit.BYTES.text(each.memory) for each in longest)]
    columns = [column for column in (times, memory) if any(column[1:])]
    room = max(SHORT_LABEL, width - sum(_width(column) + _GAP for column in columns))
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading, *_ in columns:
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("running longest", no_wrap=True)
    for number, each in enumerate(longest, 1):
        cells = [column[number] for column in columns]
        table.add_row(*cells, Text(beginning_of(each.name, room, ascii_only)))
    return table


@dataclass(frozen=True)
class _Layout:
    """What there is room for."""

    label: int
    """Width of the column of labels."""

    bar: int
    """Width of the bar; 0 for none."""

    columns: dict[str, list[str]]
    """Cells by heading."""

    @classmethod
    def of(cls, rows: list[TallyRow], width: int) -> _Layout:
        columns = {heading: [_cell(row, heading) for row in rows] for heading in _HEADINGS}
        if not any(columns["cancelled"]):  # unless the run was stopped
            del columns["cancelled"]
        label = _width(["task", *(visible(row.label) for row in rows)])
        for layout in _ever_narrower(label, columns):
            if layout.needed <= width:
                break
        room = width - layout.needed
        wider = min(label - layout.label, room)  # negative if not even the shortest fits
        bar = min(WIDEST_BAR, layout.bar + room - wider) if layout.bar else 0
        return cls(max(layout.label + wider, 1), bar, layout.columns)

    @property
    def needed(self) -> int:
        bar = _GAP + self.bar if self.bar else 0
        cells = sum(_GAP + _width([heading, *cells]) for heading, cells in self.columns.items())
        return self.label + bar + cells


def _ever_narrower(label: int, columns: dict[str, list[str]]) -> Iterator[_Layout]:
    columns = dict(columns)
    yield _Layout(label, NARROWEST_BAR, dict(columns))
    for heading in [heading for heading, cells in columns.items() if not any(cells)]:
        del columns[heading]
        yield _Layout(label, NARROWEST_BAR, dict(columns))
    label = min(label, SHORT_LABEL)
    yield _Layout(label, NARROWEST_BAR, dict(columns))
    columns.pop("memory", None)
    yield _Layout(label, NARROWEST_BAR, dict(columns))
    columns.pop("rate", None)
    yield _Layout(label, NARROWEST_BAR, dict(columns))
    yield _Layout(label, 0, dict(columns))
    for heading in _EXPENDABLE:
        columns.pop(heading, None)
        yield _Layout(label, 0, dict(columns))


def _width(cells: list[str]) -> int:
    return max(map(cell_len, cells))


def _cell(row: TallyRow, heading: str) -> str:
    match heading:
        case "done":
            return f"{row.done}/{row.total}"
        case "running":
            return str(row.running or "")
        case "failed":
            return str(row.failed or "")
        case "blocked":
            return str(row.blocked or "")
        case "cancelled":
            return str(row.cancelled or "")
        case "memory":
            return "" if row.memory is None else Unit.BYTES.text(row.memory)
        case "rate":
            return f"{row.rate:.3g}/s" if row.rate else ""
        case "left":
            return duration(row.seconds_left) if row.left else ""
    raise AssertionError(f"there is no column {heading!r}")


def _bar(row: TallyRow, width: int, ascii_only: bool) -> Text:
    """Return a bar of what is done, failed, not run and left, each in its colour and with a character of its own."""
    done, failed, not_run, left = "=x~ " if ascii_only else "━╍┅─"
    parts = [
        (row.done, done, "green"),
        (row.failed, failed, "red"),
        (row.blocked + row.cancelled, not_run, "yellow"),
        (row.left, left, "dim"),
    ]
    text, counted, filled = Text(), 0, 0
    for number, character, style in parts:
        counted += number
        end = width * counted // max(row.total, 1)
        text.append(character * (end - filled), style=style)
        filled = end
    return text


def beginning_of(text: str, width: int, ascii_only: bool) -> str:
    """Return as much of a text as there is room for, with a mark where it is cut.

    Parameters
    ----------
    text
        The text.
    width
        Number of columns.
    ascii_only
        Whether the mark has to be ASCII.
    """
    if cell_len(text) <= width:
        return text
    mark = ".." if ascii_only else "…"
    return set_cell_size(text, max(0, width - len(mark))).rstrip() + mark


def duration(seconds: float | None) -> str:
    """Return a time for a person."""
    if seconds is None:
        return "?"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02}m" if hours else f"{minutes}m{rest:02}s" if minutes else f"{rest}s"
