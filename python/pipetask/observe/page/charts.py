"""Charts as SVG."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from ..facts.attempts import Floats
from ..facts.labels import Distribution
from .colours import label_colour
from .markup import Markup, tag
from .units import duration, ticks

__all__ = ["concurrency_chart", "histogram", "strip"]

WIDTH = 1200
HEIGHT = 160


def svg(width: float, height: float, *content: str | Iterable[str], title: str) -> Markup:
    """Return a picture that fills the width of the page."""
    return tag(
        "svg",
        tag("title", title),
        *content,
        viewbox=f"0 0 {width:g} {height:g}",
        role="img",
    )


def time_axis(span: float, y: float) -> list[Markup]:
    """Return ticks with the time since the beginning."""
    marks = []
    for at in ticks(span):
        x = WIDTH * at / span
        marks.append(tag("line", x1=x, x2=x, y1=0, y2=y, class_="grid"))
        anchor = "start" if x < 20 else "end" if x > WIDTH - 40 else "middle"
        marks.append(tag("text", duration(at), x=x, y=y + 14, text_anchor=anchor))
    return marks


def concurrency_chart(means: Floats, span: float, slots: int) -> Markup:
    """Return how many quanta ran over time, by label, one upon the other.

    Parameters
    ----------
    means
        Mean numbers by label and span of time.
    span
        Seconds from the beginning to the end.
    slots
        How many could run.
    """
    top = max(float(slots), float(means.sum(axis=0).max(initial=0)), 1.0)
    xs = np.linspace(0, WIDTH, means.shape[1] + 1)
    below = np.zeros(means.shape[1])
    areas = []
    for task, each in enumerate(means):
        if each.any():
            shape = _area(xs, HEIGHT * (1 - below / top), HEIGHT * (1 - (below + each) / top))
            areas.append(tag("path", d=shape, fill=label_colour(task)))
        below = below + each
    line = HEIGHT * (1 - slots / top)
    return svg(
        WIDTH,
        HEIGHT + 20,
        time_axis(span, HEIGHT),
        areas,
        tag("line", x1=0, x2=WIDTH, y1=line, y2=line, class_="limit"),
        tag("text", f"{slots} slots", x=WIDTH - 4, y=line + 14, text_anchor="end", class_="count"),
        title="Number of quanta that ran at the same time",
    )


def _area(xs: Floats, low: Floats, high: Floats) -> str:
    """Return the outline of steps between two heights."""
    up = [f"H{right:.1f}V{y:.1f}" for right, y in zip(xs[1:], [*high[1:], low[-1]], strict=True)]
    down = [f"H{left:.1f}V{y:.1f}" for left, y in zip(xs[-2::-1], [*low[-2::-1], high[0]], strict=True)]
    return f"M0 {high[0]:.1f}{''.join(up)}{''.join(down)}Z"


def histogram(values: Distribution, task: int) -> Markup:
    """Return a small histogram, on a logarithmic axis."""
    if not values.bars:
        return Markup("")
    top = max(values.bars)
    bars = [
        tag("rect", x=4 * i, y=20 - h, width=3, height=h)
        for i, count in enumerate(values.bars)
        if (h := max(1.0, 20 * count / top) if count else 0.0)
    ]
    about = (
        f"{values.count} values from {duration(values.edges[0])} to {duration(values.largest)}, logarithmic"
    )
    return tag(
        "svg",
        tag("title", about),
        bars,
        viewbox=f"0 0 {4 * len(values.bars)} 20",
        width=4 * len(values.bars),
        height=20,
        fill=label_colour(task),
        role="img",
    )


def strip(parts: Sequence[tuple[float, float, str]], span: float, title: str) -> Markup:
    """Return a bar of coloured parts along the time of the run.

    Parameters
    ----------
    parts
        Beginning, length and colour of each.
    span
        Seconds from the beginning to the end.
    title
        What it shows.
    """
    scale = WIDTH / span
    bars = [
        tag("rect", x=begin * scale, y=0, width=max(length * scale, 0.3), height=22, fill=colour)
        for begin, length, colour in parts
    ]
    return svg(WIDTH, 42, time_axis(span, 22), bars, title=title)
