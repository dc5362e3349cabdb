"""The process that starts the pilots of a run: ``python -m pipetask.testing.local_batch.pilots RUN_DIR``."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from ...batch.node_commands import pilot_arguments
from ...batch.pilots.following import Rest, rest_of
from ...batch.pilots.places import last_round, write_round
from ...batch.run_directory import RunDirectory
from ...batch.status import NodeState
from .driver import TICK, Driver, main
from .jobs import Job

__all__ = ["PilotDriver"]


class PilotDriver(Driver):
    """Starts pilots, and others if they leave something."""

    _number = 0

    def _run_nodes(self) -> None:
        memory = max([self._settings.memory, *self._memory.values()])
        walltime = self._settings.walltime
        for _ in range(self._settings.attempts):
            for _ in range(self._settings.pilots):
                self._start_pilot(memory, walltime)
            while self._jobs and not self._stopped:
                self._start_added(memory, walltime)
                self._look_at_pilots()
                time.sleep(TICK)
            rest = Rest() if self._stopped else rest_of(last_round(self._path))
            if not rest.terms:
                return
            memory = max(memory, 2 * rest.memory)
            walltime = walltime and (2 * walltime if rest.seconds else walltime)
            with RunDirectory(self._path).index() as index:
                write_round(self._path, index, rest.terms, rest.terms)

    def _start_pilot(self, memory: int, walltime: float | None) -> None:
        self._number += 1
        name, end = f"pilot-{self._number}", None if walltime is None else time.time() + walltime
        words = pilot_arguments(self._path)
        self._jobs[name] = Job(self._path, name, 1, memory, None, None, end, words)
        self._set(name, NodeState.RUNNING)

    def _start_added(self, memory: int, walltime: float | None) -> None:
        for path in self._journal.added.iterdir():
            asked = path.read_text()
            path.unlink()
            self._start_pilot(int(asked) if asked else memory, walltime)

    def _look_at_pilots(self) -> None:
        for name, job in list(self._jobs.items()):
            if (code := job.exit_code()) is not None:
                del self._jobs[name]
                self._set(name, NodeState.after(code))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), PilotDriver))
