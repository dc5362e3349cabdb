"""Run the benchmarks: ``python -m benchmarks [--repeat N] [--json FILE] [--write-docs] [NAME …]``."""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import sys
import time
from pathlib import Path
from typing import Any

from . import commands, condor, growth, imports, inside
from .harness import Bench, Figure

BENCHES: dict[str, Bench] = {
    "parallel_180": commands.parallel_180,
    "serial_1050": commands.serial_1050,
    "scaling_1050": commands.scaling_1050,
    "dispatch": inside.dispatch,
    "own_time": inside.own_time,
    "large_graph": commands.large_graph,
    "enumeration": inside.enumeration,
    "sleepers": commands.sleepers,
    "durability": commands.durability,
    "imports": imports.imports,
    "help_texts": commands.help_texts,
    "condor_writing": condor.condor_writing,
    "condor_status": condor.condor_status,
    "condor_90": condor.condor_90,
    "growth": growth.growth,
}

HEADINGS = ["what", "ours", "against", "reached", "wanted", ""]
GROWTH_HEADINGS = ["what each costs", "in the smallest run", "", "in the largest run", "ratio", "wanted", ""]
ROOT = Path(__file__).parent.parent


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"which of {', '.join(BENCHES)} (default: all)"
    )
    parser.add_argument("--repeat", type=int, default=3, help="runs of each command; medians are reported")
    parser.add_argument("--json", type=Path, help="also write the figures to a file")
    parser.add_argument(
        "--write-docs", action="store_true", help="put the table into README.md and doc/figures.md"
    )
    parser.add_argument("--merge", type=Path, help="a file of --json, whose other figures are kept")
    options = parser.parse_args()
    figures = measure(options.names or list(BENCHES), options.repeat)
    if options.merge:
        figures = merged(json.loads(options.merge.read_text())["figures"], figures)
    print("\n" + "\n\n".join(tables(figures)))
    if options.json:
        content = {"machine": machine(), "figures": [figure.json() for figure in figures]}
        options.json.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n")
    if options.write_docs:
        write_docs(figures, options.repeat)
    return 0


def measure(names: list[str], repeat: int) -> list[Figure]:
    figures = []
    for name in names:
        if name not in BENCHES:
            raise SystemExit(f"There is no benchmark {name!r}; there are {', '.join(BENCHES)}.")
        start = time.monotonic()
        for figure in BENCHES[name](repeat):
            print(" | ".join(figure.row()), flush=True)
            figures.append(figure)
        print(f"({name} took {time.monotonic() - start:.0f} s)", file=sys.stderr)
    return figures


def merged(old: list[dict[str, Any]], new: list[Figure]) -> list[Figure]:
    """Return old figures, in their order, with those that were measured anew."""
    names = {figure.name: figure for figure in new}
    kept = [Figure(**{key: value for key, value in row.items() if key != "ok"}) for row in old]
    return [names.pop(figure.name, figure) for figure in kept] + list(names.values())


def table(figures: list[Figure], headings: list[str] = HEADINGS) -> str:
    rows = [headings, ["---"] * len(headings), *(figure.row() for figure in figures)]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def tables(figures: list[Figure]) -> tuple[str, str]:
    """Return the table of figures, and that of growth."""
    others, growing = ([f for f in figures if bool(f.at) is wanted] for wanted in (False, True))
    return table(others), table(growing, GROWTH_HEADINGS)


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
    compared, grown = tables(figures)
    text = f"{compared}\n\n{made}"
    (ROOT / "doc/figures.md").write_text(f"# Figures\n\n{text}\n\n## Growth\n\n{grown}\n{notes()}")
    readme = ROOT / "README.md"
    pattern = re.compile(r"(<!-- figures:begin -->\n).*?(<!-- figures:end -->)", re.DOTALL)
    readme.write_text(pattern.sub(lambda match: f"{match[1]}{text}\n{match[2]}", readme.read_text()))


def notes() -> str:
    path = ROOT / "doc/figures_notes.md"
    return f"\n{path.read_text()}" if path.exists() else ""


if __name__ == "__main__":
    sys.exit(main())
