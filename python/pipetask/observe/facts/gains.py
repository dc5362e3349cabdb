"""What a run could gain at best from more slots, or from a label that takes half as long."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...graph.structure import GraphStructure
from .attempts import Floats, Integers
from .paths import Chain, longest_chain

__all__ = ["Gains", "gains"]

MOST_LABELS = 3
"""Number of labels for which a gain is computed: each walks through the whole graph."""


@dataclass(frozen=True)
class Gains:
    """Lower limits of the time from the first start to the last end, in seconds."""

    at_least: float
    """With the slots and the durations that there were."""

    twice_the_slots: float
    any_slots: float
    half_as_long: dict[int, float]
    """By index of the label: if its quanta took half as long."""


def gains(
    structure: GraphStructure, seconds: Floats, order: Sequence[int], chain: Chain, slots: int
) -> Gains:
    """Return limits of the time: neither the longest chain nor the work of all slots can be undercut.

    Parameters
    ----------
    structure
        The quanta and their dependencies.
    seconds
        How long each quantum takes, by position.
    order
        Positions of the quanta that were run, in an order in which prerequisites come first.
    chain
        The longest chain.
    slots
        How many quanta could run at the same time.
    """
    work, slots = float(seconds.sum()), max(1, slots)
    tasks: Integers = np.repeat(np.arange(len(structure.labels)), structure.counts)
    half = {}
    for task in _candidates(seconds, tasks, chain):
        faster = np.where(tasks == task, seconds / 2, seconds)
        half[task] = max(longest_chain(structure, faster, order).seconds, float(faster.sum()) / slots)
    return Gains(
        max(chain.seconds, work / slots), max(chain.seconds, work / (2 * slots)), chain.seconds, half
    )


def _candidates(seconds: Floats, tasks: Integers, chain: Chain) -> list[int]:
    """Return the labels that take most of the longest chain, then those that take most of the work."""
    positions = np.array(chain.positions, dtype=np.int64)
    on_chain = np.bincount(tasks[positions], weights=seconds[positions]) if len(positions) else np.zeros(0)
    in_all = np.bincount(tasks, weights=seconds) if len(tasks) else np.zeros(0)
    ranked = [*np.argsort(-on_chain)[:2], *np.argsort(-in_all)]
    chosen = dict.fromkeys(int(task) for task in ranked if in_all[task] > 0)
    return list(chosen)[:MOST_LABELS]
