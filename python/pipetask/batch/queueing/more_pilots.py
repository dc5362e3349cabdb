"""Add pilots to a run that goes on, and remove those that wait in the queue."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

from ...errors import PipetaskError, UsageError
from ...settings.layers import megabytes
from ..names import pilot_name
from .arrays import Demand, JobArray
from .configuration import minutes
from .control import Run
from .dialect import Request, Written
from .journal import Progress
from .queue import Element, Stage
from .round import Round, array_file, read_rounds, settings_of
from .submission import only_one

__all__ = ["ADDED", "add_pilots", "remove_waiting_pilots"]

ADDED = 1000
"""Number of the first array that is added to a round."""


def add_pilots(run: Run, number: int, memory: str | None, walltime: str | None) -> str:
    """Submit more pilots, and let the final job wait for them, too; return what they are called.

    Parameters
    ----------
    run
        The run.
    number
        How many.
    memory, walltime
        What they ask for, as the user has written it; by default what the others ask for.

    Raises
    ------
    PipetaskError
        If the run does not go on, or if the system does not take them.
    """
    demand = _measured(megabytes, memory, "--memory"), _measured(minutes, walltime, "--walltime")
    with only_one(run.layout):
        last, progress = _going_on(run)
        pilots = next(array for array in last.arrays if array.runs_pilots)
        place = 1 + max([ADDED - 1, *progress.added])
        names = tuple(pilot_name(1000 * (place - ADDED + 1) + each) for each in range(number))
        asked = Demand(demand[0] or pilots.demand.memory, demand[1] or pilots.demand.time)
        array = replace(pilots, number=place, nodes=names, needs=(), demand=asked)
        return _submit(run, last, array, progress)


def remove_waiting_pilots(run: Run, number: int) -> int:
    """Remove up to so many pilots that have not begun from the queue, and return how many.

    Raises
    ------
    PipetaskError
        If the system does not answer.
    """
    arrays = {
        (each.number, array.number)
        for each in read_rounds(run.layout)
        for array in each.arrays
        if array.runs_pilots
    }
    waiting = [
        element
        for element in run.in_queue()
        if element.stage is Stage.IDLE
        and ((element.round, element.array) in arrays or element.array >= ADDED)
    ]
    left, chosen = number, list[str]()
    for element in reversed(waiting):
        if (pilots := _pilots_in(run, element)) <= left:
            left -= pilots
            chosen.append(element.id)
    if chosen:
        run.system.remove(chosen, run.patience)
    return number - left


def _pilots_in(run: Run, element: Element) -> int:
    """Return how many pilots a job runs."""
    if element.task is not None:
        return 1
    return len(array_file(run.layout, element.round, element.array, "nodes").read_text().splitlines())


def _going_on(run: Run) -> tuple[Round, Progress]:
    """Return the round that goes on, whose final job waits."""
    state = run.journal.read()
    progress = state.rounds.get(state.last)
    if progress is not None and progress.released is not None and not state.cancelled:
        for element in run.in_queue():
            is_final = (element.round, element.job) == (state.last, progress.final)
            if is_final and element.stage is Stage.WAITING:
                return read_rounds(run.layout)[state.last - 1], progress
    path = run.directory.path
    raise PipetaskError(
        f"{path} has no pilots at work that others could be added to: pipetask restart {path}"
    )


def _measured(measure: Callable[[object], int], text: str | None, flag: str) -> int:
    try:
        return 0 if text is None else measure(text)
    except ValueError as error:
        raise UsageError(f"{flag}: {error}.") from error


def _submit(run: Run, last: Round, array: JobArray, progress: Progress) -> str:
    settings = settings_of(run.configuration, array)
    written = Written(array, last.number, settings, run.configuration.run, run.directory.path, run.record)
    options, script = run.system.options(written), array_file(run.layout, last.number, array.number, "sh")
    script.with_suffix(".nodes").write_text("".join(f"{node}\n" for node in array.nodes))
    script.with_suffix(".json").write_text(json.dumps(options, indent=1) + "\n")
    script.write_text(run.system.script(written), encoding="utf-8", errors="surrogateescape")
    run.journal.note("adding", last.number, array=array.number)
    environment = {**run.record.environment, **settings.environment}
    request = Request(
        array=array,
        round=last.number,
        needs=(),
        before=(),
        run=run.configuration.run,
        options=options,
        script=script,
        environment=environment,
        layout=run.layout,
        record=run.record,
    )
    job = run.system.submit_array(request, run.patience)
    final = progress.final
    assert final is not None
    try:
        # No others than are in the queue: some systems refuse to wait for what has ended.
        there = {element.job for element in run.in_queue() if element.round == last.number}
        run.system.let_wait(final, sorted({job, *there} - {final}), run.configuration.run)
    except PipetaskError:
        run.system.remove([job], run.patience)
        raise
    run.journal.note("added", last.number, array=array.number, job=job)
    run.system.release(run.layout, last.number, [job], run.patience)
    return f"job {job}"
