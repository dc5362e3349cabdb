"""Other attempts in place: an element puts itself back into the queue, with more memory or time if it needs that.

What waits for its array goes on waiting, so nothing of the rest of the run is held up or submitted again.  The script
does that, and not the program, which may run in a container without Slurm's commands.  Where it is refused, because the
site forbids it, say, the element ends, and the last job of the round sees to it.

::

    exit code of the program        put back with
    ──────────────────────────      ────────────────────────────────────────
    76  out of memory               more memory, up to the limit in the settings
    78  out of time                 more time, up to the limit
    79  unfinished                  the same

A shell says 126 or 127 if there is no such program, and an interpreter 1 if it does not find pipetask.  The script
notes these: if the program has left no outcome, they are the reason.

Slurm itself starts a job again that was preempted, or whose machine failed.  The script counts that, too, so that a
node which takes down one machine after the other is given up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ..exit_codes import ExitCode
from ..queueing.arrays import Demand
from ..queueing.configuration import JobSettings
from ..queueing.layout import ASKED
from ..queueing.told import END_VARIABLE
from .configuration import SlurmJobSettings

__all__ = ["NOT_STARTED", "SPENT", "after_program", "before_program"]

NOT_STARTED = ".not-started"
"""Suffix of the file that says of an element that its program could not be started, unless that left an outcome."""

SPENT = ".spent"
"""Suffix of the file that says of an element that Slurm has started it again too often."""


def before_program(demand: Demand, settings: SlurmJobSettings) -> str:
    """Return the lines of a script before the program: what the element has asked for, and until when it may run.

    Parameters
    ----------
    demand
        What its array asks for.
    settings
        What holds for its jobs.
    """
    return (
        f"asked=slurm/{ASKED}/$element  # what it asks for, if that is no longer what its array does\n"
        f"memory={demand.memory} minutes={demand.time} own=0\n"
        '[ ! -e "$asked" ] || read -r memory minutes own <"$asked"\n'
        f"[ $((${{SLURM_RESTART_COUNT:-0}} - own)) -le {settings.restarts} ] || "
        f'{{ touch "$asked{SPENT}"; echo "Slurm has started this job again too often" >&2; exit 75; }}\n'
        f"{END_VARIABLE}=$(($(date +%s) + 60 * minutes))\n"
        f"export {END_VARIABLE}\n"
        f'rm -f "$asked{NOT_STARTED}"\n'
        "trap : TERM  # the program ends in order, and then this script goes on\n"
    )


def after_program(demand: Demand, settings: JobSettings) -> str:
    """Return the lines of a script after the program.

    Parameters
    ----------
    demand
        What its array asks for.
    settings
        What holds for its jobs.
    """
    memory = "".join(_steps("memory", demand.memory, settings.more_memory))
    minutes = "".join(_steps("minutes", demand.time, settings.more_time))
    return (
        "code=$?\n"
        "trap '' TERM  # Slurm ends a job that is put back; what comes now is soon over\n"
        "case $code in\n"
        f"{int(ExitCode.OUT_OF_MEMORY)}) case $memory in {memory}*) exit $code ;; esac ;;\n"
        f"{int(ExitCode.OUT_OF_TIME)}) case $minutes in {minutes}*) exit $code ;; esac ;;\n"
        f"{int(ExitCode.UNFINISHED)}) ;;\n"
        f'1|126|127) touch "$asked{NOT_STARTED}"; exit $code ;;\n'
        "*) exit $code ;;\n"
        "esac\n"
        '[ ! -e "$asked.refused" ] || exit $code\n'
        'scontrol requeue "$element" || exit $code\n'
        'scontrol update "jobid=$element" "MinMemoryNode=$memory" "TimeLimit=$minutes" ||'
        ' touch "$asked.refused"\n'
        'echo "$memory $minutes $((own + 1))" >"$asked"\n'
        "exit $code\n"
    )


def _steps(name: str, value: int, more: Callable[[int], int]) -> Iterator[str]:
    """Yield a branch for each value that a next one follows."""
    while (after := more(value)) != value:
        yield f"{value}) {name}={after} ;; "
        value = after
