"""`pipetask pilots`."""

from __future__ import annotations

import json
import sys
from dataclasses import replace

from ..batch.pilots.departures import ask_to_leave
from ..batch.pilots.look import PilotLook, look_at_pilots
from ..batch.run_directory import RunDirectory
from ..batch.systems import system_of
from ..errors import PipetaskError, UsageError
from ..options.commands.batch import PilotsCommand
from .command import Invocation

__all__ = ["run"]


def run(invocation: Invocation) -> int:
    """Add pilots, let some leave, or show them."""
    options: PilotsCommand = invocation.options
    if options.add and options.remove:
        raise UsageError("--add and --remove exclude each other.")
    if (options.memory or options.walltime) and not options.add:
        raise UsageError("--memory and --walltime are for pilots that are added: use --add N.")
    directory = RunDirectory(options.run_dir)
    seen = look_at_pilots(directory)
    if system_of(directory).watch(directory).phase().over:
        seen = replace(seen, over=True)
    if options.add:
        job = system_of(directory).add_pilots(directory, options.add, options.memory, options.walltime)
        print(f"Pilots added: {options.add}, as {job}.", file=sys.stderr)
    elif options.remove:
        print(_remove(directory, seen, options.remove), file=sys.stderr)
    elif options.as_json:
        print(json.dumps([pilot.json() for pilot in seen.pilots], indent=2))
    else:
        _show(directory, seen)
    return 0


def _remove(directory: RunDirectory, seen: PilotLook, number: int) -> str:
    """Remove pilots that wait in the queue, and ask others to leave; return what to say of that."""
    waiting = system_of(directory).remove_waiting_pilots(directory, number)
    asked = min(number - waiting, len(seen.there))
    if not waiting and not asked:
        raise PipetaskError(f"{directory.path} has no pilots at work that could leave.")
    ask_to_leave(seen.round.leave, asked)
    said = [f"{waiting} removed from the queue"] if waiting else []
    if asked:
        said.append(f"{asked} of {len(seen.there)} asked to leave")
    return f"Pilots: {', '.join(said)}."


def _show(directory: RunDirectory, seen: PilotLook) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="dim")
    for title in ("pilot", "host", "state", "node"):
        table.add_column(title, no_wrap=True)
    table.add_column("ended", justify="right")
    for pilot in seen.pilots:
        table.add_row(
            pilot.about.job or pilot.member.id,
            pilot.about.host,
            "lost" if seen.over and not pilot.member.has_left else pilot.state,
            pilot.node or "",
            str(pilot.member.ended),
        )
    console = Console(soft_wrap=True)
    console.print(table)
    for note in seen.notes(directory):
        console.print(note, highlight=False, markup=False)
