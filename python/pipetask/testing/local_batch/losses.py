"""What the local batch system loses on purpose."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

__all__ = ["Loss", "LossKind"]


class LossKind(Enum):
    """What happens to an attempt at a node."""

    KILLED = "killed"
    """Its process is killed when some of its quanta have ended."""

    NEVER_STARTED = "never started"
    """The batch system does not take the job, and gives the node up."""

    FORGOTTEN = "forgotten"
    """It runs to its end, but the batch system does not learn how it ended, and makes another attempt."""


@dataclass(frozen=True)
class Loss:
    """One attempt that goes wrong."""

    node: str
    """Name of the node."""

    kind: LossKind
    attempt: int = 1
    """Which attempt of a submission, from 1."""

    after: int = 1
    """For `LossKind.KILLED`: quanta of the node that end before."""
