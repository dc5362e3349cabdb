"""How the commands of PBS are called."""

from __future__ import annotations

import re

from ..queueing.client import Client

__all__ = ["CLIENT", "is_gone"]

CLIENT = Client(
    title="PBS",
    dropped=(
        "PBS_ARRAY", "PBS_DPREFIX", "PBS_ENVIRONMENT", "PBS_GPUFILE", "PBS_JOB", "PBS_MOMPORT", "PBS_NODE", "PBS_NP",
        "PBS_NUM", "PBS_O_", "PBS_QSUB", "PBS_QUEUE", "PBS_TASKNUM", "PBS_VERSION", "PBS_VNODENUM", "PBS_WALLTIME",
    ),
    kept=(),
    no_answer=re.compile(
        r"cannot connect to server|could not connect|Connection refused|Communication failure|End of File|"
        r"Batch protocol error|Premature end of message|timed? ?out|Server shutting down|busy, try again",
        re.IGNORECASE,
    ),
    limit=re.compile(r"would exceed .*limit|Maximum number of jobs|number of jobs .*limit", re.IGNORECASE),
)  # fmt: skip

_GONE = re.compile(r"Unknown Job|has finished|invalid state for job|Request invalid for state", re.IGNORECASE)


def is_gone(error: Exception) -> bool:
    """Return whether PBS refuses because a job has ended."""
    return _GONE.search(str(error)) is not None
