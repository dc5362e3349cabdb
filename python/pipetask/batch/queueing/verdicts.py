"""Why a node has no final attempt, and what its next one asks for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from ..exit_codes import ExitCode
from ..ledger import UnfinishedNode
from ..names import FIRST
from ..rounds import Cause
from .arrays import Demand, JobArray
from .configuration import QueueConfiguration
from .dialect import Dialect
from .journal import State
from .layout import Layout
from .planning import demand_of
from .queue import Element
from .round import Round

__all__ = ["History"]

_AT_EXIT = {
    int(ExitCode.OUT_OF_MEMORY): "it ran out of memory, and may not ask for more (memory_limit)",
    int(
        ExitCode.OUT_OF_TIME
    ): "no quantum ended within its walltime, and it may not ask for more (time_limit)",
    int(ExitCode.UNFINISHED): "its walltime was too short for all of its quanta",
    int(ExitCode.INFRASTRUCTURE): "something around its job was broken (see its log)",
}


_PASSING = ("preempted", "requeued", "node failure", "not begun")
"""Not why a job has ended that was in the queue, perhaps again, and was cancelled there."""


class _Place(NamedTuple):
    """Where a node was submitted."""

    round: int
    array: JobArray
    task: int
    job: str


class History:
    """What the rounds of a run have asked for, and how the elements of nodes have ended.

    Parameters
    ----------
    system
        Where the run is executed.
    layout
        Where the run is.
    configuration
        Its settings.
    rounds
        All rounds, oldest first.
    state
        What the journal says.
    """

    def __init__(
        self,
        system: Dialect[Any],
        layout: Layout,
        configuration: QueueConfiguration[Any],
        rounds: Sequence[Round],
        state: State,
    ):
        self._system, self._layout, self._configuration = system, layout, configuration
        self._last: dict[str, _Place] = {}
        self._pilots = bool(configuration.run.pilots)
        self._demands: dict[str, Demand] = {}
        self._again: Counter[str] = Counter()
        self._told: dict[str, str] = {}
        self._begun = layout.run_directory / "registry.ready"
        for each in rounds:
            if each.starts:
                self._again.clear()
            self._again.update(
                name for name, cause in each.causes.items() if cause == Cause.INFRASTRUCTURE.value
            )
            progress = state.rounds.get(each.number)
            jobs = {} if progress is None else progress.jobs
            for array in each.arrays:
                if array.number in jobs and array.number not in (progress.left_out if progress else ()):
                    self._demands |= dict.fromkeys(array.nodes, array.demand)
                    job = jobs[array.number]
                    for task, node in enumerate(array.nodes):
                        if node in self._last and not (progress and progress.releasing):
                            continue  # its submission was given up, so it has not begun
                        self._last[node] = _Place(each.number, array, task, job)
                        self._told.pop(node, None)
            self._told |= {} if progress is None else progress.told

    def shown_as_ended(self, queue: Iterable[Element]) -> dict[str, str]:
        """Return how the last jobs of nodes have ended, by what the queue still shows of them.

        Parameters
        ----------
        queue
            All jobs of the run, also those that have ended.
        """
        shown = {(each.job, each.task): each.how for each in queue if each.how}
        # An array that was cancelled while it waited is one line.
        found = {
            node: shown.get((place.job, place.task)) or shown.get((place.job, None))
            for node, place in self._last.items()
        }
        return {node: how for node, how in found.items() if how}

    def take_note(self, shown: Mapping[str, str]) -> None:
        """Take note how jobs have ended, by node, as the queue shows it now."""
        self._told |= shown

    def was_submitted(self, node: str) -> bool:
        """Return whether there has ever been a job for a node."""
        return node in self._last

    def how(self, node: str) -> str:
        """Return how the last job of a node ended, in a word; see `Dialect.how_ended`."""
        if node not in self._last:
            return ""
        said, told = self._system.how_ended(self._layout, *self._last[node]), self._told.get(node, "")
        return told if not said or (told == "cancelled" and said in _PASSING) else said

    def _is_stopped(self, node: str) -> bool:
        """Return whether the job of a node was ended for good although it was to run again."""
        return self.how(node) == "restarts" or self._told.get(node) == "cancelled"

    def sentence(self, node: str, exit_code: int | None) -> str:
        """Return why a node has no final attempt, as the end of a sentence.

        Parameters
        ----------
        node
            Name of the node.
        exit_code
            What its last attempt exited with, if it came to its end.
        """
        if exit_code in _AT_EXIT and not self._is_stopped(node):
            return _AT_EXIT[exit_code]
        if self._pilots:
            return "its pilot was killed or has vanished, or there was none that could run it"
        if node not in self._last:
            return "there was no room in the queue for its job"
        if FIRST in self._last and not self._begun.exists():
            return "the first job has not made the registry ready (see logs/first.*)"
        return self._system.sentence(self.how(node))

    def demand(self, node: UnfinishedNode) -> Demand:
        """Return what a node asked for the last time, or what the settings say if that is more."""
        settings = self._configuration.for_labels(node.labels)
        first, last = demand_of(settings), self._demands.get(node.name)
        memory, time = self._asked_in_place(node.name)
        if last is not None:
            memory, time = max(memory, last.memory), max(time, last.time)
        return Demand(max(first.memory, memory), max(first.time, time))

    def _asked_in_place(self, node: str) -> tuple[int, int]:
        """Return the megabytes and minutes that a job has asked for when it put itself back into the queue."""
        try:
            place = self._last[node]
            memory, time, _ = map(int, self._layout.asked(place.job, place.task).read_text().split())
        except (KeyError, OSError, ValueError):
            return 0, 0
        return memory, time

    def next_demand(self, node: UnfinishedNode, cause: Cause) -> Demand:
        """Return what a node is to ask for."""
        settings, demand = self._configuration.for_labels(node.labels), self.demand(node)
        match cause:
            case Cause.MEMORY:
                return Demand(settings.more_memory(demand.memory), demand.time)
            case Cause.TIME:
                return Demand(demand.memory, settings.more_time(demand.time))
            case _:
                return demand

    def verdict(self, node: UnfinishedNode) -> Cause | None:
        """Return why a node without a final attempt is to run again; `None` if it is given up."""
        if not self.was_submitted(node.name):
            return Cause.LEFT_OUT
        how, demand = self.how(node.name), self.demand(node)
        if self._is_stopped(node.name):
            return None
        if node.exit_code == ExitCode.OUT_OF_MEMORY or how == "memory":
            cause = Cause.MEMORY
        elif node.exit_code == ExitCode.UNFINISHED:
            return Cause.UNFINISHED
        elif node.exit_code == ExitCode.OUT_OF_TIME or how == "time":
            cause = Cause.TIME
        elif how == "not begun":
            return Cause.LEFT_OUT
        elif how == "cancelled" and node.exit_code != ExitCode.INFRASTRUCTURE:
            return None  # a person has done that
        else:
            cause = Cause.INFRASTRUCTURE
        if cause is Cause.INFRASTRUCTURE:
            retries = self._configuration.for_labels(node.labels).retries
            return cause if self._again[node.name] < retries else None
        return cause if self.next_demand(node, cause) != demand else None
