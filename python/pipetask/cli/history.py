"""`pipetask history`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import PipetaskError
from ..options.commands.report import HistoryCommand
from ..text import visible
from .command import Invocation
from .run_report import is_run_directory

if TYPE_CHECKING:
    from ..observe.history.past_run import PastRun

__all__ = ["WORSE", "run"]

WORSE = 3
"""Exit code if something is worse in the last run than in the one before."""

_FILE_WIDTH = 1000
"""Columns where there is no terminal: no column goes."""


def run(invocation: Invocation) -> int:
    """Compare runs."""
    from rich.console import Console
    from rich.text import Text

    from ..observe.history.changes import History
    from ..observe.history.table import HistoryTable

    options: HistoryCommand = invocation.options
    options.check()
    history = History([_read(name) for name in options.runs], options.threshold)
    worse = list(history.worse())
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


def _read(name: str) -> PastRun:
    from ..observe.history.summaries import read_summary

    path = Path(name)
    if not path.is_dir():
        return read_summary(path, name)
    if not is_run_directory(name):
        raise PipetaskError(
            f"{name} is not a run directory, it has no run.json: name run directories, or summary files."
        )
    from ..batch.past import past_batch_run
    from ..batch.run_directory import RunDirectory

    return past_batch_run(RunDirectory(name), name)
