"""Name the tasks that change the state of their process and leave it so."""

from __future__ import annotations

import logging

from ..graph.enumeration import EnumeratedGraph
from ..runner.process_state import LeftBehind

__all__ = ["LeftBehindLog"]

_LOG = logging.getLogger(__name__)


class LeftBehindLog:
    """Warns once of each task that leaves something behind, and once more if it cannot be put back.

    Parameters
    ----------
    graph
        Knows the labels of quanta.
    consequence
        What is done where something cannot be put back.
    """

    def __init__(self, graph: EnumeratedGraph, consequence: str):
        self._graph = graph
        self._consequence = consequence
        self._told: set[tuple[str, bool]] = set()

    def note(self, id: int, left: LeftBehind) -> None:
        """Warn of what a quantum has left behind."""
        label = self._graph.label(id)
        stays = bool(left.stays)
        if not left or (label, stays) in self._told:
            return
        self._told.add((label, stays))
        end = f"; {self._consequence}" if stays else ""
        _LOG.warning("Task %s leaves behind, first in %s: %s%s.", label, self._graph.describe(id), left, end)
