"""The two critical paths."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from ..facts.paths import Step, Wait
from .charts import strip
from .colours import label_colour
from .markup import Markup, join, tag
from .parts import label_mark, quantum_link, section, table
from .subject import Subject
from .units import duration, number, percent

__all__ = ["paths_section"]

MOST_ROWS = 50
"""Rows of a table; longer ones have the rows that take longest."""

MOST_PARTS = 2000
"""Parts of the strip."""


@dataclass(frozen=True)
class _Stretch:
    """Steps of a chain of waits, one after the other, that are of one label and waited for the same."""

    steps: Sequence[Step]
    task: int
    waited_for: Wait
    seconds: float
    gap: float


def paths_section(subject: Subject) -> Markup:
    """Return the section; nothing if nothing was run."""
    if not len(subject.facts.attempts):
        return Markup("")
    return section("paths", "Critical path", _waits(subject), _chain(subject))


def _waits(subject: Subject) -> Markup:
    facts = subject.facts
    rows, steps = facts.attempts, facts.chain_of_waits
    running, gaps = sum(float(rows.seconds[s.row]) for s in steps), sum(s.gap for s in steps)
    longest = sorted(steps, key=lambda s: -float(rows.seconds[s.row]))[:MOST_PARTS]
    parts = [
        (
            float(rows.start[s.row] - facts.begin),
            float(rows.seconds[s.row]),
            label_colour(int(rows.task[s.row])),
        )
        for s in longest
    ]
    text = (
        "What the last quantum waited for, and what that waited for, back to the beginning: "
        f"{number(len(steps))} quanta that ran for {duration(running)}, and {duration(gaps)} between them."
    )
    return join(
        tag("h3", "The chain of actual waits"),
        tag("p", text, id="chain-of-waits"),
        strip(parts, max(facts.end - facts.begin, 1e-9), "The chain of waits along the time of the run"),
        _sums(subject, steps),
        tag("details", tag("summary", "The steps of the chain"), _steps(subject, steps)),
    )


def _sums(subject: Subject, steps: Sequence[Step]) -> Markup:
    """Return a table of how long each label was on the chain, and what it waited for."""
    rows, sums = subject.facts.attempts, dict[tuple[int, Wait], list[float]]()
    for step in steps:
        each = sums.setdefault((int(rows.task[step.row]), step.waited_for), [0, 0.0, 0.0])
        for i, value in enumerate((1, float(rows.seconds[step.row]), step.gap)):
            each[i] += value
    ranked = sorted(sums.items(), key=lambda item: -item[1][1] - item[1][2])
    cells = [
        [
            label_mark(task, subject.graph.structure.labels[task]),
            wait.value,
            number(int(count)),
            duration(seconds),
            duration(gap),
        ]
        for (task, wait), (count, seconds, gap) in ranked
    ]
    return table(["task", "waited for", "quanta", "ran", "until started"], cells[:MOST_ROWS], words=2)


def _steps(subject: Subject, steps: Sequence[Step]) -> Markup:
    starts, stretches = subject.facts.attempts.start, list(_stretches(subject, steps))
    shown = sorted(stretches, key=lambda s: -s.seconds - s.gap)[:MOST_ROWS]
    shown.sort(key=lambda s: float(starts[s.steps[0].row]))
    cells = [
        [
            label_mark(s.task, subject.graph.structure.labels[s.task]),
            _first(subject, s),
            s.waited_for.value,
            number(len(s.steps)),
            duration(s.seconds),
            duration(s.gap),
        ]
        for s in shown
    ]
    headings = ["task", "first quantum", "waited for", "quanta", "ran", "until started"]
    return join(table(headings, cells, words=3), _left(len(stretches) - len(shown)))


def _stretches(subject: Subject, steps: Sequence[Step]) -> Iterator[_Stretch]:
    rows = subject.facts.attempts
    for (task, wait), each in groupby(steps, key=lambda s: (int(rows.task[s.row]), s.waited_for)):
        group = list(each)
        seconds = sum(float(rows.seconds[s.row]) for s in group)
        yield _Stretch(group, task, wait, seconds, sum(s.gap for s in group))


def _first(subject: Subject, stretch: _Stretch) -> Markup:
    position = int(subject.facts.attempts.position[stretch.steps[0].row])
    return quantum_link(position, subject.data_id_at(position))


def _chain(subject: Subject) -> Markup:
    facts, chain = subject.facts, subject.facts.longest_chain
    structure, seconds = facts.structure, facts.seconds
    longest = sorted(range(len(chain.positions)), key=lambda i: -seconds[chain.positions[i]])[:MOST_ROWS]
    rows = []
    for index in sorted(longest):
        position = chain.positions[index]
        task = structure.task_index(position)
        taken = float(seconds[position])
        name = quantum_link(position, subject.data_id_at(position))
        rows.append(
            [label_mark(task, structure.labels[task]), name, duration(taken), percent(taken, chain.seconds)]
        )
    took = facts.end - facts.begin
    text = (
        f"The chain of dependencies that takes longest: {number(len(chain.positions))} quanta, "
        f"{duration(chain.seconds)} of the {duration(took)} of the run. "
        "No number of slots makes the run shorter than that."
    )
    return join(
        tag("h3", "The longest chain of dependencies"),
        tag("p", text, id="longest-chain"),
        table(["task", "quantum", "took", "of the chain"], rows, words=2),
        _left(len(chain.positions) - len(rows)),
    )


def _left(rows: int) -> Markup:
    return tag("p", f"{number(rows)} shorter rows are left out.", class_="quiet") if rows > 0 else Markup("")
