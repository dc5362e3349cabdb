"""Run the benchmarks: ``python -m benchmarks [--repeat N] [--json FILE] [--write-docs] [NAME …]``."""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from .harness import Figure
from .running import BENCHES, measure

HEADINGS = ["what", "ours", "against", "reached", "wanted", "", "measured"]
GROWTH_HEADINGS = [
    "what each costs",
    "in the smallest run",
    "",
    "in the largest run",
    "ratio",
    "wanted",
    "",
    "measured",
]
ROOT = Path(__file__).parent.parent

LSST = re.compile(r"(?P<value>.+) \((?:LSST's|bps).*\)")
"""What a figure says that is compared with one of LSST's commands."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"which of {', '.join(BENCHES)} (default: all)"
    )
    parser.add_argument("--repeat", type=int, default=3, help="runs of each command; medians are reported")
    parser.add_argument("--json", type=Path, help="also write the figures to a file")
    parser.add_argument(
        "--write-docs",
        action="store_true",
        help="put the figures into doc/figures.md, and those that compare with LSST into README.md; other rows stay",
    )
    options = parser.parse_args()
    figures, failed = measure(options.names or list(BENCHES), options.repeat)
    print("\n" + "\n\n".join(tables(figures)))
    if options.json:
        content = {"machine": machine(), "figures": [figure.json() for figure in figures]}
        options.json.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n")
    if options.write_docs:
        write_docs(figures, options.repeat)
    if failed:
        print(f"These failed, see above: {', '.join(failed)}.", file=sys.stderr)
    return 1 if failed else 0


def tables(figures: list[Figure], kept: dict[str, list[str]] | None = None) -> tuple[str, str]:
    """Return the table of figures, and that of growth, each with the rows that are kept."""
    today = datetime.now(UTC).date().isoformat()
    rows = dict(kept or {})
    rows |= {figure.name: [*figure.row(), today] for figure in figures}
    compared, grown = (
        [row for row in rows.values() if len(row) == len(h)] for h in (HEADINGS, GROWTH_HEADINGS)
    )
    return _table(HEADINGS, compared), _table(GROWTH_HEADINGS, grown)


def _table(headings: list[str], rows: list[list[str]]) -> str:
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def rows_of(page: str) -> dict[str, list[str]]:
    """Return the rows of figures of the page that `write_docs` writes, by name, as they stand there."""
    text, _, _ = page.partition("\n## Faults")
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {row[0]: row for row in rows if row not in (HEADINGS, GROWTH_HEADINGS) and row[0] != "---"}


def machine() -> str:
    from importlib.metadata import version

    return (
        f"{os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}, "
        f"lsst-pipe-base {version('lsst-pipe-base')}, lsst-daf-butler {version('lsst-daf-butler')}"
    )


def write_docs(figures: list[Figure], repeat: int) -> None:
    made = (
        f"Measured on {machine()}; medians of {repeat} runs or more, side by side (LSST's commands at 82,000 "
        "quanta and on HTCondor: one run); `make bench` repeats the measurement."
    )
    page = ROOT / "doc/figures.md"
    compared, grown = tables(figures, rows_of(page.read_text()))
    text = f"{compared}\n\n{made}"
    growth = f"## Growth\n\n{grown}\n" if grown.count("\n") > 1 else ""
    page.write_text(f"# Figures\n\n{text}\n\n{growth}{notes()}")
    readme = ROOT / "README.md"
    pattern = re.compile(r"(<!-- figures:begin -->\n).*?(<!-- figures:end -->)", re.DOTALL)
    short = headlines(rows_of(page.read_text()).values())
    readme.write_text(pattern.sub(lambda match: f"{match[1]}{short}\n{match[2]}", readme.read_text()))


def headlines(rows: Iterable[list[str]]) -> str:
    """Return the table of the README: the figures that compare with a command of LSST's."""
    found = [(row, LSST.fullmatch(row[2])) for row in rows if len(row) == len(HEADINGS)]
    lines = [
        [row[0], row[1], match["value"], f"{_amount(match['value']) / _amount(row[1]):,.0f}"]
        for row, match in found
        if match is not None
    ]
    return _table(["what", "pipetask", "LSST's command", "times"], lines)


def _amount(cell: str) -> float:
    return float(cell.split()[0].replace(",", ""))


def notes() -> str:
    path = ROOT / "doc/figures_notes.md"
    return f"\n{path.read_text()}" if path.exists() else ""


if __name__ == "__main__":
    sys.exit(main())
