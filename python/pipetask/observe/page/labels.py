"""The verdict, and the table of labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from ...outcome import Status
from ..count_table import STATUS_ORDER
from ..facts.labels import LabelFacts
from ..verdict import verdict
from .charts import histogram
from .markup import Markup, join, tag
from .parts import label_mark, section, table
from .subject import Subject
from .units import duration, moment, number, percent, size

__all__ = ["labels_section", "verdict_section"]


def verdict_section(subject: Subject) -> Markup:
    """Return the head of the page: the verdict in a sentence, and a few numbers."""
    summary, facts = subject.summary, subject.facts
    word, sentence = verdict(summary)
    error = [tag("p", str(summary.error), class_="error")] if summary.error is not None else []
    failed = sum(n for status, n in summary.total.items() if status.is_failure)
    numbers = [
        ("quanta", number(len(summary.outcomes))),
        ("failed", number(failed)),
        ("time", duration(summary.end - summary.start)),
        ("slots used", percent(facts.busy, facts.available)),
        ("attempts", number(len(facts.attempts))),
    ]
    if summary.goes_on:
        numbers.insert(1, ("running", number(len(summary.running))))
    return tag(
        "header",
        tag("h1", str(getattr(summary.header, "output_run", None) or "run")),
        tag("p", sentence, class_=f"verdict {word}", id="verdict"),
        error,
        tag(
            "dl", [tag("div", tag("dt", name), tag("dd", value)) for name, value in numbers], class_="numbers"
        ),
        tag("p", f"From {moment(summary.start)} to {moment(summary.end)}.", class_="quiet"),
    )


def labels_section(subject: Subject) -> Markup:
    """Return the table of labels: counts over all quanta, and what they took."""
    summary = subject.summary
    statuses = [status for status in STATUS_ORDER if summary.total[status]]
    facts = {each.label: each for each in subject.facts.labels}
    measured = any(each.seconds.count for each in facts.values())
    labels = [label for label, each in facts.items() if label in summary.counts or each.attempts]
    rows = [list(_row(subject, facts[label], statuses, measured)) for label in labels]
    if len(rows) > 1:
        total = summary.total
        sums = ["all", *(number(total[status]) for status in statuses), number(len(subject.facts.attempts))]
        rows.append([*sums, *[""] * (len(rows[0]) - len(sums))])
    headings = ["task", *(status.value for status in statuses), "attempts"]
    if measured:
        headings += [
            "time",
            "median",
            "95 %",
            "longest",
            "sum",
            "CPU / time",
            "peak memory",
            "read",
            "written",
        ]
        headings += ["of requested"] if subject.requested_memory else []
    note = (
        "Times and memory are those of the last attempt at each quantum; the axis of the bars is logarithmic."
    )
    return section(
        "tasks",
        "Tasks",
        table(headings, rows, kind="labels"),
        tag("p", note, class_="quiet") if measured else [],
    )


def _row(subject: Subject, facts: LabelFacts, statuses: list[Status], measured: bool) -> Iterator[str]:
    task = subject.graph.structure.labels.index(facts.label)
    counts = subject.summary.counts.get(facts.label, Counter[Status]())
    yield tag("a", label_mark(task, facts.label), href=f"#label={task}")
    for status in statuses:
        count = number(counts[status]) if counts[status] else ""
        yield tag("b", count, class_="failed") if count and status.is_failure else count
    yield number(facts.attempts)
    if not measured:
        return
    yield histogram(facts.seconds, task)
    yield from map(
        duration, (facts.seconds.median, facts.seconds.high, facts.seconds.largest, facts.seconds.total)
    )
    usage = facts.usage
    cpu, wall = usage["cpu_seconds"], usage["wall_seconds"]
    yield percent(cpu.total, wall.total) if cpu.count and wall.count else ""
    yield size(usage["peak_memory"].largest)
    yield size(usage["bytes_read"].mean)
    yield size(usage["bytes_written"].mean)
    if subject.requested_memory:
        yield _of_requested(usage["peak_memory"].largest, subject.requested_memory.get(facts.label))


def _of_requested(peak: float, requested: float | None) -> Markup:
    if requested is None or peak != peak:
        return join("")
    meter = tag(
        "meter", "", min=0, max=requested, value=round(min(peak, requested)), high=round(0.9 * requested)
    )
    return join(meter, f" {percent(peak, requested)} of {size(requested)}")
