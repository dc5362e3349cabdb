"""Make the next round of a run: what is to run, with what it asks for."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ..names import FINAL, FIRST
from .arrays import Demand, Nodes, arrays_of, single, that_fit
from .configuration import JobSettings, QueueConfiguration
from .limits import Limits
from .pilot_jobs import pilot_array
from .round import Round

__all__ = ["Plan", "demand_of", "make_round"]


@dataclass(frozen=True)
class Plan:
    """What a round is for."""

    number: int
    starts: bool
    demands: Mapping[str, Demand]
    """What is to run, by name of the node, and what it asks for where that is not what the settings say."""

    causes: Mapping[str, str]
    done: Collection[str]
    first: bool
    """Whether the first node is to run."""

    since: int = 0
    """When the newest attempt began that was there when a person started this; see `Round.since`."""


def demand_of(settings: JobSettings) -> Demand:
    """Return what jobs ask for at first."""
    return Demand(settings.memory, settings.time)


def make_round(nodes: Nodes, configuration: QueueConfiguration[Any], limits: Limits, plan: Plan) -> Round:
    """Return the arrays of a round.

    Parameters
    ----------
    nodes
        All nodes of the run.
    configuration
        The settings.
    limits
        What the system takes.
    plan
        What the round is for.
    """
    numbers = {name: number for number, name in enumerate(nodes.names)}
    demands = {numbers[name]: demand for name, demand in plan.demands.items()}
    before = [single(FIRST, 0, -1, (), demand_of(configuration.for_node(FIRST)))] if plan.first else []
    if configuration.run.pilots and demands:
        wanted = [pilot_array(nodes, demands, configuration.run.pilots, number=len(before))]
    else:
        wanted = arrays_of(nodes, demands, configuration.run.columns, limits, offset=len(before))
    room = limits.submit - len(before) - 1
    fit = that_fit(wanted, room)
    arrays = [*before, *(replace(array, needs=(*range(len(before)), *array.needs)) for array in fit)]
    final = demand_of(configuration.for_node(FINAL))
    level = 1 + max((array.level for array in arrays), default=-1)
    arrays.append(single(FINAL, len(arrays), level, range(len(arrays)), final))
    left_out = sum(len(array.nodes) for array in wanted) - sum(
        len(array.nodes) for array in arrays if array.labels
    )
    return Round(plan.number, plan.starts, arrays, limits, left_out, plan.causes, list(plan.done), plan.since)
