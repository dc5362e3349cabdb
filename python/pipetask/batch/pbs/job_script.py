"""The script that an element of an array runs, and the options with which the array is submitted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..queueing.configuration import clock
from ..queueing.dialect import Written
from ..queueing.job_script import (
    beginning,
    chosen_node,
    command,
    exports,
    links,
    run_once,
    run_pilot,
    told,
    wait_for_first,
)
from .configuration import PbsJobSettings, is_torque
from .said import FOLDER as SAID

__all__ = ["depend", "script", "submit_options"]

_FOLDER = "pbs"


def script(written: Written[PbsJobSettings]) -> str:
    """Return the script of an array.

    It writes its output itself, because PBS brings it only at the end, and calls it differently in each version.
    """
    demand = written.array.demand
    environment = {**written.record.environment, **written.settings.environment}
    return (
        f"{beginning(written)}"
        "index=${PBS_ARRAY_INDEX:-${PBS_ARRAYID:-0}}\n"
        f"{chosen_node(_FOLDER, written, 'index')}"
        "element=${PBS_JOBID%%[!0-9]*}_$index\n"
        f'exec >>"{_FOLDER}/logs/$element.out" 2>>"{_FOLDER}/logs/$element.err"\n'
        f"{links(_FOLDER)}"
        f"{exports(environment)}"
        f"{wait_for_first(written)}"
        f"{told(str(demand.memory), str(demand.time))}"
        f"{_run(written)}"
    )


def _run(written: Written[PbsJobSettings]) -> str:
    if not written.array.labels:
        return run_once(written)
    if written.array.runs_pilots:
        return run_pilot(written, "${PBS_JOBID%%.*}")
    return f"exec {command(written)}\n"


def submit_options(written: Written[PbsJobSettings]) -> list[str]:
    """Return the options of qsub for an array, but for those that say which run it belongs to."""
    return list(_options(written))


def _options(written: Written[PbsJobSettings]) -> Iterator[str]:
    array, settings = written.array, written.settings
    torque = is_torque(written.run)
    # An array of one element is refused by some versions.
    if len(array.nodes) > 1:
        throttle = f"%{settings.throttle}" if settings.throttle else ""
        yield from ("-t" if torque else "-J", f"0-{len(array.nodes) - 1}{throttle}")
    yield from ("-S", "/bin/sh", "-j", "oe", "-o", f"{_FOLDER}/{SAID}/")
    yield from ("-r", "y" if settings.requeue else "n")
    for option, text in (("-q", settings.queue), ("-A", settings.account), ("-P", settings.project)):
        if text:
            yield from (option, text)
    for resource in _resources(written, torque=torque):
        yield from ("-l", resource)
    for name, text in {"m": "n", **settings.qsub}.items():
        yield from (f"-{name}",) if text in ("", "true") else (f"-{name}", text)


def _resources(written: Written[PbsJobSettings], *, torque: bool) -> Iterator[str]:
    demand, settings = written.array.demand, written.settings
    more = f":{settings.select}" if settings.select else ""
    if torque:
        gpus = f":gpus={settings.gpus}" if settings.gpus else ""
        yield f"nodes=1:ppn={settings.cpus}{gpus}{more}"
        yield f"mem={demand.memory}mb"
    else:
        gpus = f":ngpus={settings.gpus}" if settings.gpus else ""
        yield f"select=1:ncpus={settings.cpus}:mem={demand.memory}mb{gpus}{more}"
    yield f"walltime={clock(demand.time)}"


def depend(needs: Sequence[str], *, torque: bool) -> str:
    """Return the attribute that lets a job wait for the end of others.

    Parameters
    ----------
    needs
        What PBS calls them.
    torque
        Whether it is Torque, which has words of their own for arrays.
    """
    if not torque:
        return f"depend=afterany:{':'.join(needs)}"
    kinds = [f"afteranyarray:{job}" if "[]" in job else f"afterany:{job}" for job in needs]
    return f"depend={','.join(kinds)}"
