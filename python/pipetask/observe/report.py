"""Print a report at the end of a run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TypeAlias

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..outcome import Kind
from ..text import shell_command, visible
from .count_table import STATUS_ORDER
from .failures import RunAlone, print_failures
from .measures import MeasureColumn, measure_columns
from .sink import Sink
from .summary import RunSummary
from .verdict import verdict

__all__ = [
    "Commands",
    "ReportSink",
    "RunAlone",
    "debug_command",
    "print_report",
    "quantum_backed_debug_command",
]

Commands: TypeAlias = Callable[[RunSummary], RunAlone]
"""Returns such a function for a run."""

_STYLES = {Kind.DONE: "green", Kind.HANDED_ON: "cyan", Kind.FAILED: "bold red", Kind.NOT_RUN: "yellow"}

_GAP = 2
"""Number of blanks between two columns."""


class ReportSink(Sink):
    """Prints a report of a run.

    Parameters
    ----------
    console
        Where to print.
    commands
        Returns commands that run single quanta again.
    """

    def __init__(self, console: Console, commands: Commands):
        self._console = console
        self._commands = commands

    def end(self, summary: RunSummary) -> None:
        """Print."""
        print_report(self._console, summary, self._commands(summary))


def print_report(console: Console, summary: RunSummary, run_alone: RunAlone) -> None:
    """Print a table of tasks, then each kind of failure with a command that runs only its first quantum.

    Parameters
    ----------
    console
        Where to print.
    summary
        The summary of the run.
    run_alone
        Returns the command that runs only the quantum with a given UUID.
    """
    if summary.outcomes:
        console.print(_table(summary, console.width))
    print_failures(console, summary, run_alone)
    if summary.error is not None:
        console.print(Text(visible(str(summary.error)), style="bold red"), soft_wrap=True)
    console.print(_verdict(summary), soft_wrap=True)


def debug_command(butler: str, graph: str, quantum_id: object) -> str:
    """Return the command that runs only one quantum, in the debugger."""
    words = ["pipetask", "run", "-b", butler, "-g", graph, "--qgraph-node-id", str(quantum_id)]
    return shell_command([*words, "--extend-run", "--clobber-outputs", "--pdb"])


def quantum_backed_debug_command(
    butler: str, graph: str, search_path: Sequence[str], quantum_id: object
) -> str:
    """Return the command that runs only one quantum, in the debugger and without a registry."""
    words = ["pipetask", "run-qbb", butler, graph, "--qgraph-node-id", str(quantum_id)]
    if search_path:
        words += ["--config-search-path", ",".join(search_path)]
    return shell_command([*words, "--pdb"])


def _table(summary: RunSummary, width: int) -> Table:
    total = summary.total
    statuses = [status for status in STATUS_ORDER if total[status]]
    rows = {
        label: [label, *(str(counts[status] or "") for status in statuses)]
        for label, counts in summary.counts.items()
    }
    headings = ["task", *(status.value for status in statuses)]
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("task", no_wrap=True)
    for status in statuses:
        table.add_column(status.value, justify="right", style=_STYLES[status.kind])
    taken = sum(_width(column) + _GAP for column in zip(headings, *rows.values(), strict=True)) - _GAP
    for column in _that_fit(measure_columns(summary), width - taken):
        table.add_column(column.heading, justify="right")
        for label, row in rows.items():
            row.append(column.cells.get(label, ""))
    for row in rows.values():
        table.add_row(*row)
    return table


def _that_fit(columns: list[MeasureColumn], width: int) -> list[MeasureColumn]:
    """Return as many columns as fit into a width; split headings into two lines if that is needed."""
    if sum(map(_needed, columns)) <= width:
        return columns
    columns = [replace(column, heading=column.heading.replace(" ", "\n")) for column in columns]
    while columns and sum(map(_needed, columns)) > width:
        columns.pop()
    return columns


def _needed(column: MeasureColumn) -> int:
    return _GAP + _width([*column.heading.split("\n"), *column.cells.values()])


def _width(lines: Iterable[str]) -> int:
    return max(map(cell_len, lines))


def _verdict(summary: RunSummary) -> Text:
    _, sentence = verdict(summary)
    style = {"succeeded": "bold green", "cancelled": "bold yellow", "running": "bold"}.get(
        summary.status, "bold red"
    )
    return Text(sentence, style=style)
