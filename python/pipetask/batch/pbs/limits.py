"""How many jobs PBS takes."""

from __future__ import annotations

import re

from ..queueing.limits import Limits
from .client import CLIENT

__all__ = ["SHIPPED", "limits_in", "limits_now"]

SHIPPED = Limits(array=10_000, submit=1_000_000)
"""Those of PBS as it is shipped."""


def limits_now(patience: float) -> Limits:
    """Return the limits that the server has.

    Raises
    ------
    pipetask.errors.PipetaskError
        If it does not answer.
    """
    return limits_in(CLIENT.call("qstat", ["-B", "-f"], patience=patience))


def limits_in(text: str) -> Limits:
    """Return the limits in a full listing of a server; those of single users and groups are not looked at."""
    array = _number(text, r"max_array_size = (\d+)", r"max_job_array_size = (\d+)")
    submit = _number(
        text,
        r"max_queued = .*\[u:PBS_GENERIC=(\d+)\]",
        r"max_queued = .*\[o:PBS_ALL=(\d+)\]",
        r"max_user_queuable = (\d+)",
    )
    return Limits(array or SHIPPED.array, submit or SHIPPED.submit)


def _number(text: str, *patterns: str) -> int | None:
    found = (re.search(pattern, text) for pattern in patterns)
    return min((int(match[1]) for match in found if match), default=None)
