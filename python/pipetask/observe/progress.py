"""Show the progress of a run: a live table on a terminal, or a line every few seconds elsewhere."""

from __future__ import annotations

import threading
import time
from typing import TextIO

from rich.console import Console, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from ..executors.activity import Activity
from ..graph.enumeration import EnumeratedGraph
from ..outcome import QuantumOutcome
from .sink import Sink
from .summary import RunSummary
from .tally import Tally, TallyRow

__all__ = ["LineProgress", "TableProgress", "duration", "progress_table"]

LINE_INTERVAL = 5.0
"""Seconds between two lines."""


class TableProgress(Sink):
    """Shows a live table on a terminal.

    Parameters
    ----------
    console
        The terminal.
    """

    def __init__(self, console: Console):
        self._console = console
        self._live: Live | None = None
        self._tally: Tally | None = None

    def begin(self, graph: EnumeratedGraph, totals: dict[str, int], activity: Activity) -> None:
        """Show the table."""
        self._tally = Tally(graph, totals, activity)
        self._live = Live(
            console=self._console, get_renderable=self._render, refresh_per_second=4, transient=True
        )
        try:
            self._live.start()
        except RuntimeError:  # no thread can be started: restore the terminal
            self._live.stop()
            raise

    def note(self, outcome: QuantumOutcome) -> None:
        """Count an outcome."""
        assert self._tally is not None, "begin was called"
        self._tally.count(outcome)

    def end(self, summary: RunSummary) -> None:
        """Remove the table; the report shows the final numbers."""
        if self._live is not None:
            self._live.stop()

    def _render(self) -> RenderableType:
        assert self._tally is not None, "begin was called"
        return progress_table(self._tally)


class LineProgress(Sink):
    """Writes a line every few seconds, for logs.

    Parameters
    ----------
    stream
        Where to write.
    interval
        Seconds between two lines.
    """

    def __init__(self, stream: TextIO, interval: float = LINE_INTERVAL):
        self._stream = stream
        self._interval = interval
        self._over = threading.Event()
        self._thread: threading.Thread | None = None
        self._tally: Tally | None = None

    def begin(self, graph: EnumeratedGraph, totals: dict[str, int], activity: Activity) -> None:
        """Start writing."""
        self._tally = Tally(graph, totals, activity)
        self._thread = threading.Thread(target=self._write, name="progress", daemon=True)
        self._thread.start()

    def note(self, outcome: QuantumOutcome) -> None:
        """Count an outcome."""
        assert self._tally is not None, "begin was called"
        self._tally.count(outcome)

    def end(self, summary: RunSummary) -> None:
        """Stop."""
        self._over.set()
        if self._thread is not None:
            self._thread.join()

    def _write(self) -> None:
        assert self._tally is not None, "begin was called"
        while not self._over.wait(self._interval):
            try:
                print(progress_line(self._tally), file=self._stream, flush=True)
            except OSError:  # the reader of the stream is gone
                return


def progress_line(tally: Tally) -> str:
    """Return the numbers in one line."""
    rows = list(tally.rows())
    whole = tally.sum(rows)
    parts = [
        f"{row.label} {row.done}/{row.total}{_remarks(row)}"
        for row in rows
        if row.done or row.left < row.total
    ]
    return (
        f"{time.strftime('%H:%M:%S')} {whole.done}/{whole.total} quanta done{_remarks(whole)}, "
        f"{whole.rate:.3g}/s, {duration(whole.seconds_left)} left: {'; '.join(parts) or 'starting'}"
    )


def _remarks(row: TallyRow) -> str:
    facts = [(row.running, "running"), (row.failed, "failed"), (row.blocked, "blocked")]
    text = ", ".join(f"{number} {word}" for number, word in facts if number)
    return f" ({text})" if text else ""


def progress_table(tally: Tally) -> Table:
    """Return the figures as a table: a row for each label that takes part, and one for all."""
    rows = list(tally.rows())
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("task", no_wrap=True)
    table.add_column("", width=24)
    for heading in ("done", "running", "failed", "blocked", "rate", "left"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(*_cells(row))
    if len(rows) > 1:
        table.add_section()
        table.add_row(*_cells(tally.sum(rows)), style="bold")
    table.caption = f"{duration(tally.elapsed)} elapsed"
    table.caption_justify = "left"
    return table


def _cells(row: TallyRow) -> list[RenderableType]:
    style = "red" if row.failed else "green"
    ended = row.total - row.left
    return [
        row.label,
        ProgressBar(
            total=max(row.total, 1), completed=ended, width=24, complete_style=style, finished_style=style
        ),
        f"{row.done}/{row.total}",
        str(row.running or ""),
        Text(str(row.failed or ""), style="bold red"),
        Text(str(row.blocked or ""), style="yellow"),
        f"{row.rate:.3g}/s" if row.rate else "",
        duration(row.seconds_left) if row.left else "",
    ]


def duration(seconds: float | None) -> str:
    """Return a time for a person."""
    if seconds is None:
        return "?"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02}m" if hours else f"{minutes}m{rest:02}s" if minutes else f"{rest}s"
