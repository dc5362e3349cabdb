"""Show the progress of a run: a live table on a terminal, or a line every few seconds elsewhere."""

from __future__ import annotations

import threading
import time
from typing import TextIO

from rich.console import Console, RenderableType
from rich.live import Live

from ..executors.activity import Activity
from ..graph.enumeration import EnumeratedGraph
from ..outcome import QuantumOutcome, Unit
from .progress_table import ProgressTable, duration
from .sink import Sink
from .summary import RunSummary
from .tally import Tally, TallyRow

__all__ = ["LineProgress", "TableProgress", "can_show_live"]

LINE_INTERVAL = 5.0
"""Seconds between two lines."""


def can_show_live(console: Console) -> bool:
    """Return whether a display that changes in place can be shown.

    Rich also takes a file for a terminal when ``FORCE_COLOR`` is set, and shows nothing live where ``TERM=dumb``.
    """
    return console.file.isatty() and console.is_terminal and not console.is_dumb_terminal


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
        return ProgressTable(self._tally)


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
    facts = [f"{whole.rate:.3g}/s", f"{duration(whole.seconds_left)} left"]
    if whole.memory is not None:
        facts.append(f"peak memory {Unit.BYTES.text(whole.memory)}")
    if shares := tally.shares():
        facts.append(f"in use {' '.join(map(str, shares))}")
    if longest := tally.longest():
        facts.append(f"longest {longest[0].name} for {duration(longest[0].seconds)}")
    return (
        f"{time.strftime('%H:%M:%S')} {whole.done}/{whole.total} quanta done{_remarks(whole)}, "
        f"{', '.join(facts)}: {'; '.join(parts) or 'starting'}"
    )


def _remarks(row: TallyRow) -> str:
    numbers = {word: getattr(row, word) for word in ("running", "failed", "blocked", "cancelled")}
    text = ", ".join(f"{number} {word}" for word, number in numbers.items() if number)
    return f" ({text})" if text else ""
