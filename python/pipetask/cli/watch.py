"""`pipetask watch`."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ..batch.status import RunPhase
from ..monitor.watcher import Watcher, watch_run
from ..options.commands.watch import WatchCommand
from .command import Invocation

if TYPE_CHECKING:
    from ..monitor.view import RunView

__all__ = ["run"]

MOST_RUNS = 20
"""Runs that are listed."""

SHARE = 40
"""A look may take one part in so many of the time until the next: watching a large run must not slow it down."""


def run(invocation: Invocation) -> int:
    """Watch a run, or list recent ones."""
    options: WatchCommand = invocation.options
    if options.run is None:
        return _list(options)
    watch = watch_run(options.run)
    if options.as_json:
        view = watch.look()
        print(json.dumps(view.json(), indent=2, default=str))
        return view.phase.exit_code
    return _show(watch, options)


def _list(options: WatchCommand) -> int:
    from rich.console import Console

    from ..journal.places import runs_folder
    from ..monitor.display import list_table
    from ..monitor.listing import recent_runs

    runs = list(recent_runs(MOST_RUNS))
    if options.as_json:
        print(json.dumps([each.json() for each in runs], indent=2))
    elif runs:
        Console(soft_wrap=True).print(list_table(runs))
    else:
        print(f"No run has left a journal in {runs_folder()}.")
    return 0


def _show(watch: Watcher, options: WatchCommand) -> int:
    """Show a run until it has ended: in place on a terminal; elsewhere its beginning and end, with lines between."""
    from rich.console import Console
    from rich.live import Live

    from ..batch.status_display import status_line
    from ..monitor.display import run_display
    from ..observe.progress import can_show_live

    console = Console()
    views = _views(watch, options)
    view = next(views)
    if view.phase is RunPhase.RUNNING and not options.once and can_show_live(console):
        with Live(run_display(view), console=console, auto_refresh=False) as live:
            for view in views:
                live.update(run_display(view), refresh=True)
        return view.phase.exit_code
    console = console if console.is_terminal else Console(soft_wrap=True)
    console.print(run_display(view))
    for view in views:
        over = view.phase is not RunPhase.RUNNING
        console.print(run_display(view) if over else status_line(view.status))
    return view.phase.exit_code


def _views(watch: Watcher, options: WatchCommand) -> Iterator[RunView]:
    """Yield what is seen, until the run has ended."""
    while True:
        begin = time.process_time()
        yield (view := watch.look())
        if options.once or view.phase is not RunPhase.RUNNING:
            return
        time.sleep(max(options.interval, SHARE * (time.process_time() - begin)))
