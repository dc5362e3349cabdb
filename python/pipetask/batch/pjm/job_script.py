"""The script that a sub-job runs, and the options with which it is submitted."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator

from ..names import FINAL, FIRST
from ..queueing.configuration import clock
from ..queueing.dialect import Written
from ..queueing.job_script import beginning, exports, nodes_file, run_once, told, wait_for_first
from .configuration import PjmJobSettings
from .files import FOLDER, log, released

__all__ = ["script", "submit_options"]

_PATIENCE = 600
"""Seconds in which all sub-jobs of a round have to be in the queue after the first has begun."""


def script(written: Written[PjmJobSettings]) -> str:
    """Return the script of a sub-job."""
    demand = written.array.demand
    environment = {**written.record.environment, **written.settings.environment}
    return (
        f"{beginning(written)}"
        "tries=0  # until all of the round is in the queue\n"
        f"until [ -e {released(written.round)} ]; do\n"
        f"  [ $tries -lt {_PATIENCE} ] || {{ echo 'the submission was interrupted: pipetask restart' >&2; exit 75; }}\n"
        "  tries=$((tries + 1))\n"
        "  sleep 1\n"
        "done\n"
        f"{exports(environment)}"
        f"{wait_for_first(written)}"
        f"{told(str(demand.memory), str(demand.time))}"
        f"{_run(written)}"
    )


def _run(written: Written[PjmJobSettings]) -> str:
    array, settings = written.array, written.settings
    if not array.labels:
        (node,) = array.nodes
        assert node in (FIRST, FINAL)
        called = f"logs/{node}.{written.round}-{array.number}"
        outputs = "".join(
            f"ln -sf ../{log(written.round, array.number, suffix)} {called}.{suffix}\n"
            for suffix in ("out", "err")
        )
        return f"{outputs}{run_once(written)}"
    words = [
        *shlex.split(settings.launcher),
        *shlex.split(settings.container),
        settings.python or sys.executable,
    ]
    words += ["-m", f"{__package__}.node_list", str(written.run_directory), nodes_file(FOLDER, written)]
    words += [log(written.round, array.number, "begun"), f"{written.round}-{array.number}"]
    words += [str(settings.slots_for(array.demand.memory)), str(settings.cpus), str(written.since)]
    return f"exec {shlex.join(words)}\n"


def submit_options(written: Written[PjmJobSettings]) -> list[str]:
    """Return the options of pjsub for a sub-job, but for those that say which run it belongs to."""
    return list(_options(written))


def _options(written: Written[PjmJobSettings]) -> Iterator[str]:
    settings = written.settings
    yield from ("-L", ",".join(_resources(written)))
    for option, suffix in (("-o", "out"), ("-e", "err")):
        yield from (option, log(written.round, written.array.number, suffix))
    yield from ("-s", "--spath", log(written.round, written.array.number, "stats"))
    if settings.group:
        yield from ("-g", settings.group)
    for name, text in settings.pjsub.items():
        option = f"-{name}" if len(name) == 1 else f"--{name}"
        yield from (option,) if text in ("", "true") else (option, text)


def _resources(written: Written[PjmJobSettings]) -> Iterator[str]:
    array, settings = written.array, written.settings
    for name, text in (("rscunit", settings.resource_unit), ("rscgrp", settings.resource_group)):
        if text:
            yield f"{name}={text}"
    machines = settings.machines if len(array.nodes) > 1 else 1
    if "node=" not in settings.resources:
        yield f"node={machines}"
        if settings.ask_memory:
            slots = settings.slots_for(array.demand.memory) if array.labels else 1
            yield f"node-mem={array.demand.memory * slots}Mi"
    if settings.gpus:
        yield f"gpu={settings.gpus}"
    yield f"elapse={clock(array.demand.time)}"
    if settings.resources:
        yield settings.resources
