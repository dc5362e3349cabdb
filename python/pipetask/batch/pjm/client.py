"""How the commands of PJM are called."""

from __future__ import annotations

import re

from ..queueing.client import Client

__all__ = ["CLIENT", "is_gone"]

CLIENT = Client(
    title="PJM",
    dropped=("PJM_",),
    kept=(),
    no_answer=re.compile(
        r"communication|connect|not responding|timed? ?out|temporar\w+ unavailable|being (stopped|started)",
        re.IGNORECASE,
    ),
    limit=re.compile(
        r"number of .*jobs? .*(limit|exceed)|(limit|exceed)\w* .*number of .*jobs?", re.IGNORECASE
    ),
)

_GONE = re.compile(r"does not exist|already (ended|finished)|not found|no such job", re.IGNORECASE)


def is_gone(error: Exception) -> bool:
    """Return whether PJM refuses because a job has ended."""
    return _GONE.search(str(error)) is not None
