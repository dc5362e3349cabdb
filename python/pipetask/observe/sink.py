"""Who is told about outcomes."""

from __future__ import annotations

from ..executors.base import Activity
from ..outcome import QuantumOutcome
from ..quantum_data import EnumeratedGraph

__all__ = ["Sink"]


class Sink:
    """Receives each outcome of a run, in the order they end."""

    def begin(self, graph: EnumeratedGraph, totals: dict[str, int], activity: Activity) -> None:
        """Prepare for a run.

        Parameters
        ----------
        graph
            Looks up what an id means.
        totals
            How many quanta of each label take part.
        activity
            Tells which quanta run right now.
        """

    def note(self, outcome: QuantumOutcome) -> None:
        """Take note of an outcome."""

    def end(self) -> None:
        """Finish, however the run ended."""
