"""What the pool's state machine knows of one worker."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from ...graph.enumeration import QuantumData
from ...outcome import QuantumError, Status

__all__ = ["WorkerState"]


@dataclass(slots=True, eq=False)
class WorkerState:
    """One worker: what it has been given, and whether it may be given more."""

    number: int
    since: float
    """When it last ended a quantum, or was given work while it had none.  From here its timeout counts."""

    pid: int | None = None
    ready: bool = False
    assigned: dict[int, QuantumData] = field(default_factory=dict)
    """What it was given and has not reported, in the order given.  The first of these is what it runs, or runs next."""

    held: int = 0
    """At most so many of `assigned` have not been begun.

    The worker takes its tokens without telling, so the exact number is known only at the moment when some are taken
    back.
    """

    backlog: float = 0.0
    """About how many seconds of work are in `assigned`."""

    debugged: QuantumError | None = None
    """Why its quantum has failed, while a person looks at that in a debugger.  This may take any time."""

    leaving: bool = False
    """Whether it takes no more work, because it is about to end itself, or is dead already."""

    doomed: Status | None = None
    """What becomes of its quantum because the foreman kills it, if it does."""

    fault: str | None = None
    """Why nothing is believed any more that comes out of its pipe, if so."""

    @property
    def is_available(self) -> bool:
        """Whether it takes work."""
        return self.ready and self.doomed is None and not self.leaving

    @property
    def is_timed(self) -> bool:
        """Whether there is a limit to what its quantum may take, if there is one at all."""
        return bool(self.assigned) and self.doomed is None and self.debugged is None

    def describe(self, now: float) -> str:
        """Return all of this in one line."""
        states = {
            "starting": not self.ready,
            "leaving": self.leaving,
            "in a debugger": self.debugged is not None,
            f"killed ({self.doomed and self.doomed.value})": self.doomed is not None,
            f"not believed ({self.fault})": self.fault is not None,
        }
        text = ", ".join(name for name, holds in states.items() if holds) or "ready"
        ids = list(self.assigned)
        work = f"quanta {', '.join(map(str, ids))} for {now - self.since:.3f} s" if ids else "nothing to do"
        # Until a quantum of a task has ended, its duration counts as infinite.
        backlog = f"{self.backlog:.3f} s" if math.isfinite(self.backlog) else "unknown"
        return f"worker {self.number} (process {self.pid}): {text}; {work}; backlog {backlog}"

    def drop(self, id: int) -> QuantumData:
        """Remove a quantum that it has ended or that was taken back, with its share of the backlog."""
        quantum = self.assigned.pop(id)
        left = len(self.assigned)
        # Only the sum is kept, so each quantum counts as the mean of those that are there.  The length of one may be
        # infinite (not known yet), so the end has to be a plain zero.
        self.backlog = self.backlog * left / (left + 1) if left else 0.0
        if self.held > left:
            self.held = left
        return quantum
