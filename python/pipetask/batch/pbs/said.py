"""How jobs have ended, as PBS writes into their output."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path

from ..queueing.layout import number_of

__all__ = ["FOLDER", "output_of", "said_by_pbs"]

FOLDER = "said"
"""The folder for what PBS writes, beside what jobs write themselves."""

_TAIL = 1 << 13
_WORDS = (
    (
        re.compile(r"PBS: job killed: [pv]*mem|cgroup.*(mem|limit exceeded)|oom.?kill", re.IGNORECASE),
        "memory",
    ),
    (re.compile(r"PBS: job killed: walltime", re.IGNORECASE), "time"),
    (re.compile(r"PBS: job killed: node", re.IGNORECASE), "node failure"),
    (re.compile(r"PBS: job (preempted|suspended and requeued)", re.IGNORECASE), "preempted"),
    (re.compile(r"PBS: job (killed: )?(deleted|cancelled)", re.IGNORECASE), "cancelled"),
)
"""What PBS writes, with what it means; the first that fits counts."""


_NAME = re.compile(
    r"(?P<number>\d+)(\[(?P<task>\d+)\])?\..*OU|.*\.o(?P<other_number>\d+)([.-](?P<other_task>\d+))?"
)
"""What versions call the output of a job."""


def output_of(folder: Path, job: str, task: int) -> Path | None:
    """Return the file with what PBS has brought of the output of an element, if there is one.

    Parameters
    ----------
    folder
        Where the files are.
    job
        What PBS calls the array, or the job that is none.
    task
        Index of the element.
    """
    return _outputs(folder, folder.stat().st_mtime_ns).get((number_of(job), task))


@lru_cache(maxsize=1)
def _outputs(folder: Path, changed: int) -> dict[tuple[str, int], Path]:
    """Return all of them, by number and index; the folder is read again when it has changed."""
    found = {}
    for path in folder.iterdir():
        if match := _NAME.fullmatch(path.name):
            number = match["number"] or match["other_number"]
            found[number, int(match["task"] or match["other_task"] or 0)] = path
    return found


def said_by_pbs(path: Path) -> str:
    """Return how an element ended, as PBS says in its output; empty if it says nothing.

    Parameters
    ----------
    path
        The output.
    """
    try:
        text = path.read_bytes()[-_TAIL:].decode(errors="replace")
    except OSError:
        return ""
    for line in reversed(text.splitlines()):
        for pattern, word in _WORDS:
            if pattern.search(line):
                return word
    return ""
