"""What other execution models have made of the same graph."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

from .wakeup import Wakeup

__all__ = ["Elsewhere", "Ended"]


class Ended(NamedTuple):
    """A quantum that has ended in another execution model."""

    id: int
    """Position in the enumeration."""

    unblocks: bool
    """Whether quanta that need it may run."""

    skipped: bool = False
    """Whether it was found done."""

    root: int | None = None
    """The quantum whose failure blocks those that need it, if that is another one."""


class Elsewhere:
    """What an execution model is told of quanta that others run, if it runs only a part of a graph.

    A `~pipetask.executors.frontier.Frontier` takes note of it; the model waits for it together with everything else
    that it waits for, since it can make quanta ready.
    """

    def __init__(self) -> None:
        self._ended: deque[Ended] = deque()
        self._wakeup = Wakeup()

    def tell(self, ended: Ended) -> None:
        """Tell of a quantum that has ended; may be called from any thread."""
        self._ended.append(ended)
        self.wake()

    def wake(self) -> None:
        """Have the model look again at what it could start; may be called from any thread."""
        self._wakeup.wake()

    def take(self) -> Iterator[Ended]:
        """Yield what is new since the last call."""
        while self._ended:
            yield self._ended.popleft()

    def fileno(self) -> int:
        """Return a descriptor to wait on, which becomes readable when there is something new."""
        return self._wakeup.fileno()

    def acknowledge(self) -> None:
        """Make the descriptor unreadable until there is something new."""
        self._wakeup.acknowledge()

    def close(self) -> None:
        """Close the descriptor."""
        self._wakeup.close()
