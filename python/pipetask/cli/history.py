"""`pipetask history`."""

from __future__ import annotations

import json
import sys

from ..options.commands.report import HistoryCommand
from ..text import visible
from .command import Invocation

__all__ = ["WORSE", "run"]

WORSE = 3
"""Exit code if something is worse in the last run than in the one before."""

_FILE_WIDTH = 1000
"""Columns where there is no terminal: no column goes."""


def run(invocation: Invocation) -> int:
    """Compare runs."""
    from rich.console import Console
    from rich.text import Text

    from ..monitor.past import past_run
    from ..observe.history.changes import History
    from ..observe.history.page import history_page
    from ..observe.history.table import HistoryTable
    from ..observe.whole_file import WholeFile

    options: HistoryCommand = invocation.options
    options.check()
    page = None if options.html is None else WholeFile(options.html, "--html")
    history = History([past_run(name) for name in options.runs], options.threshold)
    worse = list(history.worse())
    if page is not None:
        with page.open() as out:
            out.write(history_page(history))
    if options.as_json:
        print(json.dumps(history.json(), indent=2))
        return WORSE if worse else 0
    terminal = sys.stdout.isatty()
    console = Console() if terminal else Console(width=_FILE_WIDTH, force_terminal=False)
    console.print(HistoryTable(history))
    if worse:
        line = visible(f"worse in {history.runs[-1].name}: {'; '.join(worse)}")
        console.print(Text(f"\n{line}", style="bold red"), soft_wrap=True)
    return WORSE if worse else 0
