"""The script that an element of an array runs, and the options with which the array is submitted."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

from ...text import visible
from ..names import FINAL, FIRST
from ..node_commands import job_arguments
from .arrays import JobArray
from .configuration import JobSettings
from .in_place import after_program, before_program
from .layout import FOLDER

__all__ = ["script", "submit_options"]

_WAIT_FOR_FIRST = """\
tries=0  # a shared file system may show it late
until [ -e registry.ready ]; do
  [ $tries -lt 10 ] || { echo 'the first job has not made the registry ready: see logs/first.*' >&2; exit 75; }
  tries=$((tries + 1))
  sleep 2
done
"""


def script(array: JobArray, settings: JobSettings, run_directory: Path, round: int, *, first: bool) -> str:
    """Return the script of an array.

    Parameters
    ----------
    array
        The array.
    settings
        What holds for its jobs.
    run_directory
        Where the run directory is.
    round
        Number of the round that it belongs to.
    first
        Whether the first node has to succeed before.
    """
    nodes = shlex.quote(f"{FOLDER}/round-{round:03}/array-{array.number}.nodes")
    waits = _WAIT_FOR_FIRST if first and array.labels else ""
    return (
        "#!/bin/sh\n"
        f"# {visible(array.explain())}; written by pipetask\n"
        f"cd -- {shlex.quote(str(run_directory))} || exit 75\n"
        f'node=$(sed -n "$((SLURM_ARRAY_TASK_ID + 1))p" {nodes})\n'
        '[ -n "$node" ] || exit 75\n'
        f"{''.join(_links())}"
        f"{waits}"
        f"{_run(array, settings, _command(array, settings, run_directory, round))}"
    )


def _run(array: JobArray, settings: JobSettings, command: str) -> str:
    """Return the lines that run the program; the first and the final node are not tried again in place."""
    if not array.labels:
        return f"exec {command}\n"
    return f"{before_program(array.demand)}{command}\n{after_program(array.demand, settings)}"


def _links() -> Iterator[str]:
    """Yield lines that give the element's output the name of its node, too."""
    yield "element=${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID\n"
    for suffix in ("out", "err"):
        yield f'ln -sf "../{FOLDER}/logs/$element.{suffix}" "logs/$node.$element.{suffix}"\n'


def _command(array: JobArray, settings: JobSettings, run_directory: Path, round: int) -> str:
    python = settings.python or sys.executable
    before = shlex.split(settings.container)
    if array.nodes == (FINAL,):
        words = ["-m", f"{__package__}.last_job", str(run_directory), str(round)]
    elif array.nodes == (FIRST,):
        words = job_arguments(run_directory, FIRST)
    else:
        *start, _, option, number = job_arguments(run_directory, "", settings.cpus)
        return f'{shlex.join([*before, python, *start])} "$node" {option} {number}'
    return shlex.join([*before, python, *words])


def submit_options(array: JobArray, settings: JobSettings, run_directory: Path) -> list[str]:
    """Return the options of sbatch for an array, but for those that say which run it belongs to."""
    throttle = f"%{settings.throttle}" if settings.throttle and array.labels else ""
    options = {
        "array": f"0-{len(array.nodes) - 1}{throttle}",
        "chdir": str(run_directory),
        "output": f"{FOLDER}/logs/%A_%a.out",
        "error": f"{FOLDER}/logs/%A_%a.err",
        "open-mode": "append",
        "time": str(array.demand.time),
        "mem": f"{array.demand.memory}M",
        "cpus-per-task": str(settings.cpus),
    }
    for name in ("partition", "account", "qos", "gres", "constraint", "reservation"):
        if text := str(getattr(settings, name)):
            options[name] = text
    if settings.gpus:
        gpus = f"gpu:{settings.gpus}"
        options["gres"] = f"{options['gres']},{gpus}" if "gres" in options else gpus
    words = [f"--{name}={text}" for name, text in options.items()]
    words.append("--requeue" if settings.requeue else "--no-requeue")
    for name, text in settings.sbatch.items():
        words.append(f"--{name}" if text in ("", "true") else f"--{name}={text}")
    return words
