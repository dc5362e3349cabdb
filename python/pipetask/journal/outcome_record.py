"""An outcome as a record on disk: everything by name, and nothing that has its default.

A record holds plain values, and datastore records as the butler pickles them.  It has none of our own classes, and no
value is known by its place: where a class has got other fields, one would be taken for another.
"""

from __future__ import annotations

from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

from ..errors import PipetaskError
from ..outcome import QuantumError, QuantumOutcome, Status, StoredOutputs, Usage

__all__ = ["from_record", "to_record"]

_PARTS: dict[str, type[Any]] = {"usage": Usage, "error": QuantumError, "outputs": StoredOutputs}
"""Fields of an outcome that have fields themselves."""


def _defaults(kind: type[Any]) -> tuple[tuple[str, Any], ...]:
    return tuple((field.name, field.default) for field in fields(kind))


_DEFAULTS = {kind: _defaults(kind) for kind in _PARTS.values()}
_OF_OUTCOME = tuple(
    (name, default)
    for name, default in _defaults(QuantumOutcome)
    if name not in ("status", "earlier", *_PARTS)
)


def to_record(outcome: QuantumOutcome) -> dict[str, Any]:
    """Return an outcome as a record."""
    record = _without_defaults(outcome, _OF_OUTCOME)
    record["status"] = outcome.status.value
    for name, kind in _PARTS.items():
        if (part := getattr(outcome, name)) is not None:
            record[name] = _without_defaults(part, _DEFAULTS[kind])
    if outcome.earlier:
        record["earlier"] = [to_record(each) for each in outcome.earlier]
    return record


def from_record(record: dict[str, Any], path: Path) -> QuantumOutcome:
    """Return the outcome that a record was made of.

    Parameters
    ----------
    record
        The record.
    path
        The file that it comes from.

    Raises
    ------
    PipetaskError
        If the record has a status or a field that is not known.
    """
    try:
        return _outcome(record)
    except (ValueError, TypeError) as error:
        raise PipetaskError(
            f"{path} has an outcome that this pipetask does not know ({error}): "
            "go on with the version of pipetask that has written the run."
        ) from error


def _outcome(record: dict[str, Any]) -> QuantumOutcome:
    values = dict(record)
    values["status"] = Status.from_word(values["status"])
    for name, kind in _PARTS.items():
        if name in values:
            values[name] = kind(**values[name])
    if "earlier" in values:
        values["earlier"] = tuple(_outcome(each) for each in values["earlier"])
    return QuantumOutcome(**values)


def _without_defaults(thing: Any, defaults: tuple[tuple[str, Any], ...]) -> dict[str, Any]:
    return {
        name: value
        for name, default in defaults
        if (value := getattr(thing, name)) is not default and (default is MISSING or value != default)
    }
