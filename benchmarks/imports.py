"""Tasks that are expensive to import."""

from __future__ import annotations

import multiprocessing
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from pipetask.testing import MockPipeline

from .harness import HERE, OURS, Figure, checked, fresh_copy, median, run_words, scratch, timed_command

__all__ = ["imports"]


def imports(repeat: int) -> Iterator[Figure]:
    """A task package that takes 5 s and 300 MB to import, with eight workers."""
    with scratch() as folder:
        template = folder / "repo"
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            pool.submit(_make, template).result()
        one_import = median(_seconds_of_import() for _ in range(repeat))
        runs = [_first_quantum_and_memory(template, "-j", "8") for _ in range(repeat)]
        _, alone = _first_quantum_and_memory(template, "-j", "1", "--mode", "multiprocess", "--no-preload")
    first = median(seconds for seconds, _ in runs)
    name = "tasks that take 5 s to import, -j 8: first quantum"
    yield Figure(name, first, one_import, "one import", "s", first / one_import, 1.3, at_least=False)
    together = median(memory for _, memory in runs)
    name, against = "… memory of eight workers that is not shared", "one that imports by itself"
    yield Figure(name, together, alone, against, "MB", together / alone, 1.5, at_least=False)


def _make(root: Path) -> None:
    sys.path.insert(0, str(HERE))
    from heavy_task import HeavyTask

    MockPipeline(2, 4, task_classes={"isr": HeavyTask}).make(root)


def _seconds_of_import() -> float:
    return checked(timed_command([sys.executable, "-c", "import heavy_task"])).seconds


def _first_quantum_and_memory(template: Path, *options: str) -> tuple[float, float]:
    """Return the seconds from the start of the command to the first quantum, and MB of all workers together."""
    root = fresh_copy(template)
    (notes := root / "notes").mkdir()
    start = time.time()
    checked(timed_command(run_words(OURS, root, *options), PIPETASK_NOTES=str(notes)))
    read = [path.read_text().split() for path in notes.iterdir()]
    return min(float(when) for when, _ in read) - start, sum(int(memory) for _, memory in read) / 1e6
