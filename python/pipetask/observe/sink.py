"""What is told about the outcomes of a run, and about its end."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..errors import one_line
from ..executors.activity import Activity
from ..graph.enumeration import EnumeratedGraph
from ..outcome import QuantumOutcome

if TYPE_CHECKING:
    from .summary import RunSummary

__all__ = ["Audience", "Sink"]

_LOG = logging.getLogger(__name__)


class Sink:
    """Receives each outcome of a run, in the order they end, and then the summary of all.

    What a sink raises is reported once, and the sink is told nothing more; it neither ends the run nor changes its exit
    code.  What must stop a run before it begins belongs into the sink's constructor.
    """

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

    def end(self, summary: RunSummary) -> None:
        """Finish, however the run ended.

        Parameters
        ----------
        summary
            What became of each quantum, and of the run; outputs are registered by now, or never will be.
        """


class Audience(Sink):
    """The sinks of a run as one, told in the order given.

    Parameters
    ----------
    sinks
        The sinks.
    """

    def __init__(self, sinks: Sequence[Sink]):
        self._sinks = list(sinks)

    def begin(self, graph: EnumeratedGraph, totals: dict[str, int], activity: Activity) -> None:
        """Let all prepare."""
        self._tell("begin", graph, totals, activity)

    def note(self, outcome: QuantumOutcome) -> None:
        """Tell all of an outcome."""
        self._tell("note", outcome)

    def end(self, summary: RunSummary) -> None:
        """Let all finish."""
        self._tell("end", summary)

    def _tell(self, what: str, *arguments: object) -> None:
        for sink in tuple(self._sinks):
            try:
                getattr(sink, what)(*arguments)
            except Exception as error:
                self._sinks.remove(sink)
                _LOG.warning("%s  The run itself is not affected.", one_line(error, type(sink).__name__))
                _LOG.debug("%s failed:", type(sink).__name__, exc_info=error)
