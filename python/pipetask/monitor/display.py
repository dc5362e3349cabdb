"""Show a run, or a list of runs, on a terminal or as plain text."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from ..batch.status import RunPhase
from ..batch.status_display import count_table, remarks, status_line
from ..observe.progress_table import duration
from ..outcome import Unit
from ..text import visible
from .listing import ListedRun
from .view import FailedQuantum, RunningNow, RunView

__all__ = ["list_table", "run_display"]

MOST_RUNNING = 12
MOST_FAILURES = 8
"""Quanta that are shown of each kind."""

_SHORT_NAME = 30
"""Columns that the name of a quantum has at least, before other columns go."""

_GAP = 2
"""Number of blanks between two columns."""

SLOW = 3.0
"""A quantum that takes so many times the usual time of its label is marked."""


def run_display(view: RunView) -> RenderableType:
    """Return all about a run: counts, what runs, what has failed, and where it stands as a whole."""
    parts: list[RenderableType] = [_headline(view), count_table(view.status)]
    if view.running:
        parts += ["", _RunningTable(view)]
    if view.failures:
        parts += ["", *_failure_lines(view)]
    said = remarks(view.status)
    if view.resume is not None and not any(view.resume in str(line) for line in said):
        said.append(Text(f"resume with: {visible(view.resume)}", style="yellow"))
    return Group(*parts, "", *said, status_line(view.status))


def list_table(runs: Iterable[ListedRun]) -> Table:
    """Return a table of runs."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("began", no_wrap=True)
    table.add_column("state", no_wrap=True)
    for heading in ("done", "failed", "took"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("run", overflow="fold")
    for run in runs:
        ended = run.end if run.end is not None else time.time()
        table.add_row(
            _moment(run.start),
            run.phase.value if run.phase is not None else "unreadable",
            f"{run.done}/{run.total}",
            str(run.failed or ""),
            duration(max(0.0, ended - run.start)) if run.start is not None else "",
            Text(visible(run.name)),
        )
    return table


def _headline(view: RunView) -> Text:
    parts = [visible(view.name)]
    if view.start is not None:
        parts.append(f"since {_moment(view.start)}")
    if view.pid is not None and view.phase is RunPhase.RUNNING:
        parts.append(f"process {view.pid} on {visible(view.host or '?')}")
    return Text(", ".join(parts), style="bold")


@dataclass(frozen=True)
class _RunningTable:
    """The quanta that run, slowest first: compared with what is usual, then by time.

    Numbers are never cut: names of quanta are, and where there is little room, columns go.
    """

    view: RunView

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        now = self.view.now
        running = sorted(self.view.running, key=lambda each: (-each.slowness(now), each.start))
        shown = running[:MOST_RUNNING]
        names = [f"{len(running)} running now", *(_running_name(each) for each in shown)]
        columns = {
            "for": [duration(each.seconds(now)) for each in shown],
            "usually": [f"{each.usual:.3g}s" if each.usual is not None else "" for each in shown],
            "memory": [Unit.BYTES.text(each.memory) if each.memory is not None else "" for each in shown],
            "process": [_process(each) for each in shown],
        }
        widest = max(map(cell_len, names))
        while _width(columns) + min(widest, _SHORT_NAME) > options.max_width and len(columns) > 1:
            columns.popitem()
        table = Table(box=None, pad_edge=False, header_style="dim")
        room = max(1, options.max_width - _width(columns))
        table.add_column(names[0], no_wrap=True, overflow="ellipsis", width=min(widest, room))
        for heading, cells in columns.items():
            width = max(map(cell_len, [heading, *cells]))
            table.add_column(heading, justify="right", no_wrap=True, width=width)
        for number, each in enumerate(shown):
            style = "bold yellow" if each.slowness(now) >= SLOW else ""
            numbers = [Text(cells[number]) for cells in columns.values()]
            table.add_row(Text(names[number + 1]), *numbers, style=style)
        yield table
        if len(running) > len(shown):
            yield Text(f"… and {len(running) - len(shown)} more; --json has all", style="dim")


def _width(columns: Mapping[str, list[str]]) -> int:
    return sum(_GAP + max(map(cell_len, [heading, *cells])) for heading, cells in columns.items())


def _running_name(each: RunningNow) -> str:
    again = f" attempt {each.attempt}" if each.attempt > 1 else ""
    return f"{_named(each.label, each.data_id)}{again}"


def _process(each: RunningNow) -> str:
    return visible(f"{each.host or ''}:{each.pid}" if each.pid is not None else each.host or "")


def _failure_lines(view: RunView) -> list[Text]:
    shown = list(view.failures)[-MOST_FAILURES:]
    first = f"{view.n_failures} failed" + (f", the last {len(shown)}" if view.n_failures > len(shown) else "")
    return [Text(first, style="dim"), *map(_failure_line, shown)]


def _failure_line(each: FailedQuantum) -> Text:
    when = time.strftime("%H:%M:%S ", time.localtime(each.end)) if each.end is not None else ""
    what = f"{when}{_named(each.label, each.data_id)} {each.status}: {each.what}"
    return Text(what, style="red")


def _named(label: str, data_id: Mapping[str, Any]) -> str:
    values = ", ".join(f"{name}={value!r}" for name, value in data_id.items())
    return visible(f"{label} ({values})")


def _moment(when: float | None) -> str:
    if when is None:
        return ""
    try:
        return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(when))
    except (OverflowError, ValueError, OSError):  # a clock that was wrong
        return "?"
