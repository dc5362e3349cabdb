"""`pipetask status`."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

from ..batch.run_directory import RunDirectory
from ..batch.status import RunPhase, RunStatus
from ..batch.watch import RunWatch
from ..monitor.find import find_run
from ..monitor.local import LocalWatch
from ..options.commands.batch import StatusCommand
from .command import Invocation

__all__ = ["run"]


def run(invocation: Invocation) -> int:
    """Show the state of a run."""
    from rich.console import Console
    from rich.live import Live

    from ..batch.status_display import status_line, status_table
    from ..observe.progress import can_show_live

    options: StatusCommand = invocation.options
    look = _looks_at(options.run)
    status = look()
    console = Console(soft_wrap=True)
    if options.watch and not options.as_json and can_show_live(console):
        with Live(status_table(status), console=console, auto_refresh=False) as live:
            while status.phase is RunPhase.RUNNING:
                time.sleep(options.interval)
                status = look()
                live.update(status_table(status), refresh=True)
        return status.phase.exit_code
    while options.watch and status.phase is RunPhase.RUNNING:
        if not options.as_json:
            console.print(status_line(status))
        time.sleep(options.interval)
        status = look()
    if options.as_json:
        print(json.dumps(status.json(), indent=2))
    else:
        console.print(status_table(status))
    return status.phase.exit_code


def _looks_at(name: str) -> Callable[[], RunStatus]:
    """Return a function that returns the state of a run."""
    found = find_run(name)
    if isinstance(found, RunDirectory):
        return RunWatch(found).look
    watch = LocalWatch(found)
    return lambda: watch.look().status
