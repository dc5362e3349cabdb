"""Two versions of pipetask in turn: ``python -m benchmarks.versions CHECKOUT [--repeat N]``.

CHECKOUT is another version's working tree; both run with this interpreter and its packages.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from itertools import count
from pathlib import Path

from pipetask.testing import MockPipeline

from .harness import HERE, OURS, checked, fresh_copy, median, run_words, scratch, timed_command
from .large_file import write_large_file

MOST = 1.05
"""What a row may take, in terms of the other version."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.versions", description=__doc__)
    parser.add_argument("checkout", type=Path)
    parser.add_argument("--repeat", type=int, default=5)
    options = parser.parse_args()
    trees = [options.checkout.resolve(), HERE.parent]
    print("| command | other | this | ratio |\n| --- | --- | --- | --- |")
    with scratch() as folder:
        for name, words in _commands(folder):
            taken: list[list[float]] = [[], []]
            for _ in range(options.repeat):
                for tree, values in zip(trees, taken, strict=True):
                    values.append(_seconds(tree, words()))
            other, this = map(median, taken)
            verdict = "" if this <= MOST * other else " **slower**"
            print(f"| {name} | {other:.3f} s | {this:.3f} s | {this / other:.2f}{verdict} |", flush=True)


def _commands(folder: Path) -> list[tuple[str, Callable[[], list[str]]]]:
    """Return commands to be timed, each with what prepares a run of it and returns its words."""
    parallel, serial, large = (folder / name for name in ("parallel", "serial", "large"))
    MockPipeline(exposures=20, detectors=4).make(parallel)
    MockPipeline(exposures=50, detectors=10).make(serial)
    quanta, numbers = write_large_file(large, 2_000, 20), count()

    def write() -> list[str]:
        run_dir = folder / f"batch-{next(numbers)}"
        return run_words(
            OURS, fresh_copy(large), "--mode", "condor", "--no-submit", "--run-dir", str(run_dir)
        )

    return [
        ("`pipetask run --help`", lambda: [*OURS, "run", "--help"]),
        ("180 small quanta, -j 2", lambda: run_words(OURS, fresh_copy(parallel), "-j", "2")),
        ("1,050 small quanta, -j 1", lambda: run_words(OURS, fresh_copy(serial), "-j", "1")),
        ("1,050 small quanta, -j 2", lambda: run_words(OURS, fresh_copy(serial), "-j", "2")),
        (f"{quanta:,} quanta as an HTCondor DAG", write),
    ]


def _seconds(tree: Path, words: list[str]) -> float:
    path = os.pathsep.join([str(tree / "python"), str(HERE)])
    return checked(timed_command(words, PYTHONPATH=path)).seconds


if __name__ == "__main__":
    main()
