"""What came of many seeds, by kind of fault."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from campaign.faults import FAULTS
from campaign.harness import Result

__all__ = ["report", "rows", "text", "write_docs"]

PAGES = [Path(__file__).parents[2] / "doc" / name for name in ("figures.md", "figures_notes.md")]
"""The second becomes a part of the first when other figures are measured again."""

MARKS = re.compile(r"(<!-- faults:begin -->\n)\n?.*?\n?(<!-- faults:end -->)", re.DOTALL)


def rows(results: Iterable[Result]) -> list[tuple[str, int, int, int, int]]:
    """Return how many seeds each fault has, and in how many it struck, was repeated after, and went wrong."""
    by_kind: defaultdict[str, list[Result]] = defaultdict(list)
    for result in results:
        by_kind[result.kind].append(result)
    return [
        (
            kind,
            len(by_kind[kind]),
            sum(result.struck for result in by_kind[kind]),
            sum(result.repeated for result in by_kind[kind]),
            sum(bool(result.complaints) for result in by_kind[kind]),
        )
        for kind in FAULTS
        if kind in by_kind
    ]


def text(results: list[Result]) -> str:
    """Return the table."""
    table = _table(results)
    width = max(len(str(row[0])) for row in table)
    return "\n".join(
        f"{row[0]!s:{width}}" + "".join(f"{column!s:>10}" for column in row[1:]) for row in table
    )


def write_docs(results: list[Result]) -> None:
    """Put the table into the pages of the documentation between the marks for it."""
    heads, *table = _table(results)
    lines = [_markdown(heads), "| --- |" + " --- |" * 4, *map(_markdown, table)]
    for page in PAGES:
        content = MARKS.sub(lambda match: "\n".join([match[1], *lines, match[2]]), page.read_text())
        page.write_text(content)


def _table(results: list[Result]) -> list[tuple[object, ...]]:
    table = rows(results)
    total = ("all", *(sum(row[column] for row in table) for column in range(1, 5)))
    return [("fault", "runs", "struck", "repeated", "wrong"), *table, total]


def _markdown(row: tuple[object, ...]) -> str:
    return "| " + " | ".join(map(str, row)) + " |"


def report(result: Result) -> str:
    """Return what came of one seed, and how to run it again."""
    codes = ", ".join(map(str, result.codes))
    verdict = "wrong" if result.complaints else "right" if result.struck else "missed"
    where = f"{result.model}, {result.shape}, {result.moment}"
    lines = [f"{result.seed:>6}  {verdict:6}  {result.seconds:5.1f} s  {result.kind} ({where}): {codes}"]
    if result.complaints:
        lines += result.complaints
        lines += [f"its folder: {result.folder}", f"again: make campaign SEEDS={result.seed}"]
    return "\n        ".join(lines)
