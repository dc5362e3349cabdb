"""Group the attempts that failed by error: its type, and where it was raised."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from ...outcome import QuantumOutcome, Status

__all__ = ["ErrorGroup", "error_groups", "pattern"]

FRAMES = 2
"""Number of frames, counted from where the exception was raised, that two errors of a group have in common."""

_FRAME = re.compile(r'^ *File "([^"]*)", line (\d+), in (.*)$', re.MULTILINE)

_VARIABLE = re.compile(
    r"""'[^']*'|"[^"]*"|\{[^}]*\}|(?:\S*/)+\S*|0x[0-9a-fA-F]+|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|\d+(?:\.\d+)?"""
)
"""What differs between messages of the same kind: names in quotes, data IDs, paths, addresses, UUIDs, numbers."""


@dataclass
class ErrorGroup:
    """Attempts that failed in the same way."""

    status: Status
    type_name: str | None
    """The exception's class; `None` if no exception was raised, but the process died."""

    first: QuantumOutcome
    """The attempt that ended first."""

    failed: list[int] = field(default_factory=list)
    """Ids of the quanta that have failed with it in the end."""

    tried_again: set[int] = field(default_factory=set)
    """Ids of the quanta that were tried again after it."""

    @property
    def what(self) -> str:
        """The error in words."""
        error = self.first.error
        return f"{error.type_name}: {error.message}" if error is not None else self.first.reason or ""


def error_groups(outcomes: Iterable[QuantumOutcome]) -> list[ErrorGroup]:
    """Return the groups, first those with the most quanta that have failed in the end.

    Parameters
    ----------
    outcomes
        One for each quantum; those of earlier attempts are in it.
    """
    groups: dict[object, ErrorGroup] = {}
    for outcome, is_last in _failed(outcomes):
        error = outcome.error
        type_name = error.type_name if error is not None else None
        key = (outcome.status, type_name, _place(outcome))
        if (group := groups.get(key)) is None:
            group = groups[key] = ErrorGroup(outcome.status, type_name, outcome)
        if (outcome.end or 0) < (group.first.end or 0):
            group.first = outcome
        if is_last:
            group.failed.append(outcome.id)
        else:
            group.tried_again.add(outcome.id)
    return sorted(groups.values(), key=lambda group: (-len(group.failed), -len(group.tried_again)))


def pattern(message: str) -> str:
    """Return what a message has in common with others of its kind."""
    return _VARIABLE.sub("#", message)


def _failed(outcomes: Iterable[QuantumOutcome]) -> Iterator[tuple[QuantumOutcome, bool]]:
    for outcome in outcomes:
        for before in outcome.earlier:
            if before.status.is_failure:
                yield before, False
        if outcome.status.is_failure:
            yield outcome, True


def _place(outcome: QuantumOutcome) -> object:
    """Return where an exception was raised; if that is not known, its message without what varies."""
    if outcome.error is not None:
        if frames := _FRAME.findall(outcome.error.traceback[-4000:]):
            return tuple(frames[-FRAMES:])
        return pattern(outcome.error.message[:500])
    return outcome.signal, pattern((outcome.reason or "")[:500])
