"""What the pool's state machine tells the foreman to do.

Each is done at once and in the order given.  Some have an answer, which the foreman gives to `PoolState` before it
asks for the next one.
"""

from __future__ import annotations

from dataclasses import dataclass

from ...outcome import Status
from ...runner import Ticket

__all__ = ["Give", "Halt", "Instruction", "Interrupt", "Kill", "Start", "TakeBack"]


@dataclass(frozen=True, slots=True)
class Start:
    """Start a worker.  Answer: `PoolState.started`, or `PoolState.not_started`."""

    worker: int


@dataclass(frozen=True, slots=True)
class Give:
    """Give a worker a bundle.  Answer, if it cannot be given: `PoolState.not_given`."""

    worker: int
    tickets: list[Ticket]


@dataclass(frozen=True, slots=True)
class TakeBack:
    """Take back what a worker has not begun, or half of that, rounded up.

    Answer: `PoolState.taken_back`, and then all that the worker has reported until now.
    """

    worker: int
    half: bool = False


@dataclass(frozen=True, slots=True)
class Halt:
    """Tell all workers that the run stops, so that they take an interrupt for an order."""


@dataclass(frozen=True, slots=True)
class Interrupt:
    """Interrupt the quantum that a worker runs."""

    worker: int


@dataclass(frozen=True, slots=True)
class Kill:
    """Kill a worker, with all that it has started.  Its death follows as an event."""

    worker: int
    why: Status


Instruction = Start | Give | TakeBack | Halt | Interrupt | Kill
