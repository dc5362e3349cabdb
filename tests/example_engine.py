"""The engine that the guide shows."""

from __future__ import annotations

# [begin example]
import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor

from pipetask import ExecutorEngine


class NiceProcesses(ExecutorEngine):
    """Processes of this machine that let other work go first."""

    is_here = True

    def __init__(self, argument: str | None, workers: int):
        super().__init__(argument, workers)
        self.niceness = int(argument or 10)

    def start(self) -> ProcessPoolExecutor:
        spawn = multiprocessing.get_context("spawn")
        return ProcessPoolExecutor(self.workers, spawn, initializer=os.nice, initargs=(self.niceness,))


# [end example]
