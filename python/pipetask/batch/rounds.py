"""Rounds, for batch systems without a DAG of their own that could try nodes again.

The jobs of a run are submitted together, and the last one comes after all others, however they ended.  It looks for
nodes without a final attempt: their jobs were killed, or have vanished, or have said that another attempt may help.
These run again in another round, which has a last job of its own.  When nothing is left, the last job registers what is
done.

What a batch system has to know is only why a node has no final attempt, and whether another one makes sense.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import Enum

from .exit_codes import FINAL_CODES
from .ledger import UnfinishedNode

__all__ = ["Cause", "to_run_again"]


class Cause(Enum):
    """Why a node runs again."""

    MEMORY = "memory"
    """Its last attempt ran out of memory: the next one asks for more."""

    TIME = "time"
    """Its last attempt had too little time: the next one asks for more."""

    UNFINISHED = "unfinished"
    """Its last attempt had no time for all of its quanta, and has ended some: the next one goes on."""

    INFRASTRUCTURE = "infrastructure"
    """Its job was killed, or has vanished, or something around it was broken."""

    LEFT_OUT = "left out"
    """There was no room for it in the queue."""

    NEEDED = "needed"
    """It waits for a node that runs again."""


def to_run_again(
    left: Iterable[UnfinishedNode], verdict: Callable[[UnfinishedNode], Cause | None]
) -> dict[str, Cause]:
    """Return the nodes that are to run again, by name, with the reason.

    Parameters
    ----------
    left
        Nodes that are not done, in topological order.
    verdict
        Says why a node without a final attempt is to run again; `None` if it is given up.
    """
    found: dict[str, Cause] = {}
    again: set[int] = set()
    for node in left:
        cause = None if node.exit_code in FINAL_CODES else verdict(node)
        if cause is None and not again.isdisjoint(node.needs):
            cause = Cause.NEEDED
        if cause is not None:
            again.add(node.number)
            found[node.name] = cause
    return found
