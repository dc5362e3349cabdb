"""The data that the script of a page reads: a row for each attempt, and one for each quantum."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...outcome import shortened
from ..facts.attempts import NUMBERS, RUNNING, STATUSES, WORDS, Attempts
from .colours import FAILED, REGISTERED, label_colour
from .colours import RUNNING as RUNNING_COLOUR
from .columns import UNKNOWN, Blob, three_digits
from .markup import shown
from .subject import Subject

__all__ = ["page_data"]

NO_OUTCOME = 255

LONGEST_SPAN = 4e9
"""Largest number of units of time in a run: they have 32 bits."""

MOST_TEXT = 200


def page_data(subject: Subject) -> str:
    """Return the data as text."""
    facts, structure = subject.facts, subject.graph.structure
    blob = Blob()
    unit = max(1e-3 if facts.end - facts.begin > 60 else 1e-5, (facts.end - facts.begin) / LONGEST_SPAN)
    _add_attempts(blob, subject, unit)
    _add_quanta(blob, subject)
    _add_transactions(blob, subject, unit)
    return blob.encoded(
        {
            "unit": unit,
            "begin": facts.begin,
            "span": facts.end - facts.begin,
            "ended": float(facts.attempts.end.max(initial=facts.begin)) - facts.begin,
            "labels": [_label(subject, blob, task) for task in range(len(structure.labels))],
            "statuses": WORDS,
            "failures": [s.is_failure for s in STATUSES] + [False],
            "colours": {"failed": FAILED, "running": RUNNING_COLOUR, "registered": REGISTERED},
            "lanes": [shown(lane.name) for lane in facts.attempts.lanes],
            "laneSizes": np.bincount(facts.attempts.lane, minlength=len(facts.attempts.lanes)).tolist(),
            "errors": [shown(shortened(group.what, MOST_TEXT)) for group in facts.errors],
            "commands": _add_commands(blob, subject),
        }
    )


def _add_attempts(blob: Blob, subject: Subject, unit: float) -> None:
    facts, rows = subject.facts, subject.facts.attempts
    start, end = _units(rows.start - facts.begin, unit), _units(rows.end - facts.begin, unit)
    blob.add("start", start, delta=True)
    blob.add("seconds", end - start)
    blob.add("wait", start - np.minimum(start, _units(facts.ready - facts.begin, unit)))
    blob.add("position", rows.position)
    blob.add("status", rows.status)
    blob.add("number", rows.number)
    blob.add("pid", np.where(rows.pid < 0, UNKNOWN, rows.pid), delta=True)
    blob.add("cpu", _cpu_percent(rows))
    blob.add("memory", three_digits(rows.usage["peak_memory"] / 1024))


def _units(seconds: Any, unit: float) -> Any:
    return np.round(seconds / unit).astype(np.int64)


def _cpu_percent(rows: Attempts) -> Any:
    """Return processor time in hundredths of the elapsed time; 65535 is unknown."""
    with np.errstate(divide="ignore", invalid="ignore"):
        part = np.round(100 * rows.usage["cpu_seconds"] / rows.usage["wall_seconds"])
    return np.where(np.isfinite(part), np.clip(part, 0, 65534), 65535)


def _add_quanta(blob: Blob, subject: Subject) -> None:
    size = len(subject.graph.structure)
    status, error, root = np.full(size, NO_OUTCOME), np.zeros(size), np.full(size, UNKNOWN)
    position = subject.graph.position
    for outcome in subject.summary.outcomes:
        at = position(outcome.id)
        status[at] = NUMBERS[outcome.status]
        if outcome.blocked_by is not None:
            root[at] = position(outcome.blocked_by)
    rows = subject.facts.attempts
    status[rows.position[rows.status == RUNNING]] = RUNNING
    for id, number in subject.group_of.items():
        error[position(id)] = number + 1  # 0 is none
    blob.add("quantumStatus", status)
    blob.add("quantumError", error)
    blob.add("quantumRoot", root)


def _add_transactions(blob: Blob, subject: Subject, unit: float) -> None:
    begin, transactions = subject.facts.begin, subject.facts.transactions
    start = _units(np.array([each.start for each in transactions]) - begin, unit)
    end = _units(np.array([each.end for each in transactions]) - begin, unit)
    blob.add("registeredStart", start, delta=True)
    blob.add("registeredSeconds", end - start)
    blob.add("registeredQuanta", [each.quanta for each in transactions])
    blob.add("registeredDatasets", [each.datasets for each in transactions])
    blob.add("registeredFailed", [not each.succeeded for each in transactions])


def _label(subject: Subject, blob: Blob, task: int) -> dict[str, Any]:
    structure = subject.graph.structure
    label = structure.labels[task]
    positions = structure.positions(label)
    names = list(structure.data_id(positions[0])) if positions else []
    columns = zip(*map(structure.data_values, positions), strict=True) if positions else ()
    values = [
        _add_values(blob, f"data-{task}-{i}", column)
        for i, (_, column) in enumerate(zip(names, columns, strict=True))
    ]
    return {
        "name": shown(label),
        "size": len(positions),
        "colour": label_colour(task),
        "dimensions": [shown(name) for name in names],
        "values": values,
    }


def _add_values(blob: Blob, name: str, column: Sequence[Any]) -> Any:
    """Add a column of data ID values; return the smallest if all are integers, or else all that there are."""
    if all(type(value) is int for value in column):
        low = min(column)
        if max(column) - low < UNKNOWN:
            blob.add(name, np.array(column, dtype=np.int64) - low, delta=True)
            return low
    known: dict[Any, int] = {}
    blob.add(name, [known.setdefault(value, len(known)) for value in column], delta=True)
    return [shown(str(value)) for value in known]


def _add_commands(blob: Blob, subject: Subject) -> list[list[str]]:
    """Add what commands that run failed quanta alone differ in; return what is around the UUID in each kind of them.

    There is no room for UUIDs of all quanta.
    """
    graph, kinds = subject.graph, dict[tuple[str, ...], int]()
    failed = sorted((graph.position(id), graph.quantum_id(id)) for id in subject.group_of)
    commands = (tuple(subject.run_alone(each).split(str(each))) for _, each in failed)
    blob.add("failedPosition", [position for position, _ in failed], delta=True)
    blob.add("failedCommand", [kinds.setdefault(each, len(kinds)) for each in commands])
    words = np.frombuffer(b"".join(each.bytes for _, each in failed), ">u4").reshape(-1, 4)
    for i in range(4):
        blob.add(f"failedId{i}", words[:, i])
    return [list(kind) for kind in kinds]
