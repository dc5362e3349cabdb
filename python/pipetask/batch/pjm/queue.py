"""What the queue of PJM says of the sub-jobs of a run.

A sub-job is known by the number of its step job and its own, which is that of its array.  The name of a step job has
the round in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ..queueing.layout import RunRecord
from ..queueing.queue import Element, Stage
from .client import CLIENT

__all__ = ["elements_of", "job_name", "look"]

_ROW = re.compile(r"\s*(?P<id>(?P<step>\d+)_(?P<number>\d+))\s+(?P<name>\S+)\s+(?P<state>[A-Z]{3})\s*")
_OVER, _WAITS, _HOW = {"EXT", "CCL", "RJT"}, {"ACC", "QUE"}, {"CCL": "cancelled"}


def job_name(record: RunRecord, round: int) -> str:
    """Return the name of the sub-jobs of a round; no other run has it, whatever its settings say."""
    return f"{_run_name(record)}-{round}"


def _run_name(record: RunRecord) -> str:
    id = record.id[:8]
    return record.name if record.name.endswith(id) else f"{record.name}-{id}"


def look(record: RunRecord, patience: float) -> list[Element]:
    """Return the sub-jobs of a run that are in the queue.

    Parameters
    ----------
    record
        The run.
    patience
        Seconds that PJM may take.

    Raises
    ------
    pipetask.errors.PipetaskError
        If it does not answer.
    """
    words = ["-E", "-v", "--choose", "jid,jnam,st"]
    return list(elements_of(CLIENT.call("pjstat", words, patience=patience), record))


def elements_of(text: str, record: RunRecord) -> Iterator[Element]:
    """Yield the sub-jobs of a run in a listing.

    Parameters
    ----------
    text
        What ``pjstat`` has printed.
    record
        The run.
    """
    busy: set[str] = set()
    for row in filter(None, map(_ROW.fullmatch, text.splitlines())):
        found = re.fullmatch(rf"{re.escape(_run_name(record))}-(\d+)", row["name"])
        if found is None:
            continue
        stage = _stage(row["state"])
        if stage is Stage.IDLE and row["step"] in busy:
            stage = Stage.WAITING  # sub-jobs run one after another
        if stage is not Stage.OVER:
            busy.add(row["step"])
        state, how = row["state"], _HOW.get(row["state"], "")
        yield Element(row["id"], None, int(found[1]), int(row["number"]), stage, state, row["id"], how)


def _stage(state: str) -> Stage:
    if state in _OVER:
        return Stage.OVER
    if state in _WAITS:
        return Stage.IDLE
    # ERR is a state that only an operator ends.
    return Stage.HELD if state in ("HLD", "ERR") else Stage.RUNNING
