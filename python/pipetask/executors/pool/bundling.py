"""How many quanta travel together."""

from __future__ import annotations

from dataclasses import dataclass

from ...outcome import QuantumOutcome

__all__ = ["BundlePolicy", "Timings"]


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


class Timings:
    """What quanta take, by task, as far as one knows."""

    def __init__(self) -> None:
        self._means: dict[int, float] = {}

    def expect(self, task: int) -> float:
        """Return the seconds that a quantum may be expected to take; infinite while nobody knows."""
        return self._means.get(task, float("inf"))

    def learn(self, task: int, outcome: QuantumOutcome) -> None:
        """Note how long a quantum took; recent ones count more."""
        if outcome.start is not None and outcome.end is not None:
            duration = outcome.end - outcome.start
            mean = self._means.get(task, duration)
            self._means[task] = mean + 0.2 * (duration - mean)
