"""Which quantum a user means: a UUID, or a label with (part of) a data ID."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ..errors import PipetaskError, UsageError, did_you_mean
from ..journal.reader import JournaledQuantum

__all__ = ["QuantumSelection"]

_MOST = 5
"""Quanta that are named where several match."""

_SHORTEST = 8
"""Digits of a UUID that are enough, if they are unique."""


@dataclass(frozen=True)
class QuantumSelection:
    """What a user has typed."""

    label: str | None = None
    values: Mapping[str, str] = field(default_factory=dict)
    """Of the data ID, as text, by dimension."""

    quantum_id: str | None = None
    """A UUID, or how it begins."""

    @classmethod
    def parse(cls, words: Sequence[str]) -> QuantumSelection:
        """Parse words such as ``isr exposure=3 detector=1``, or a UUID.

        Raises
        ------
        UsageError
            If they are neither.
        """
        if not words:
            raise UsageError(
                "name a quantum by its UUID, or by label and data ID: isr exposure=3 detector=1."
            )
        first, *rest = (part for word in words for part in word.split(","))
        if not rest and _is_uuid(first):
            return cls(quantum_id=first.lower())
        values = {}
        for word in filter(None, rest):
            name, equals, value = word.partition("=")
            if not equals:
                raise UsageError(
                    f"{word!r} is no part of a data ID: write dimension=value, such as exposure=3."
                )
            values[name] = value.strip("'\"")
        return cls(first, values)

    def matches(self, quantum: JournaledQuantum) -> bool:
        """Return whether this can mean a quantum."""
        if self.quantum_id is not None:
            return str(quantum.quantum_id).startswith(self.quantum_id)
        if quantum.label != self.label:
            return False
        return all(str(quantum.data_id.get(name)) == value for name, value in self.values.items())

    def __str__(self) -> str:
        pairs = " ".join(f"{name}={value}" for name, value in self.values.items())
        return self.quantum_id or f"{self.label} {pairs}".strip()

    def only(self, found: Sequence[JournaledQuantum]) -> JournaledQuantum:
        """Return the only quantum that was found.

        Raises
        ------
        UsageError
            If there are several.
        """
        if len({each.quantum_id for each in found}) > 1:
            names = "; ".join(each.describe() for each in found[:_MOST])
            more = f"; and {len(found) - _MOST} more" if len(found) > _MOST else ""
            what = "data ID" if self.quantum_id is None else "UUID"
            raise UsageError(f"{self} can mean {len(found)} quanta: {names}{more}.  Name more of the {what}.")
        return found[0]

    def refuse(self, run: str, known: Iterable[JournaledQuantum], labels: Collection[str]) -> PipetaskError:
        """Return the error for a quantum that is not in a run, with what comes closest.

        Parameters
        ----------
        run
            Name of the run.
        known
            Quanta of the run.
        labels
            Its labels.
        """
        if self.quantum_id is not None:
            return PipetaskError(f"No quantum of {run} has the UUID {self.quantum_id}.")
        if self.label not in labels:
            hint = did_you_mean(self.label or "", labels, f"its labels are {', '.join(labels)}.")
            return PipetaskError(f"{run} has no label {self.label!r}{hint}")
        own = [each for each in known if each.label == self.label]
        dimensions = list(own[0].data_id) if own else []
        if own and (wrong := [name for name in self.values if name not in dimensions]):
            names = ", ".join(dimensions)
            return PipetaskError(f"Data IDs of {self.label} have no {wrong[0]!r}: they have {names}.")
        for name, value in self.values.items():
            there = {str(each.data_id[name]) for each in own}
            if own and value not in there:
                return PipetaskError(
                    f"{self} is not in the graph of {run}: no quantum of {self.label} has {name}={value}; "
                    f"there are {_some(there)}."
                )
        return PipetaskError(f"{self} is not in the graph of {run}: no quantum has all of these values.")


def _is_uuid(text: str) -> bool:
    digits = text.replace("-", "").lower()
    return _SHORTEST <= len(digits) <= 32 and set(digits) <= set("0123456789abcdef")


def _some(values: Collection[str]) -> str:
    ordered = sorted(values, key=lambda value: (len(value), value))
    if len(ordered) <= 2 * _MOST:
        return ", ".join(ordered)
    return f"{', '.join(ordered[:_MOST])} … {', '.join(ordered[-_MOST:])} ({len(ordered)} values)"
