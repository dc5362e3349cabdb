"""How many jobs Slurm takes."""

from __future__ import annotations

import re

from ..queueing.limits import Limits
from .client import CLIENT
from .queue import number_of_jobs

__all__ = ["SHIPPED", "limits_now"]

SHIPPED = Limits(array=1001, submit=10_000)
"""Those of Slurm as it is shipped."""


def limits_now(patience: float, wanted: int) -> Limits:
    """Return the limits that Slurm's configuration has.

    Parameters
    ----------
    patience
        Seconds that Slurm may take.
    wanted
        How many jobs are to be submitted.

    Raises
    ------
    pipetask.errors.PipetaskError
        If Slurm does not answer.
    """
    text = CLIENT.call("scontrol", ["show", "config"], patience=patience)
    most = _number(text, r"MaxJobCount\s*=\s*(\d+)", 10_000) - 1
    if wanted > most // 2:
        most -= number_of_jobs(patience)
    array = min(
        _number(text, r"MaxArraySize\s*=\s*(\d+)", 1001), _number(text, r"max_array_tasks=(\d+)", 1 << 30)
    )
    return Limits(array, most)


def _number(text: str, pattern: str, default: int) -> int:
    found = re.search(pattern, text)
    return int(found[1]) if found else default
