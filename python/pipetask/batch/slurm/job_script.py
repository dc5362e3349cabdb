"""The script that an element of an array runs, and the options with which the array is submitted."""

from __future__ import annotations

from collections.abc import Iterator

from ..queueing.dialect import Written
from ..queueing.job_script import beginning, chosen_node, command, links, run_once, run_pilot, wait_for_first
from .configuration import SlurmJobSettings
from .in_place import after_program, before_program

__all__ = ["asked_for", "script", "submit_options"]

_FOLDER = "slurm"


def script(written: Written[SlurmJobSettings]) -> str:
    """Return the script of an array."""
    return (
        f"{beginning(written)}"
        f"{chosen_node(_FOLDER, written, 'SLURM_ARRAY_TASK_ID')}"
        "element=${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID\n"
        f"{links(_FOLDER)}"
        f"{wait_for_first(written)}"
        f"{_run(written)}"
    )


def _run(written: Written[SlurmJobSettings]) -> str:
    """Return the lines that run the program; the first and the final node are not tried again in place."""
    if not written.array.labels:
        return run_once(written)
    demand = written.array.demand
    before = before_program(demand, written.settings)
    if written.array.runs_pilots:
        return f"{before}{run_pilot(written, '$element')}"
    return f"{before}{command(written)}\n{after_program(demand, written.settings)}"


def submit_options(written: Written[SlurmJobSettings]) -> list[str]:
    """Return the options of sbatch for an array, but for those that say which run it belongs to."""
    array, settings = written.array, written.settings
    throttle = f"%{settings.throttle}" if settings.throttle and array.labels else ""
    # Slurm puts the folder before relative paths, and then replaces %A in it, too.
    logs = f"{written.run_directory}/{_FOLDER}/logs".replace("%", "%%")
    places = {
        "array": f"0-{len(array.nodes) - 1}{throttle}",
        "chdir": str(written.run_directory),
        "output": f"{logs}/%A_%a.out",
        "error": f"{logs}/%A_%a.err",
        "open-mode": "append",
    }
    options = [f"--{name}={text}" for name, text in places.items()]
    return [*options, *asked_for(settings, array.demand.memory, array.demand.time)]


def asked_for(settings: SlurmJobSettings, memory: int, minutes: int) -> list[str]:
    """Return the options of sbatch that say what a job asks for."""
    return list(_asked_for(settings, memory, minutes))


def _asked_for(settings: SlurmJobSettings, memory: int, minutes: int) -> Iterator[str]:
    options = {"time": str(minutes), "mem": f"{memory}M", "cpus-per-task": str(settings.cpus)}
    for name in ("partition", "account", "qos", "gres", "constraint", "reservation"):
        if text := str(getattr(settings, name)):
            options[name] = text
    if settings.gpus:
        gpus = f"gpu:{settings.gpus}"
        options["gres"] = f"{options['gres']},{gpus}" if "gres" in options else gpus
    for name, text in options.items():
        yield f"--{name}={text}"
    yield "--requeue" if settings.requeue else "--no-requeue"
    for name, text in settings.sbatch.items():
        yield f"--{name}" if text in ("", "true") else f"--{name}={text}"
