"""How many quanta travel together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from ...graph.enumeration import QuantumData
from ...outcome import QuantumOutcome
from ..frontier import Frontier
from ..resources import Share

__all__ = ["NOTHING", "Assigned", "BundlePolicy", "Bundler"]

Assigned = Mapping[int, QuantumData]
"""What a worker has, by id."""

NOTHING: Assigned = MappingProxyType({})

_UNKNOWN = float("inf")
"""Expected seconds of a quantum whose task has not ended any yet."""


@dataclass(frozen=True)
class BundlePolicy:
    """When a bundle is full, and how patient the foreman is.

    Notes
    -----
    A round trip between foreman and worker costs about a millisecond, so a fifth of a second makes it negligible;
    and it is little enough for the work to be spread well, although what is spread badly is taken back.
    """

    seconds: float = 0.2
    """Expected work in a bundle."""

    most: int = 16
    """Quanta in a bundle: as many as a worker reads from the graph file at once."""

    grace: float = 10.0
    """Seconds that an interrupted quantum has to clean up before it is killed."""


class Bundler:
    """Puts bundles together from what is ready.

    Parameters
    ----------
    frontier
        Where quanta come from.
    policy
        When a bundle is full.
    """

    def __init__(self, frontier: Frontier, policy: BundlePolicy):
        self._frontier = frontier
        self._policy = policy
        self._means: dict[int, float] = {}
        """Running mean of the seconds that a quantum takes, by task."""

    def ready(self, processes: int, most: int) -> int:
        """Return how many of ``processes`` workers could begin something now, or a number above ``most``."""
        return self._frontier.fill(most)

    def may_share(self, processes: int, assigned: Assigned) -> bool:
        """Return whether one more worker could run what another one has and has not begun."""
        return True

    def admit(self, processes: int, assigned: Assigned) -> bool:
        """Return whether a worker may be given this now, which was handed out before; it then must be."""
        return True

    def give_up(self) -> None:
        """Return to the frontier what was not begun."""

    def shares(self) -> list[Share]:
        """Return how much of each resource is in use, if that is counted."""
        return []

    def next(
        self, processes: int, *, idle: bool, behind: Assigned = NOTHING
    ) -> tuple[list[QuantumData], float]:
        """Take a bundle from the frontier; return it and the seconds that it is expected to take.

        Parameters
        ----------
        processes
            Number of workers, which share what is ready.
        idle
            Whether the bundle is for a worker that has nothing to do.
        behind
            What the worker still has.
        """
        frontier, policy = self._frontier, self._policy
        # No more than an equal share of what is ready, so that the other workers get some, too.
        share = max(1, frontier.fill(policy.most * processes) // processes)
        share = min(share, policy.most)
        quanta: list[QuantumData] = []
        seconds = 0.0
        while len(quanta) < share and (quantum := frontier.peek()) is not None:
            expected = self._means.get(quantum.task_index, _UNKNOWN)
            # A long quantum, or one of unknown length, goes alone and only to an idle worker: behind another quantum it
            # might have to wait.
            if seconds + expected > policy.seconds and (quanta or not idle):
                break
            frontier.take()
            quanta.append(quantum)
            seconds += expected
        return quanta, seconds

    def expected(self, quantum: QuantumData) -> float:
        """Return the seconds that a quantum will probably take; infinite if its task has not ended any yet."""
        return self._means.get(quantum.task_index, _UNKNOWN)

    def learn(self, task: int, outcome: QuantumOutcome) -> None:
        """Note how long a quantum of a task took; recent ones count more."""
        if outcome.start is not None and outcome.end is not None:
            duration = outcome.end - outcome.start
            mean = self._means.get(task, duration)
            self._means[task] = mean + 0.2 * (duration - mean)
