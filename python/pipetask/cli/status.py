"""`pipetask status`."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

from ..batch.run_directory import RunDirectory
from ..batch.status import RunPhase, RunStatus
from ..batch.watch import RunWatch
from ..monitor.find import find_run
from ..monitor.local import LocalWatch
from ..options.commands.watch import StatusCommand
from ..text import shell_command
from .command import Invocation
from .going_on import say

__all__ = ["run"]

_STARTS_AGAIN = (RunPhase.WRITTEN, RunPhase.FAILED, RunPhase.CANCELLED)
"""What ``pipetask restart`` is for."""


def run(invocation: Invocation) -> int:
    """Show the state of a run, and how to go on with it."""
    options: StatusCommand = invocation.options
    found = find_run(options.run)
    phase = _show(options, _looks_at(found))
    if isinstance(found, RunDirectory) and phase in _STARTS_AGAIN and not options.as_json:
        say(shell_command(["pipetask", "restart", str(found.path)]))
    return phase.exit_code


def _looks_at(found: RunDirectory | Path) -> Callable[[], RunStatus]:
    """Return a function that returns the state of a run."""
    if isinstance(found, RunDirectory):
        return RunWatch(found).look
    watch = LocalWatch(found)
    return lambda: watch.look().status


def _show(options: StatusCommand, look: Callable[[], RunStatus]) -> RunPhase:
    from rich.console import Console
    from rich.live import Live

    from ..batch.status_display import status_line, status_table
    from ..observe.progress import can_show_live

    status = look()
    console = Console(soft_wrap=True)
    if options.watch and not options.as_json and can_show_live(console):
        with Live(status_table(status), console=console, auto_refresh=False) as live:
            while status.phase is RunPhase.RUNNING:
                time.sleep(options.interval)
                status = look()
                live.update(status_table(status), refresh=True)
        return status.phase
    while options.watch and status.phase is RunPhase.RUNNING:
        if not options.as_json:
            console.print(status_line(status))
        time.sleep(options.interval)
        status = look()
    if options.as_json:
        print(json.dumps(status.json(), indent=2))
    else:
        console.print(status_table(status))
    return status.phase
