"""Several runs side by side as a page: the tables, and a chart of each number over the runs.  It has no script."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib.resources import files

from ..page.charts import WIDTH, svg
from ..page.colours import FAILED, label_colour
from ..page.markup import Markup, join, tag
from ..page.units import duration, moment, number, size
from .changes import MEASURES, Change, History, percent_text

__all__ = ["history_page"]

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"

_HEIGHT = 90
"""Of a chart."""

_TEXTS: Sequence[Callable[[float], str]] = (duration, duration, size, size)
"""How each of the measures is written."""


def history_page(history: History) -> str:
    """Return the page: one HTML text that needs nothing else.

    Parameters
    ----------
    history
        The runs.
    """
    first, last = history.runs[0], history.runs[-1]
    title = f"{len(history.runs)} runs, {moment(first.start)[:10]} to {moment(last.start)[:10]}"
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        Markup(f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}"/>'),
        tag("meta", name="viewport", content="width=device-width"),
        tag("title", title),
        tag("style", Markup(files("pipetask.observe.page").joinpath("page.css").read_text(encoding="utf-8"))),
    )
    body = tag("body", tag("main", tag("h1", title), _verdict(history), _runs(history), _labels(history)))
    return join(Markup("<!DOCTYPE html>\n"), tag("html", head, body, lang="en"), Markup("\n"))


def _verdict(history: History) -> Markup:
    worse = list(history.worse())
    if not worse:
        return tag(
            "p", "Nothing is worse in the last run than in the one before.", class_="verdict succeeded"
        )
    text = f"Worse in {history.runs[-1].name}:"
    return join(tag("p", text, class_="verdict"), tag("ul", [tag("li", each) for each in worse]))


def _runs(history: History) -> Markup:
    numbers = range(len(history.runs))
    rows = [
        [
            tag("td", run.name),
            tag("td", moment(run.start)),
            *_cells(history.duration(n), duration),
            tag("td", number(run.quanta), class_="n"),
            *_cells(history.failed(n), _whole),
            tag("td", run.outcome, class_="" if run.outcome == "succeeded" else "failed"),
        ]
        for n, run in enumerate(history.runs)
    ]
    changes = [history.duration(n) for n in numbers]
    headings = ("run", "started", "duration", "change", "quanta", "failed", "", "ended")
    return _section("Runs", _chart(changes, duration, 0, "Duration"), headings, rows)


def _labels(history: History) -> Iterator[Markup]:
    for task, label in enumerate(history.labels):
        runs = [n for n, run in enumerate(history.runs) if label in run.labels]
        measures = [history.measures(n, label) for n in runs]
        rows = [
            [
                tag("td", history.runs[n].name),
                tag("td", number(history.runs[n].labels[label].quanta), class_="n"),
                *_cells(history.failed(n, label), _whole),
                *(cell for change, text in zip(mine, _TEXTS, strict=True) for cell in _cells(change, text)),
            ]
            for n, mine in zip(runs, measures, strict=True)
        ]
        pairs = [heading for measure in MEASURES for heading in (measure, "change")]
        chart = _chart([mine[0] for mine in measures], duration, task, f"{MEASURES[0]} of {label}")
        yield _section(label, chart, ("run", "quanta", "failed", "", *pairs), rows)


def _section(title: str, chart: Markup, headings: Iterable[str], rows: Iterable[Iterable[str]]) -> Markup:
    head = tag("tr", [tag("th", heading, scope="col") for heading in headings])
    table = tag("table", tag("thead", head), tag("tbody", [tag("tr", row) for row in rows]))
    return tag("section", tag("h2", title), chart, tag("div", table, class_="wide"))


def _cells(change: Change, text: Callable[[float], str]) -> tuple[Markup, Markup]:
    """Return a number, and its change; what is worse has a colour and a mark."""
    value = "" if change.value is None else text(change.value)
    mark = f"{'' if change.any_more else percent_text(change)}{' !' if change.is_worse else ''}"
    return tag("td", value, class_="n"), tag("td", mark, class_="n failed" if change.is_worse else "n quiet")


def _whole(value: float) -> str:
    return number(int(value))


def _chart(changes: Sequence[Change], text: Callable[[float], str], task: int, title: str) -> Markup:
    """Return a line over the runs, from zero; a run that is worse has a square instead of a dot."""
    known = [(n, change) for n, change in enumerate(changes) if change.value is not None]
    if len(known) < 2:
        return Markup("")
    top = max(change.value or 0.0 for _, change in known) or 1.0
    step = (WIDTH - 40) / max(1, len(changes) - 1)
    points = [(20 + n * step, _HEIGHT - 4 - (_HEIGHT - 24) * (c.value or 0.0) / top, c) for n, c in known]
    line = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y, _ in points)
    return svg(
        WIDTH,
        _HEIGHT,
        tag("line", x1=0, x2=WIDTH, y1=_HEIGHT - 4, y2=_HEIGHT - 4, class_="grid"),
        tag("path", d=line, fill="none", stroke=label_colour(task), stroke_width=2),
        [_dot(x, y, label_colour(task), change) for x, y, change in points],
        tag("text", f"{title}, up to {text(top)}", x=4, y=12, class_="quiet"),
        title=title,
    )


def _dot(x: float, y: float, colour: str, change: Change) -> Markup:
    if change.is_worse:
        return tag("rect", x=x - 5, y=y - 5, width=10, height=10, fill=FAILED)
    return tag("circle", cx=x, cy=y, r=4, fill=colour)
