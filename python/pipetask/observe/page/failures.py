"""Failures, grouped by error, and what they block."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from ...outcome import QuantumOutcome, Status, shortened
from ..facts.errors import ErrorGroup
from .markup import Markup, join, tag
from .parts import copyable, file_link, quantum_link, section
from .subject import Subject
from .units import number

__all__ = ["failures_section"]

MOST_GROUPS = 100
MOST_DATA_IDS = 50
MOST_TEXT = 16_000
"""Number of characters of a traceback."""

HEADING = 300
"""Number of characters of an error in a heading."""


def failures_section(subject: Subject) -> Markup:
    """Return the section; nothing if nothing failed."""
    groups = subject.facts.errors
    if not groups:
        return Markup("")
    blocked = _blocked(subject)
    left = groups[MOST_GROUPS:]
    more = f"{number(len(left))} more groups of {number(sum(len(g.failed) for g in left))} quanta are left out here."
    return section(
        "failures",
        "Failures",
        [_group(subject, i, group, blocked) for i, group in enumerate(groups[:MOST_GROUPS])],
        tag("p", more, class_="quiet") if left else [],
    )


def _blocked(subject: Subject) -> dict[int, Counter[str]]:
    """Return the number of quanta that a failure blocks, by its id and by label."""
    found: dict[int, Counter[str]] = {}
    for outcome in subject.summary.outcomes:
        if outcome.status is Status.BLOCKED and outcome.blocked_by is not None:
            found.setdefault(outcome.blocked_by, Counter())[subject.graph.label(outcome.id)] += 1
    return found


def _group(subject: Subject, index: int, group: ErrorGroup, blocked: dict[int, Counter[str]]) -> Markup:
    first = group.first
    lines = group.what.strip().splitlines() or [group.status.value]
    labels = Counter(subject.graph.label(id) for id in group.failed or group.tried_again)
    counted = ", ".join(f"{label} {number(count)}" for label, count in labels.most_common())
    return tag(
        "details",
        tag("summary", tag("b", _verb(group), class_="failed"), " ", shortened(lines[0], HEADING)),
        tag(
            "p",
            f"{group.status.value}: {counted}. ",
            tag("a", "Show them in the table", href=f"#error={index}"),
        ),
        list(_again(group)),
        list(_blocks(group, blocked)),
        tag("p", f"First: {subject.graph.describe(first.id)}, attempt {first.attempt}", _where(first)),
        _traceback(first),
        tag("p", "Log: ", file_link(first.log)) if first.log else [],
        list(_command(subject, group)),
        list(_data_ids(subject, group)),
        open=index < 5,
        class_="group",
        id=f"error-{index}",
    )


def _verb(group: ErrorGroup) -> str:
    if group.failed:
        return f"✕ {number(len(group.failed))} {group.status.value}"
    return f"{number(len(group.tried_again))} tried again"


def _again(group: ErrorGroup) -> Iterator[Markup]:
    if group.tried_again:
        again = number(len(group.tried_again))
        yield tag("p", f"Quanta that were tried again after this error: {again}.")


def _blocks(group: ErrorGroup, blocked: dict[int, Counter[str]]) -> Iterator[Markup]:
    total = sum((blocked.get(id, Counter()) for id in group.failed), Counter[str]())
    if total:
        by_label = ", ".join(f"{label} {number(count)}" for label, count in total.most_common())
        quanta = "quantum" if total.total() == 1 else "quanta"
        yield tag("p", f"Blocks {number(total.total())} {quanta}: {by_label}.", class_="blocks")


def _where(outcome: QuantumOutcome) -> str:
    where = f" on {outcome.host}" if outcome.host else ""
    where += f" in process {outcome.pid}" if outcome.pid is not None else ""
    return f"{where}."


def _traceback(outcome: QuantumOutcome) -> Markup:
    if outcome.error is None:
        return join(tag("pre", outcome.reason or ""))
    text = outcome.error.traceback.strip() or f"{outcome.error.type_name}: {outcome.error.message}"
    return tag("pre", shortened(text, MOST_TEXT), tabindex=0)


def _command(subject: Subject, group: ErrorGroup) -> Iterator[Markup]:
    if group.failed:
        id = group.first.id if group.first.id in group.failed else group.failed[0]
        yield tag("p", f"Run {subject.data_id(id)} alone:")
        yield copyable(subject.run_alone(subject.graph.quantum_id(id)))


def _data_ids(subject: Subject, group: ErrorGroup) -> Iterator[Markup]:
    ids = group.failed or sorted(group.tried_again)
    links = [
        tag("li", quantum_link(subject.graph.position(id), subject.graph.describe(id)))
        for id in ids[:MOST_DATA_IDS]
    ]
    more = len(ids) - len(links)
    links += [tag("li", f"and {number(more)} more")] if more > 0 else []
    yield tag("details", tag("summary", f"Data IDs ({number(len(ids))})"), tag("ul", links))
