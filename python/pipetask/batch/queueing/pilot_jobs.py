"""Pilots as jobs of a queueing system: an array of them, instead of arrays of nodes (see `pipetask.batch.pilots`)."""

from __future__ import annotations

from collections.abc import Mapping

from ..names import pilot_name
from .arrays import Demand, JobArray, Nodes

__all__ = ["pilot_array"]


def pilot_array(nodes: Nodes, demands: Mapping[int, Demand], pilots: int, number: int) -> JobArray:
    """Return an array of pilots for some nodes: each can run any of these.

    Parameters
    ----------
    nodes
        All nodes of the run.
    demands
        What is to run, by number of the node, and what it asks for.
    pilots
        How many.
    number
        Number of the array.
    """
    # A job with several tasks asks for the most that any of them needs.
    labels = tuple(dict.fromkeys(label for each in sorted(demands) for label in nodes.labels[each]))
    most = Demand(
        max(demand.memory for demand in demands.values()), max(demand.time for demand in demands.values())
    )
    names = tuple(pilot_name(each) for each in range(min(pilots, len(demands))))
    return JobArray(number, labels, 0, 0, names, (), most)
