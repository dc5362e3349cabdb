"""Measure, and say what was measured."""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

__all__ = ["Bench", "Figure", "Timed", "median", "peer_command", "timed_command"]

HERE = Path(__file__).parent
OURS = [sys.executable, "-m", "pipetask.cli"]


@dataclass(frozen=True)
class Figure:
    """One measured figure, with what it is compared with and what it should reach."""

    name: str
    ours: float
    other: float | None
    against: str
    unit: str
    reached: float
    """The figure that counts: a ratio, or the value itself."""

    wanted: float
    at_least: bool = True
    """Whether larger is better."""

    at: Sequence[tuple[int, float]] = ()
    """For a figure of growth: what each quantum costs in runs of so many."""

    @property
    def ok(self) -> bool:
        return self.reached >= self.wanted if self.at_least else self.reached <= self.wanted

    def row(self) -> list[str]:
        if self.at:
            costs = [f"{_number(cost)} {self.unit} of {quanta:,}" for quanta, cost in self.at]
            return [self.name, costs[0], ", ".join(costs[1:-1]), costs[-1], *self._verdict()]
        other = "" if self.other is None else f"{_number(self.other)} {self.unit}".rstrip()
        return [
            self.name,
            f"{_number(self.ours)} {self.unit}".rstrip(),
            f"{other} ({self.against})" if other else self.against,
            *self._verdict(),
        ]

    def _verdict(self) -> list[str]:
        return [
            f"{self.reached:.3g}" if self.reached < 100 else f"{self.reached:.0f}",
            f"{'≥' if self.at_least else '≤'} {self.wanted:g}",
            "reached" if self.ok else "**missed**",
        ]

    def json(self) -> dict[str, object]:
        return asdict(self) | {"ok": self.ok}


def _number(value: float) -> str:
    return f"{value:.4g}" if value < 10_000 else f"{value:,.0f}"


Bench = Callable[[int], Iterable[Figure]]
"""Takes the number of repetitions."""


@dataclass(frozen=True)
class Timed:
    """A command that ended."""

    seconds: float
    peak_memory: int
    """Largest resident size of the process or any of its children that it waited for, in bytes."""

    code: int
    err: str


def peer_command() -> str:
    """Return LSST's own command."""
    path = os.environ.get("PIPETASK_PEER", str(HERE.parent / ".venv-peer/bin/pipetask"))
    if not Path(path).exists():
        raise SystemExit(f"LSST's pipetask is not at {path}: use `make bench`, or set PIPETASK_PEER.")
    return path


def timed_command(words: list[str], **variables: str) -> Timed:
    """Run a command to its end."""
    # Journals of measured runs are none of the user's.
    state = str(Path(tempfile.gettempdir(), "pipetask-bench-state"))
    environment = {**os.environ, "PYTHONPATH": str(HERE), "XDG_STATE_HOME": state, **variables}
    with tempfile.TemporaryFile("w+") as err:
        start = time.monotonic()
        process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=err, env=environment)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        err.seek(0)
        return Timed(seconds, usage.ru_maxrss * 1024, process.returncode, err.read())


def median(values: Iterable[float]) -> float:
    return statistics.median(values)


@contextmanager
def scratch() -> Iterator[Path]:
    """Give a folder that goes afterwards."""
    with tempfile.TemporaryDirectory(prefix="pipetask-bench-") as folder:
        yield Path(folder)


def fresh_copy(template: Path) -> Path:
    """Copy a repository, so that each run starts from the same; the last copy is removed."""
    copy = template.with_name(template.name + "-copy")
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(template, copy)
    return copy


def run_words(command: list[str], root: Path, *more: str) -> list[str]:
    """Return the command line that both commands understand."""
    graph = str(root / "graph.qg")
    words = [*command, "run", "-b", str(root), "-g", graph, "-o", "u/out", "-i", "input_chain"]
    return [*words, "--register-dataset-types", *more]


def checked(timed: Timed) -> Timed:
    if timed.code != 0:
        raise SystemExit(f"A command to be measured failed:\n{timed.err[-3000:]}")
    return timed
