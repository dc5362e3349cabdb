"""Sinks: receivers of the outcomes of a run and of its summary."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..errors import one_line
from ..executors.activity import Activity
from ..graph.enumeration import EnumeratedGraph
from ..outcome import QuantumOutcome
from ..wording import in_log

if TYPE_CHECKING:
    from .summary import RunSummary

__all__ = ["Audience", "Sink"]

_LOG = logging.getLogger(__name__)


class Sink:
    """Receives each outcome of a run, in the order in which quanta end, and then the summary.

    An exception that a sink raises is reported once, and the sink is not called again.  It neither ends the run nor
    changes its exit code.  What has to stop a run before it begins belongs in the sink's constructor.
    """

    def begin(self, graph: EnumeratedGraph, totals: dict[str, int], activity: Activity) -> None:
        """Prepare for a run.

        Parameters
        ----------
        graph
            Looks up labels and data IDs by id.
        totals
            Number of quanta that take part, by label.
        activity
            Tells which quanta are running now.
        """

    def note(self, outcome: QuantumOutcome) -> None:
        """Receive an outcome."""

    def end(self, summary: RunSummary) -> None:
        """Finish, however the run ended.

        Parameters
        ----------
        summary
            The summary.  All outputs that can be registered have been.
        """

    def files(self) -> dict[str, str]:
        """Return the files that `end` has written completely, by kind: ``summary`` or ``report``."""
        return {}


class Audience(Sink):
    """Several sinks as one; they are called in the order given.

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
                said = in_log(one_line(error, type(sink).__name__))
                _LOG.warning("%s  The run itself is not affected.", said)
                _LOG.debug("%s failed:", type(sink).__name__, exc_info=error)
