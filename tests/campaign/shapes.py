"""Graphs that are disturbed: repositories that are made once and copied, with what an undisturbed run leaves."""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from campaign.tasks import SaboteurTask
from pipetask.testing import MockPipeline

__all__ = ["SHAPES", "Shape", "made_once"]


@dataclass(frozen=True)
class Shape:
    """A graph, and what is in the repository beside it."""

    exposures: int
    detectors: int
    old_chain: bool = False
    """Whether the output collection is there already, with an older run."""

    @property
    def quanta(self) -> int:
        """Number of quanta."""
        return self.exposures * (2 * self.detectors + 1)

    def make(self, root: Path) -> None:
        """Make the repository; the graph is ``graph.qg`` in it."""
        labels = ("isr", "characterize", "gather")
        MockPipeline(self.exposures, self.detectors, task_classes=dict.fromkeys(labels, SaboteurTask)).make(
            root
        )
        if self.old_chain:
            from lsst.daf.butler import Butler, CollectionType

            with Butler.from_config(str(root), writeable=True) as butler:
                butler.registry.registerRun("u/out/older")
                butler.registry.registerCollection("u/out", CollectionType.CHAINED)
                butler.collections.redefine_chain("u/out", ["u/out/older", "input_run"])


SHAPES = {
    "chain": Shape(1, 1),
    "grid": Shape(2, 3),
    "grid with older run": Shape(2, 2, old_chain=True),
    "wide": Shape(1, 10),
    "tall": Shape(8, 1),
}


def made_once(folder: Path, make: Callable[[Path], None]) -> Path:
    """Make a folder unless another process has."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            unfinished = folder.with_name(f"{folder.name}-unfinished")
            shutil.rmtree(unfinished, ignore_errors=True)
            make(unfinished)
            unfinished.rename(folder)
    return folder
