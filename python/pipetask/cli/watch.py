"""`pipetask watch`."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ..batch.run_directory import RunDirectory
from ..batch.status import RunPhase
from ..monitor.find import NotBegunError, find_run
from ..monitor.watcher import Watcher, watch_run
from ..options.commands.watch import WatchCommand
from .command import Invocation
from .logs import configure_logging

if TYPE_CHECKING:
    from ..monitor.view import RunView

__all__ = ["run"]

MOST_RUNS = 20
"""Runs that are listed."""

SHARE = 40
"""A look may take one part in so many of the time until the next: watching a large run must not slow it down."""


PAGE_INTERVAL = 10.0
"""Seconds between two versions of the page, at least."""


def run(invocation: Invocation) -> int:
    """Watch a run, or list recent ones."""
    options: WatchCommand = invocation.options
    if options.run is None:
        return _list(options)
    found = _wait_for(options.run, options)
    watch = watch_run(found)
    if options.as_json:
        view = watch.look()
        print(json.dumps(view.json(), indent=2, default=str))
        return view.phase.exit_code
    page = None
    if options.html is not None:
        configure_logging(invocation.logs)  # it imports the butler, and only the page may need that
        page = _Page(found, options.html)
    return _show(_views(watch, options, page), options)


def _wait_for(name: str, options: WatchCommand) -> RunDirectory | Path:
    """Find a run; wait for it if it is starting, unless one look is asked for."""
    told = False
    while True:
        try:
            return find_run(name)
        except NotBegunError as error:
            if options.once or options.as_json:
                raise
            if not told:
                print(f"{error} Waiting for it; Ctrl-C ends that.", flush=True)
            told = True
        time.sleep(options.interval)


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


class _Page:
    """The page, which is written again now and then while a run goes on, and once more at its end."""

    def __init__(self, found: RunDirectory | Path, uri: str):
        self._found, self._uri = found, uri
        self._due = 0.0

    def update(self, *, goes_on: bool) -> None:
        begin = time.monotonic()
        if goes_on and begin < self._due:
            return
        from .run_report import write_page

        write_page(self._found, self._uri, PAGE_INTERVAL if goes_on else None)
        self._due = time.monotonic() + max(PAGE_INTERVAL, SHARE * (time.monotonic() - begin))


def _show(views: Iterator[RunView], options: WatchCommand) -> int:
    """Show a run until it has ended: in place on a terminal; elsewhere its beginning and end, with lines between."""
    from rich.console import Console
    from rich.live import Live

    from ..batch.status_display import status_line
    from ..monitor.display import run_display
    from ..observe.progress import can_show_live

    console = Console()
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


def _views(watch: Watcher, options: WatchCommand, page: _Page | None) -> Iterator[RunView]:
    """Yield what is seen, until the run has ended."""
    while True:
        begin = time.process_time()
        view = watch.look()
        if page is not None:
            page.update(goes_on=view.phase is RunPhase.RUNNING and not options.once)
        yield view
        if options.once or view.phase is not RunPhase.RUNNING:
            return
        time.sleep(max(options.interval, SHARE * (time.process_time() - begin)))
