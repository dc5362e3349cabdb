"""The graph of tasks, with counts."""

from __future__ import annotations

from collections import Counter

import networkx as nx
import numpy as np

from ...text import cut
from .charts import svg
from .colours import label_colour
from .markup import Markup, join, tag
from .parts import section
from .subject import Subject
from .units import number

__all__ = ["task_graph_section"]

BOX = (170, 40)
GAP = (24, 40)
NAME = 22
"""Number of characters of a label that fit."""


def task_graph_section(subject: Subject) -> Markup:
    """Return the section: a box for each label, and lines with the number of dependencies."""
    network = _network(subject)
    if not network:
        return Markup("")
    places, width, height = _layout(network)
    lines = [_line(places[a], places[b], count) for a, b, count in network.edges(data="count")]
    boxes = [_box(subject, task, *places[task]) for task in network]
    picture = svg(width, height, lines, boxes, title="The graph of tasks")
    return section(
        "graph",
        "Graph of tasks",
        tag("div", picture, class_="wide fixed", style=f"--width:{width}px", tabindex=0),
        tag(
            "p",
            "Numbers at lines are those of dependencies between quanta; lines that follow from others are left out.",
            class_="quiet",
        ),
    )


def _network(subject: Subject) -> nx.DiGraph:
    structure = subject.graph.structure
    network = nx.DiGraph()
    network.add_nodes_from(i for i, label in enumerate(structure.labels) if label in subject.summary.counts)
    tasks = np.repeat(np.arange(len(structure.labels)), structure.counts)
    needed, dependent = structure.edges()
    n = max(1, len(structure.labels))
    pairs, counts = np.unique(tasks[needed] * n + tasks[dependent], return_counts=True)
    for pair, count in zip(pairs.tolist(), counts.tolist(), strict=True):
        if (a := pair // n) != (b := pair % n) and a in network and b in network:
            network.add_edge(a, b, count=count)
    if not nx.is_directed_acyclic_graph(network):  # by an added ordering
        return network
    reduced = nx.transitive_reduction(network)
    reduced.add_edges_from((a, b, network.edges[a, b]) for a, b in list(reduced.edges))
    return reduced


def _layout(network: nx.DiGraph) -> tuple[dict[int, tuple[float, float]], float, float]:
    """Return the upper left corner of each box, in layers from top to bottom, and the size of all."""
    if nx.is_directed_acyclic_graph(network):
        layers = [sorted(layer) for layer in nx.topological_generations(network)]
    else:
        layers = [[task] for task in network]
    across: dict[int, float] = {}
    for layer in layers:
        layer.sort(
            key=lambda task: (np.mean([across[p] for p in network.pred[task] if p in across] or [0]), task)
        )
        across.update({task: i - (len(layer) - 1) / 2 for i, task in enumerate(layer)})
    widest = max(map(len, layers))
    width = widest * (BOX[0] + GAP[0])
    places = {
        task: (width / 2 + across[task] * (BOX[0] + GAP[0]) - BOX[0] / 2, row * (BOX[1] + GAP[1]) + 2.0)
        for row, layer in enumerate(layers)
        for task in layer
    }
    return places, width, len(layers) * (BOX[1] + GAP[1]) - GAP[1] + 4


def _line(start: tuple[float, float], end: tuple[float, float], count: int) -> Markup:
    x1, y1, x2, y2 = start[0] + BOX[0] / 2, start[1] + BOX[1], end[0] + BOX[0] / 2, end[1]
    bend = (y2 - y1) / 2
    shape = f"M{x1:.0f} {y1:.0f}C{x1:.0f} {y1 + bend:.0f} {x2:.0f} {y2 - bend:.0f} {x2:.0f} {y2:.0f}"
    middle = tag(
        "text",
        number(count),
        x=(x1 + x2) / 2,
        y=(y1 + y2) / 2 + 4,
        text_anchor="middle",
        class_="quiet count",
    )
    return join(tag("path", d=shape, class_="edge"), middle)


def _box(subject: Subject, task: int, x: float, y: float) -> Markup:
    label = subject.graph.structure.labels[task]
    counts = subject.summary.counts[label]
    failed = sum(n for status, n in counts.items() if status.is_failure)
    name = cut(label, NAME)
    return tag(
        "a",
        tag("title", f"{label}: {_counted(counts)}"),
        tag("rect", x=x, y=y, width=BOX[0], height=BOX[1], rx=6, class_="box", stroke=label_colour(task)),
        tag("text", name, x=x + BOX[0] / 2, y=y + 17, text_anchor="middle"),
        tag("text", _short(counts, failed), x=x + BOX[0] / 2, y=y + 32, text_anchor="middle", class_="quiet"),
        href=f"#label={task}",
    )


def _short(counts: Counter[object] | object, failed: int) -> Markup:
    total = number(sum(counts.values())) if isinstance(counts, Counter) else ""
    return join(total, tag("tspan", f" · ✕ {number(failed)}", class_="failed") if failed else "")


def _counted(counts: object) -> str:
    assert isinstance(counts, Counter)
    return ", ".join(f"{number(n)} {status.value}" for status, n in counts.items())
