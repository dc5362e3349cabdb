"""How many jobs Slurm takes."""

from __future__ import annotations

import re
from dataclasses import dataclass

from .client import call
from .configuration import RunSettings
from .queue import number_of_jobs

__all__ = ["Limits"]


@dataclass(frozen=True)
class Limits:
    """How many jobs Slurm takes."""

    array: int = 1001
    """Elements of an array."""

    submit: int = 10_000
    """Jobs of the run in the queue at a time."""

    @classmethod
    def of(cls, settings: RunSettings) -> Limits:
        """Return the limits that settings have, and otherwise those of Slurm as it is shipped."""
        return cls(settings.max_array or cls.array, settings.max_submit or cls.submit)

    @classmethod
    def asked_for(cls, settings: RunSettings, wanted: int) -> Limits:
        """Return the limits that Slurm's configuration and the settings have.

        Parameters
        ----------
        settings
            Those of the run.
        wanted
            How many jobs are to be submitted.

        Raises
        ------
        pipetask.errors.PipetaskError
            If Slurm does not answer.
        """
        text = call("scontrol", ["show", "config"], patience=settings.patience)
        most = _number(text, r"MaxJobCount\s*=\s*(\d+)", 10_000) - 1
        if wanted > most // 2:
            most -= number_of_jobs(settings.patience)
        array = min(
            _number(text, r"MaxArraySize\s*=\s*(\d+)", 1001), _number(text, r"max_array_tasks=(\d+)", 1 << 30)
        )
        return cls(min(array, settings.max_array or array), max(0, min(most, settings.max_submit or most)))


def _number(text: str, pattern: str, default: int) -> int:
    found = re.search(pattern, text)
    return int(found[1]) if found else default
