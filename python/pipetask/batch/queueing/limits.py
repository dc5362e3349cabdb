"""How many jobs a queueing system takes."""

from __future__ import annotations

from dataclasses import dataclass

from .configuration import RunSettings

__all__ = ["Limits"]


@dataclass(frozen=True)
class Limits:
    """How many jobs a queueing system takes."""

    array: int
    """Elements of an array."""

    submit: int
    """Jobs of the run in the queue at a time."""

    def lowered(self, settings: RunSettings) -> Limits:
        """Return these limits, or those that settings have where they are lower."""
        array, submit = settings.max_array or self.array, settings.max_submit or self.submit
        return Limits(min(self.array, array), max(0, min(self.submit, submit)))
