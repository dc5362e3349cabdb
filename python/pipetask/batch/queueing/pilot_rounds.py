"""Rounds of pilots: what they are to run, what they have left, and what others ask for to go on with that."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from ..index import NodeIndex
from ..pilots.following import Rest, rest_of
from ..pilots.marks import Terms
from ..pilots.places import PilotSettings, last_round, write_round
from ..rounds import Cause
from ..run_directory import RunDirectory
from ..systems import system_class_of
from .arrays import Demand
from .configuration import JobSettings, QueueConfiguration
from .round import Round

__all__ = ["raised_demand", "what_pilots_left", "write_first_round", "write_next_round"]


def write_first_round(draft: Path, index: NodeIndex, configuration: QueueConfiguration[Any]) -> None:
    """Let pilots find all nodes.

    Parameters
    ----------
    draft
        The run directory that is being written.
    index
        Its index.
    configuration
        The settings of the run.
    """
    retries = configuration.for_labels(index.labels).retries
    write_round(draft, index, settings=PilotSettings(retries=retries))


def write_next_round(directory: RunDirectory, names: Collection[str], *, starts: bool) -> None:
    """Let pilots find nodes that are to run again.

    Parameters
    ----------
    directory
        The run.
    names
        The nodes.
    starts
        Whether a person has asked for it: budgets count from here.
    """
    terms: Mapping[int, Terms] = {} if starts else _rest(directory).terms
    with directory.index() as index:
        wanted = {number for number, name in enumerate(index.counts()) if name in names}
        write_round(directory.path, index, wanted, terms)


def what_pilots_left(
    directory: RunDirectory,
    configuration: QueueConfiguration[Any],
    last: Round,
    killed_for_memory: bool = False,
) -> tuple[Mapping[str, str], Mapping[str, Demand]]:
    """Return which nodes pilots have left for others, by name: why, and what the other pilots ask for.

    Parameters
    ----------
    directory
        The run.
    configuration
        Its settings.
    last
        The round of their jobs.
    killed_for_memory
        Whether the system has killed one of these jobs for want of memory.
    """
    rest, nodes = _rest(directory), last_round(directory.path).nodes()
    arrays = [array for array in last.arrays if array.runs_pilots]
    if not rest.terms or not arrays:
        return {}, {}
    before = arrays[0].demand
    settings = configuration.for_labels(arrays[0].labels)
    after = raised_demand(directory, settings, before)
    if killed_for_memory and after.memory == before.memory:
        after = replace(after, memory=settings.more_memory(before.memory))
    if rest.is_stuck and after == before:
        return {}, {}
    cause = _cause(before, after, ended=len(nodes) > len(rest.terms))
    names = [nodes[number].name for number in rest.terms]
    return dict.fromkeys(names, cause.value), dict.fromkeys(names, after)


def _cause(before: Demand, after: Demand, *, ended: bool) -> Cause:
    if after != before:
        return Cause.MEMORY if after.memory > before.memory else Cause.TIME
    return Cause.UNFINISHED if ended else Cause.INFRASTRUCTURE


def raised_demand(directory: RunDirectory, settings: JobSettings, before: Demand) -> Demand:
    """Return what pilots ask for after others had too little of something."""
    rest = _rest(directory)
    return Demand(
        settings.more_memory(max(before.memory, rest.memory)) if rest.memory else before.memory,
        settings.more_time(before.time) if rest.seconds else before.time,
    )


def _rest(directory: RunDirectory) -> Rest:
    how_ended = partial(system_class_of(directory).how_pilot_ended, directory)
    return rest_of(last_round(directory.path), how_ended)
