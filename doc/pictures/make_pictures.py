"""Make the pictures of the documentation from a real run: ``python doc/pictures/make_pictures.py``.

A small repository with mock quanta is made in a temporary folder and its graph is executed in two worker processes.
One quantum is told to fail.  In the middle of the run the progress table is drawn, and at the end the report.
"""

from __future__ import annotations

import io
import os
import re
import tempfile
from functools import partial
from pathlib import Path

from rich.console import Console, RenderableType
from rich.text import Text

from pipetask import (
    Activity,
    EnumeratedGraph,
    MultiprocessExecutor,
    OutputOptions,
    PreUpdateOptions,
    QuantumGraphExecutor,
    QuantumOutcome,
    RunOptions,
    Sink,
)
from pipetask.observe.progress_table import ProgressTable
from pipetask.observe.report import debug_command, print_report
from pipetask.observe.tally import Tally
from pipetask.testing import MockPipeline

WIDTH = 100
"""Columns of the terminal in the pictures."""

WORKERS = 2

SPACE = "&#160;"
COLUMN = 12.2
"""Width of a column in rich's SVG, in its units."""

PIPELINE = MockPipeline(
    exposures=12,
    detectors=8,
    configs={
        "isr": {"sleep": 0.06},
        "characterize": {"sleep": 0.12, "fail_condition": "exposure=3 AND detector=5"},
        "gather": {"sleep": 0.2},
    },
)

MIDDLE = 0.6
"""Part of the run after which the progress is drawn, at the first moment at which both workers are busy."""


class Photographer(Sink):
    """Draws the progress table once."""

    drawn = ""

    def begin(self, graph: EnumeratedGraph, totals: dict[str, int], activity: Activity) -> None:
        """Prepare for a run."""
        self._tally = Tally(graph, totals, activity)
        self._left = round(MIDDLE * sum(totals.values()))
        self._activity = activity

    def note(self, outcome: QuantumOutcome) -> None:
        """Count an outcome, and draw if it is time to."""
        self._tally.count(outcome)
        self._left -= 1
        if self._left <= 0 and not self.drawn and len(self._activity.running()) == WORKERS:
            self.drawn = as_terminal_text(ProgressTable(self._tally))


def as_terminal_text(content: RenderableType) -> str:
    """Return what a terminal would get."""
    console = terminal()
    console.print(content)
    return console.file.getvalue()  # type: ignore[attr-defined]


def terminal() -> Console:
    """Return a terminal that only remembers."""
    return Console(
        file=io.StringIO(), force_terminal=True, color_system="truecolor", width=WIDTH, legacy_windows=False
    )


def draw(text: str, title: str, path: Path) -> None:
    """Write what a terminal got as SVG; lines that are too long are folded, as a terminal does."""
    console = Console(
        record=True, width=WIDTH, file=io.StringIO(), color_system="truecolor", force_terminal=True
    )
    for line in Text.from_ansi(text.rstrip()).split("\n", allow_blank=True):
        for part in line.divide(range(WIDTH, len(line), WIDTH)):
            part.rstrip()
            console.print(part, soft_wrap=True)
    svg = console.export_svg(title=title, unique_id=path.stem)
    path.write_text(without_padding(without_foreign_hosts(svg)))
    print(path)


def without_foreign_hosts(svg: str) -> str:
    """Remove the web fonts (a viewer's own monospace font will do) and the comment with an address."""
    svg = re.sub(r"\s*@font-face \{.*?\}", "", svg, flags=re.DOTALL)
    svg = re.sub(r"\s*<!--.*?-->", "", svg, flags=re.DOTALL)
    svg = re.sub(r"Fira Code,\s*monospace", "'DejaVu Sans Mono', Menlo, Consolas, monospace", svg)
    hosts = set(re.findall(r"https?://[^\"' )]+", svg))
    assert hosts == {"http://www.w3.org/2000/svg"}, hosts
    return re.sub(r"[ \t]+$", "", svg, flags=re.MULTILINE)


def without_padding(svg: str) -> str:
    """Replace spaces at the ends of texts by positions, because some viewers drop them."""
    return re.sub(
        r' x="([\d.]+)" y="([\d.]+)" textLength="([\d.]+)"([^>]*)>((?:&#160;)*)(.*?)((?:&#160;)*)</text>',
        _moved,
        svg,
    )


def _moved(match: re.Match[str]) -> str:
    x, y, length, more, before, text, after = match.groups()
    first, last = len(before) // len(SPACE), len(after) // len(SPACE)
    start, width = float(x) + first * COLUMN, float(length) - (first + last) * COLUMN
    return f' x="{start:g}" y="{y}" textLength="{width:g}"{more}>{text}</text>'


def main() -> None:
    """Run, and write both pictures beside this file."""
    here = Path(__file__).parent.resolve()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        PIPELINE.make(Path("repo"), output="u/me/out", run="u/me/out/run1")
        options = RunOptions(
            collections=OutputOptions(output="u/me/out", inputs=("input_chain",)),
            pre_update=PreUpdateOptions(register_dataset_types=True),
        )
        photographer = Photographer()
        executor = QuantumGraphExecutor(MultiprocessExecutor(WORKERS), "repo", options, [photographer])
        summary = executor.execute("repo/graph.qg")
        console = terminal()
        print_report(console, summary, partial(debug_command, "repo", "repo/graph.qg"))
        report = console.file.getvalue()  # type: ignore[attr-defined]
        os.chdir(here)
    draw(photographer.drawn, "pipetask run … -j 2", here / "progress.svg")
    draw(report.replace(os.path.realpath(folder), "/data"), "pipetask run … -j 2", here / "report.svg")


if __name__ == "__main__":
    main()
