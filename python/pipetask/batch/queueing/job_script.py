"""Parts of the scripts that jobs run, which are the same on all queueing systems."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from typing import Any

from ...text import visible
from ..names import FINAL, FIRST
from ..node_commands import job_arguments, pilot_arguments
from ..pilots.pilot import JOB_VARIABLE
from .arrays import JobArray
from .dialect import Written
from .told import END_VARIABLE, MEMORY_VARIABLE

__all__ = [
    "beginning",
    "chosen_node",
    "command",
    "exports",
    "first_failed",
    "links",
    "nodes_file",
    "run_once",
    "run_pilot",
    "told",
    "wait_for_first",
]

_WAIT_FOR_FIRST = """\
tries=0  # a shared file system may show it late
until [ -e registry.ready ]; do
  [ ! -e {failed} ] && [ $tries -lt 10 ] ||
    {{ echo 'the first job has not made the registry ready: see logs/first.*' >&2; exit 75; }}
  tries=$((tries + 1))
  sleep 2
done
"""


def beginning(written: Written[Any]) -> str:
    """Return the first lines of a script: what it is, and the way into the run directory."""
    return (
        "#!/bin/sh\n"
        f"# {visible(written.array.explain())}; written by pipetask\n"
        f"cd -- {shlex.quote(str(written.run_directory))} || exit 75\n"
    )


def nodes_file(system: str, written: Written[Any]) -> str:
    """Return the path of the file with the names of an array's nodes, from the run directory."""
    return f"{system}/round-{written.round:03}/array-{written.array.number}.nodes"


def chosen_node(system: str, written: Written[Any], index: str) -> str:
    """Return lines that find out which node the script is for.

    Parameters
    ----------
    system
        Name of the system's folder.
    written
        The array.
    index
        What the shell replaces by the index of the element.
    """
    return f'node=$(sed -n "$(({index} + 1))p" {nodes_file(system, written)})\n[ -n "$node" ] || exit 75\n'


def links(system: str) -> str:
    """Return lines that give the output of ``$element`` the name of ``$node``, too."""
    return "".join(
        f'ln -sf "../{system}/logs/$element.{suffix}" "logs/$node.$element.{suffix}"\n'
        for suffix in ("out", "err")
    )


def first_failed(round: int) -> str:
    """Return the name of the file in which the first job of a round leaves its exit code, if it has failed."""
    return f"registry.failed-{round:03}"


def wait_for_first(written: Written[Any]) -> str:
    """Return lines that wait for what the first node has made."""
    return (
        _WAIT_FOR_FIRST.format(failed=first_failed(written.round))
        if written.record.first and written.array.labels
        else ""
    )


def exports(environment: Mapping[str, str]) -> str:
    """Return lines that set environment variables, for systems that cannot pass on all values."""
    return "".join(
        f"export {name}={shlex.quote(text)}\n" for name, text in environment.items() if name.isidentifier()
    )


def told(memory: str, minutes: str) -> str:
    """Return lines that tell the program what its job has asked for, as numbers or variables of the shell."""
    return (
        f"{MEMORY_VARIABLE}={memory}\n"
        f"{END_VARIABLE}=$(($(date +%s) + 60 * {minutes}))\n"
        f"export {MEMORY_VARIABLE} {END_VARIABLE}\n"
    )


def run_once(written: Written[Any]) -> str:
    """Return the line that runs the first or the final node, which nothing comes after."""
    if written.array.nodes == (FIRST,):
        failed = first_failed(written.round)
        return f"{command(written)} || {{ code=$?; echo $code >{failed}; exit $code; }}\n"
    return f"exec {command(written)}\n"


def run_pilot(written: Written[Any], job: str) -> str:
    """Return the lines that run a pilot.

    Parameters
    ----------
    written
        The array of pilots.
    job
        What the shell replaces by what the system calls the job.
    """
    return f'export {JOB_VARIABLE}="{job}"\nexec {command(written)}\n'


def command(written: Written[Any]) -> str:
    """Return the command that runs ``$node``, or the first or the final node."""
    settings, path = written.settings, written.run_directory
    python = settings.python or sys.executable
    before = shlex.split(settings.container)
    match written.array:
        case JobArray(nodes=(node,)) if node == FINAL:
            words = ["-m", f"{__package__}.last_job", str(path), str(written.round)]
        case JobArray(nodes=(node,)) if node == FIRST:
            words = job_arguments(path, FIRST)
        case array if array.runs_pilots:
            words = pilot_arguments(path, settings.cpus)
        case _:
            *start, _, option, number = job_arguments(path, "", settings.cpus)
            more = f"{option} {number} --keep-failures-since {written.since}"
            return f'{shlex.join([*before, python, *start])} "$node" {more}'
    return shlex.join([*before, python, *words])
