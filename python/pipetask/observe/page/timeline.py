"""The timeline and the table of quanta; a script takes over where there is one."""

from __future__ import annotations

from collections.abc import Iterable

from .charts import WIDTH, svg, time_axis
from .colours import FAILED, REGISTERED, RUNNING
from .markup import Markup, join, tag
from .parts import label_mark, section
from .raster import timeline_picture
from .subject import Subject

__all__ = ["quanta_section", "timeline_section"]


def timeline_section(subject: Subject) -> Markup:
    """Return the section; nothing if nothing was run."""
    facts = subject.facts
    if not len(facts.attempts):
        return Markup("")
    span, labels = max(facts.end - facts.begin, 1e-9), subject.graph.structure.labels
    uri, height = timeline_picture(
        facts.attempts, facts.begin, facts.begin + span, len(labels), facts.transactions
    )
    marks = [label_mark(i, label) for i, label in enumerate(labels) if facts.labels[i].attempts]
    about = f"Quanta of {len(facts.attempts.lanes)} slots from left to right, coloured by task"
    return section(
        "timeline",
        "Timeline",
        tag("div", [tag("span", mark) for mark in marks], _other_marks(subject), class_="legend"),
        _controls(),
        tag(
            "div",
            tag("img", src=uri, width=WIDTH, height=height, alt=about, class_="static"),
            svg(WIDTH, 18, time_axis(span, 0), title="Time since the beginning"),
            id="static-timeline",
        ),
        tag("div", _canvas(), id="live-timeline", hidden=True),
        tag("div", "", id="card", hidden=True, aria_live="polite"),
    )


def _other_marks(subject: Subject) -> Iterable[Markup]:
    attempts = subject.facts.attempts
    if attempts.is_failure.any():
        yield tag("span", tag("i", "✕", class_="spot cross", style=f"background:{FAILED}"), "failed")
    if attempts.is_cut_off.any():
        yield tag("span", tag("i", "", class_="spot", style=f"background:{RUNNING}"), "running, or cut off")
    yield tag("span", tag("i", "", class_="spot dependency"), "slot idle, next quantum not ready")
    yield tag("span", tag("i", "", class_="spot slot"), "next quantum ready, not started")
    if subject.facts.transactions:
        spot = tag("i", "", class_="spot", style=f"background:{REGISTERED}")
        yield tag("span", spot, "transaction of the registry, below the slots")
    yield tag("span", tag("i", "", class_="spot after"), "after the last quantum")


def _controls() -> Markup:
    choice = tag(
        "select",
        tag("option", "by slot", value="lane"),
        tag("option", "by task", value="label"),
        id="rows",
        aria_label="Rows of the timeline",
    )
    keys = (
        "drag to zoom; click for a quantum; then also scroll, + and - to zoom, arrow keys to move, 0 for all"
    )
    buttons = [
        tag("button", label, type="button", id=id, title=title)
        for id, label, title in (("in", "+", "Zoom in"), ("out", "-", "Zoom out"), ("all", "all", "Show all"))
    ]
    return tag("p", choice, buttons, tag("span", keys, class_="quiet"), class_="controls", hidden=True)


def _canvas() -> Markup:
    return join(
        tag("canvas", "", id="canvas", tabindex=0, role="application", aria_label="Timeline of quanta"),
        tag("div", "", id="tip", hidden=True),
    )


def quanta_section(subject: Subject) -> Markup:
    """Return the section of the table with all quanta, which the script fills."""
    return section(
        "quanta",
        "Quanta",
        tag(
            "noscript",
            tag("p", "The table of quanta needs JavaScript; everything else on this page does not."),
        ),
        tag(
            "div",
            tag(
                "p",
                tag("select", "", id="filter-label", aria_label="Task"),
                tag("select", "", id="filter-status", aria_label="Status"),
                tag(
                    "input",
                    type="search",
                    id="filter-text",
                    placeholder="data ID, such as visit 42",
                    aria_label="Data ID",
                ),
                tag("button", "clear", type="button", id="filter-clear"),
                tag("span", "", id="filter-count", role="status"),
                class_="controls",
            ),
            tag(
                "div",
                tag("div", "", id="head", class_="row head", role="row"),
                tag(
                    "div",
                    tag("div", "", id="spacer"),
                    id="list",
                    tabindex=0,
                    role="grid",
                    aria_label="Quanta",
                ),
                class_="rows",
            ),
            id="quanta-table",
            hidden=True,
        ),
    )
