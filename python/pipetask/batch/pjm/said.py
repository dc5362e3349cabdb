"""How jobs have ended, as PJM writes into their statistics."""

from __future__ import annotations

import re
from pathlib import Path

__all__ = ["said_by_pjm"]

_CODE = re.compile(r"^\s*PJM CODE\s*:\s*(\d+)", re.MULTILINE)
_WORDS = {
    1: "cancelled",
    7: "cancelled",
    11: "time",
    12: "memory",
    18: "preempted",
    20: "node failure",
    23: "memory",
}
"""Codes of PJM, with what they mean."""


def said_by_pjm(path: Path) -> str:
    """Return how a job ended, as its statistics say; empty if they do not, or if there are none.

    Parameters
    ----------
    path
        The statistics.
    """
    try:
        found = _CODE.search(path.read_text(errors="replace"))
    except OSError:
        return ""
    return _WORDS.get(int(found[1]), "") if found else ""
