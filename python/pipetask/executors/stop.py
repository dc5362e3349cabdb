"""Requests to end a run early."""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum

from .wakeup import Wakeup

__all__ = ["StopLevel", "StopRequest"]


class StopLevel(IntEnum):
    """How urgently a run should end."""

    GO_ON = 0
    FINISH = 1
    """Start nothing more; let running quanta end."""

    STOP = 2
    """Start nothing more; interrupt running quanta, and let them clean up."""

    KILL = 3
    """End running quanta immediately."""


class StopRequest:
    """A request to end a run early, made by a signal handler, another thread, or the execution model itself.

    Attributes
    ----------
    level
        How urgent it is.
    reason
        Why, in words; the first reason given is kept.
    signal
        The signal that caused it, if one did.
    on_ask
        Called after each request for more than `StopLevel.FINISH`, in the thread that makes it; a model that runs
        quanta in this process interrupts them here.
    """

    on_ask: Callable[[], None] = staticmethod(lambda: None)

    def __init__(self) -> None:
        self.level = StopLevel.GO_ON
        self.reason: str | None = None
        self.signal: int | None = None
        self._wakeup = Wakeup()

    def ask(self, reason: str, level: StopLevel = StopLevel.STOP, signal: int | None = None) -> None:
        """Request the end of the run; a level that is not higher than before changes nothing."""
        self.reason = self.reason or reason
        self.signal = self.signal or signal
        if level > self.level:
            self.level = level
            self._wakeup.wake()
            if level >= StopLevel.STOP:
                self.on_ask()

    def fileno(self) -> int:
        """Return a descriptor to wait on, which becomes readable with each new request."""
        return self._wakeup.fileno()

    def acknowledge(self) -> None:
        """Make the descriptor unreadable until the next request."""
        self._wakeup.acknowledge()

    def close(self) -> None:
        """Close the descriptor."""
        self._wakeup.close()

    def __bool__(self) -> bool:
        return self.level > StopLevel.GO_ON
