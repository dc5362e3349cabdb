"""How many quanta ran at the same time, why slots were idle, and what could be gained."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..facts.efficiency import Idle, IdleReason, concurrency
from .charts import concurrency_chart
from .markup import Markup, tag
from .parts import section, table
from .subject import Subject
from .units import duration, number, percent

__all__ = ["efficiency_section"]

SPANS = 300
"""Number of points of the curve."""

REASONS = 3


def efficiency_section(subject: Subject) -> Markup:
    """Return the section; nothing if nothing was run."""
    facts = subject.facts
    span = facts.end - facts.begin
    if not len(facts.attempts) or span <= 0:
        return Markup("")
    edges = np.linspace(facts.begin, facts.end, SPANS + 1)
    chart = concurrency_chart(
        concurrency(facts.attempts, edges, len(facts.structure.labels)), span, facts.slots
    )
    sentence = (
        f"{duration(facts.busy)} of {duration(facts.available)} slot-time were used: "
        f"{percent(facts.busy, facts.available)} of {facts.slots} slots for {duration(span)}."
    )
    rows = [
        [_reason(subject, each), duration(each.slot_seconds), percent(each.slot_seconds, facts.available)]
        for each in facts.idle[:REASONS]
    ]
    return section(
        "efficiency",
        "Efficiency",
        chart,
        tag("p", sentence, id="efficiency-sentence"),
        list(_registering(subject)),
        table(["Why slots were idle: the largest reasons", "slot-time", "of all"], rows) if rows else [],
        tag("ul", [tag("li", each) for each in _gains(subject)]),
    )


def _registering(subject: Subject) -> Iterator[Markup]:
    if transactions := subject.facts.transactions:
        seconds = [each.end - each.start for each in transactions]
        datasets = sum(each.datasets for each in transactions if each.succeeded)
        what = "1 transaction" if len(seconds) == 1 else f"{number(len(seconds))} transactions"
        text = (
            f"{number(datasets)} datasets were registered in {what}, beside the quanta: {duration(sum(seconds))} "
            f"together, the longest {duration(max(seconds))}."
        )
        yield tag("p", text, id="registering")


def _reason(subject: Subject, reason: IdleReason) -> str:
    if reason.task is None:
        return reason.idle.value
    label = subject.graph.structure.labels[reason.task]
    if reason.idle is Idle.DEPENDENCY:
        return f"nothing was ready: {label} had to end first"
    return f"nothing was left to start: the last quanta of {label} still ran"


def _gains(subject: Subject) -> Iterator[str]:
    gains, labels = subject.facts.gains, subject.graph.structure.labels
    took = float(subject.facts.attempts.end.max() - subject.facts.begin)
    yield (
        f"With these {subject.facts.slots} slots and these durations, no order takes less than "
        f"{duration(gains.at_least)}; this run took {duration(took)} until its last quantum ended."
    )
    yield f"With twice the slots: no less than {_changed(gains.twice_the_slots, gains.at_least)}."
    yield f"With any number of slots: no less than {_changed(gains.any_slots, gains.at_least)}."
    for task, seconds in gains.half_as_long.items():
        yield f"If {labels[task]} took half as long: no less than {_changed(seconds, gains.at_least)}."


def _changed(seconds: float, before: float) -> str:
    less = before - seconds
    if less < 0.005 * before:
        return f"{duration(seconds)}, so nothing is gained"
    return f"{duration(seconds)}, a gain of up to {duration(less)}"
