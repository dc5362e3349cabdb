"""The states of nodes that are run by pilots."""

from __future__ import annotations

from ..attempt_ends import AttemptEnds
from ..exit_codes import FINAL_CODES
from ..run_directory import RunDirectory
from ..status import NodeState
from .look import look_at_pilots

__all__ = ["PilotWatch"]


class PilotWatch:
    """Looks at the nodes of a run: at what has been written of them, and at what pilots say that they do.

    Parameters
    ----------
    directory
        The run.
    """

    def __init__(self, directory: RunDirectory):
        self._directory = directory
        self._ends = AttemptEnds(directory.outcomes)
        with directory.index() as index:
            self._names = list(index.counts())

    def look(self, *, over: bool) -> tuple[dict[str, NodeState], list[str]]:
        """Return the states of nodes, as far as they are known, and what a person should know besides.

        Parameters
        ----------
        over
            Whether no pilot is left.
        """
        states: dict[str, NodeState] = {}
        for number, last in self._ends.look().items():
            if over or last.exit_code in FINAL_CODES:
                states[self._names[number]] = NodeState.after(last.exit_code)
        seen = look_at_pilots(self._directory, over=over)
        if not over:
            states = seen.laid_over(states)
        return states, list(seen.notes(self._directory))
