"""The process that runs the nodes of a run: ``python -m pipetask.testing.local_batch.driver RUN_DIR``."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Any

from ...batch.exit_codes import FINAL_CODES, ExitCode
from ...batch.index import IndexedNode
from ...batch.names import FINAL, FIRST
from ...batch.run_directory import RunDirectory
from ...batch.status import ENDED, NodeState, RunPhase
from .jobs import Job
from .journal import Journal
from .losses import Loss, LossKind

__all__ = ["TICK", "Driver", "main"]

TICK = 0.02
"""Seconds between two looks at jobs."""


class Driver:
    """Runs what is not done of a run.

    Parameters
    ----------
    path
        The run directory.
    """

    def __init__(self, path: Path):
        self._path = path
        self._journal = Journal(path)
        self._settings = self._journal.settings()
        self._stopped = False
        self._states: dict[str, NodeState] = {}
        self._memory: dict[str, int] = {}
        self._walltime: dict[str, float] = {}
        self._attempts: dict[str, int] = {}
        self._counted: Counter[str] = Counter()
        self._jobs: dict[str, Job] = {}
        for event in self._journal.news():
            if event.get("run") == RunPhase.RUNNING.value:  # the last one is what started this driver
                self._states = dict.fromkeys(event["done"], NodeState.DONE)
                self._memory = event["memory"]
        with RunDirectory(path).index() as index:
            self._nodes = list(index.nodes())
        self._names = [node.name for node in self._nodes]

    def run(self) -> RunPhase:
        """Run all nodes whose turn comes, and the final one in any case."""
        signal.signal(signal.SIGTERM, self._stop)
        begun = not self._settings.first or self._run_alone(FIRST) is NodeState.DONE
        if begun:
            self._run_nodes()
        for name, job in list(self._jobs.items()):
            job.kill()
            del self._jobs[name]
            self._set(name, NodeState.FAILED)
        registered = self._run_alone(FINAL) is NodeState.DONE
        if self._stopped:
            return RunPhase.CANCELLED
        return RunPhase.SUCCEEDED if registered else RunPhase.FAILED

    def _run_nodes(self) -> None:
        while not self._stopped:
            self._start_what_can_begin()
            if not self._jobs:
                break
            self._look_at_jobs()
            time.sleep(TICK)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self._stopped = True

    def _run_alone(self, name: str) -> NodeState:
        """Run the first or the final node; these are not killed when the run is cancelled."""
        while self._states.get(name) not in ENDED:
            if name not in self._jobs:
                self._start(name)
            self._look_at_jobs()
            time.sleep(TICK)
        return self._states[name]

    def _start_what_can_begin(self) -> None:
        for node in self._nodes:
            if len(self._jobs) >= self._settings.slots:
                return
            if node.name not in self._jobs and self._states.get(node.name) not in ENDED:
                self._start_or_block(node)

    def _start_or_block(self, node: IndexedNode) -> None:
        before = [self._states.get(self._names[number], NodeState.WAITING) for number in node.needs]
        if not all(state in ENDED for state in before):
            return
        # Of a job that never was there will be no outcomes that its dependents could look for.
        refused = any(self._is_refused(self._names[number]) for number in node.needs)
        strict = not self._settings.shared and any(state is not NodeState.DONE for state in before)
        if refused or strict:
            self._set(node.name, NodeState.BLOCKED)
        else:
            self._start(node.name)

    def _is_refused(self, name: str) -> bool:
        """Return whether a node never got into the queue, or waits for one."""
        return self._states.get(name) in (NodeState.FAILED, NodeState.BLOCKED) and name not in self._attempts

    def _start(self, name: str) -> None:
        loss = self._loss(name, self._attempts.get(name, 0) + 1)
        if loss is not None and loss.kind is LossKind.NEVER_STARTED:
            self._set(name, NodeState.FAILED, why="it was lost on purpose")
            return
        self._attempts[name] = self._attempts.get(name, 0) + 1
        memory = self._memory.setdefault(name, self._settings.memory)
        part = None if self._settings.shared or name in (FIRST, FINAL) else self._settings.parts[name]
        end = None
        if self._settings.walltime is not None and name not in (FIRST, FINAL):
            end = time.time() + self._walltime.setdefault(name, self._settings.walltime)
        self._jobs[name] = Job(self._path, name, self._attempts[name], memory, part, loss, end)
        self._set(name, NodeState.RUNNING)

    def _loss(self, name: str, attempt: int) -> Loss | None:
        losses = (each for each in self._settings.losses if (each.node, each.attempt) == (name, attempt))
        return next(losses, None)

    def _look_at_jobs(self) -> None:
        for name, job in list(self._jobs.items()):
            if (code := job.exit_code()) is not None:
                del self._jobs[name]
                self._ended(name, None if job.is_forgotten else code)

    def _ended(self, name: str, code: int | None) -> None:
        """Make another attempt at a node, if the exit code of its job says so and there may be one."""
        self._counted[name] += code != ExitCode.UNFINISHED
        final = code in FINAL_CODES or self._counted[name] >= self._settings.attempts
        if final:
            self._set(name, NodeState.after(code))
            return
        if code == ExitCode.OUT_OF_MEMORY:
            self._memory[name] *= 2
        if code == ExitCode.OUT_OF_TIME:
            self._walltime[name] *= 2
        self._set(name, NodeState.IDLE)
        if not self._stopped or name == FINAL:
            self._start(name)

    def _set(self, name: str, state: NodeState, **more: Any) -> None:
        self._states[name] = state
        self._journal.note(node=name, state=state.value, **more)


def main(path: Path, driver: type[Driver] = Driver) -> int:
    """Run a run, and write down how it ended."""
    journal = Journal(path)
    try:
        phase = driver(path).run()
    except BaseException:
        journal.note(run=RunPhase.FAILED.value)
        raise
    journal.note(run=phase.value)
    return os.EX_OK


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
