"""How jobs have ended, as Slurm's own daemon writes into their error files.

That needs no accounting, and outlives the controller's memory.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

__all__ = ["said_by_slurm"]

_TAIL = 1 << 13
_SAID = re.compile(rb"^slurmstepd[^:]*: (?:error: )?(.*)$", re.MULTILINE)
_WORDS = (
    (re.compile(r"oom.?kill|memory limit|out of memory", re.IGNORECASE), "memory"),
    (re.compile(r"DUE TO TIME LIMIT"), "time"),
    (re.compile(r"DUE TO PREEMPTION"), "preempted"),
    (re.compile(r"DUE TO NODE FAILURE"), "node failure"),
    (re.compile(r"DUE TO JOB REQUEUE"), "requeued"),
    (re.compile(r"CANCELLED AT"), "cancelled"),
)
"""What Slurm's daemon writes, with what it means; the first that fits counts."""


def said_by_slurm(path: Path) -> str:
    """Return how an element ended, as Slurm's daemon says in its error file; empty if it says nothing.

    Parameters
    ----------
    path
        The error file.
    """
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL))
            text = file.read()
    except OSError:
        return ""
    lines = [line.decode(errors="replace") for line in _SAID.findall(text)]
    for line in reversed(lines):
        for pattern, word in _WORDS:
            if pattern.search(line):
                return word
    return ""
