"""Show several runs as tables: one of the runs, and one for each task.  Numbers are never cut; columns go instead."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

from ...outcome import Unit
from ...text import visible
from ..progress_table import duration
from .changes import MEASURES, Change, History, percent_text

__all__ = ["HistoryTable"]

_GAP = 2
"""Number of blanks between two columns."""

_SHORT = 16
"""Number of characters that are kept of the name of a run before columns go."""

_SHORTEST = 8
"""Number that is kept in any case."""

_UNITS = (Unit.SECONDS, Unit.SECONDS, Unit.BYTES, Unit.BYTES)


@dataclass(frozen=True)
class _Column:
    heading: str
    cells: Sequence[Text]
    goes: int = 0
    """Columns with the largest number go first; 0 stays."""

    @property
    def width(self) -> int:
        return max(cell_len(self.heading), *(cell.cell_len for cell in self.cells))


@dataclass(frozen=True)
class HistoryTable:
    """The tables, for any width."""

    history: History

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Lay the tables out for a width."""
        yield _laid_out("run", self._names(range(len(self.history.runs))), self._of_runs(), options.max_width)
        for label in self.history.labels:
            numbers = [n for n, run in enumerate(self.history.runs) if label in run.labels]
            columns = list(self._of_label(label, numbers))
            yield Text()
            yield _laid_out(visible(label), self._names(numbers), columns, options.max_width)

    def _names(self, numbers: Sequence[int]) -> list[str]:
        return [visible(self.history.runs[number].name) for number in numbers]

    def _of_runs(self) -> list[_Column]:
        history, numbers = self.history, range(len(self.history.runs))
        starts = [time.strftime("%Y-%m-%d %H:%M", time.localtime(run.start)) for run in history.runs]
        return [
            _Column("started", [Text(start) for start in starts], 2),
            _Column("duration", _aligned([(_duration(c := history.duration(n)), c) for n in numbers])),
            _Column("quanta", [Text(str(run.quanta)) for run in history.runs], 1),
            _Column("failed", [_failed(history.failed(n)) for n in numbers]),
            _Column("ended", [_outcome(run.outcome) for run in history.runs], 3),
        ]

    def _of_label(self, label: str, numbers: Sequence[int]) -> Iterator[_Column]:
        quanta = [self.history.runs[number].labels[label].quanta for number in numbers]
        yield _Column("quanta", [Text(str(quantity)) for quantity in quanta], 2)
        yield _Column("failed", [_failed(self.history.failed(n, label)) for n in numbers])
        rows = [self.history.measures(number, label) for number in numbers]
        for index, (heading, unit, goes) in enumerate(zip(MEASURES, _UNITS, (0, 3, 1, 4), strict=True)):
            changes = [row[index] for row in rows]
            if any(change.value is not None for change in changes):
                cells = ["" if c.value is None else unit.text(c.value) for c in changes]
                yield _Column(heading, _aligned(list(zip(cells, changes, strict=True))), goes)


def _laid_out(title: str, names: Sequence[str], columns: list[_Column], width: int) -> Table:
    wanted = max(cell_len(name) for name in [title, *names])
    while _needed(columns) + min(wanted, _SHORT) > width and any(column.goes for column in columns):
        columns.remove(max(columns, key=lambda column: column.goes))
    room = max(_SHORTEST, width - _needed(columns))
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column(Text(_end_of(title, room), style="bold not dim"), no_wrap=True)
    for column in columns:
        table.add_column(column.heading, justify="right", no_wrap=True)
    for number, name in enumerate(names):
        table.add_row(Text(_end_of(name, room)), *(column.cells[number] for column in columns))
    return table


def _needed(columns: Sequence[_Column]) -> int:
    return sum(_GAP + column.width for column in columns)


def _end_of(name: str, width: int) -> str:
    """Return as much of the end of a name as there is room for: runs differ in their ends."""
    if cell_len(name) <= width:
        return name
    while name and cell_len(name) > width - 2:
        name = name[1:]
    return f"..{name}"


def _aligned(cells: Sequence[tuple[str, Change]]) -> list[Text]:
    """Return values with their changes, below each other."""
    changes = [_change(change) for _, change in cells]
    width = max(map(len, changes))
    texts = []
    for (value, change), percent in zip(cells, changes, strict=True):
        text = Text(value)
        if width:
            text.append(f" {percent:>{width}}", style=_style(change))
        texts.append(text)
    return texts


def _change(change: Change) -> str:
    text = percent_text(change)
    return f"{text}{'!' if change.is_worse else ' '}" if text else ""


def _duration(change: Change) -> str:
    seconds = change.value or 0.0
    return duration(seconds) if seconds >= 60 else Unit.SECONDS.text(seconds)


def _failed(change: Change) -> Text:
    text = f"{change.value:.0f}" if change.value else "-"
    return Text(f"{text}{'!' if change.is_worse else ''}", style=_style(change))


def _outcome(word: str) -> Text:
    return Text(word, style={"succeeded": "green", "failed": "bold red"}.get(word, "yellow"))


def _style(change: Change) -> str:
    return "bold red" if change.is_worse else "green" if change.is_better else ""
