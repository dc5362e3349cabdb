"""Runs of graphs without content, whose quanta are functions: for all that has nothing to do with a butler.

``python -m condor.plain_runs FILE`` submits one in the pool's world.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import htcondor2

from pipetask import BatchExecutor, BatchOptions, CondorOptions, CondorSystem
from pipetask.batch.ledger import Ledger
from pipetask.batch.run_directory import RunDirectory
from pipetask.errors import PipetaskError
from pipetask.executors.base import ExecutionContext
from pipetask.outcome import Status
from pipetask.testing import CallSpec, enumerated
from pipetask.testing.plain_runs import wait_until
from toy_work import Recorder

from condor.pool import Pool  # isort: skip
from conftest import Finished  # isort: skip

RELEASE_SLOTS = "dagman.settings.DAGMAN_HOLD_CLAIM_TIME=0"
"""DAGMan keeps a slot for 20 s after its job has ended: a job of the next test could get more memory than it wants."""


@dataclass(frozen=True)
class PlainRun:
    """A graph of functions, and how it is run.

    Parameters
    ----------
    pool
        Where.
    folder
        Folder of this run's own.
    counts, edges
        The graph.
    bombs
        What some quanta do besides writing down that they run, by position.
    seconds
        How long a quantum takes.
    condor
        Settings.
    site
        A site's file with settings.
    options
        Other options of batch runs.
    lose_answer
        Whether the answer to the submission gets lost.
    """

    pool: Pool
    folder: Path
    counts: dict[str, int]
    edges: Sequence[tuple[int, int]] = ()
    bombs: tuple[tuple[int, str], ...] = ()
    seconds: float = 0.0
    condor: tuple[str, ...] = ()
    site: Path | None = None
    options: dict[str, Any] = field(default_factory=dict)
    name: str = "run"
    lose_answer: bool = False

    @property
    def run_dir(self) -> Path:
        return self.folder / self.name

    def submit(self, **env: str) -> Finished:
        """Write and submit it; the quanta's notes are in the run's folder."""
        done = self.try_to_submit(**env)
        assert done.code == 0, done.err
        return done

    def try_to_submit(self, **env: str) -> Finished:
        """Do so, and let it fail."""
        content = {each.name: getattr(self, each.name) for each in fields(self) if each.name != "pool"}
        description = self.folder / "description.json"
        description.write_text(json.dumps(content, default=str))
        return self.pool.run(sys.executable, "-m", "condor.plain_runs", description, env=env)

    def command(self, name: str, *more: str, timeout: float = 300) -> Finished:
        """Run one of the commands that take a run directory."""
        return self.pool.pipetask(name, self.run_dir, *more, timeout=timeout)

    def status(self) -> dict[str, Any]:
        """Return what ``pipetask status --json`` prints."""
        return self._json(self.command("status", "--json"))

    @staticmethod
    def _json(done: Finished) -> dict[str, Any]:
        assert done.out, done.err
        return json.loads(done.out)

    def wait(self, timeout: float = 300) -> dict[str, Any]:
        """Wait until it is over."""
        status: dict[str, Any] = {}

        def is_over() -> bool:
            # One process that looks again and again; it ends when the run is held, too.
            watch = ("status", "--json", "--watch", "--interval", "0.3")
            status.update(self._json(self.command(*watch, timeout=timeout)))
            return status["phase"] in {"succeeded", "failed", "cancelled"}

        wait_until(is_over, f"{self.run_dir} ends", timeout)
        return status

    def wait_for_node(self, state: str, count: int = 1, timeout: float = 300) -> None:
        """Wait until so many nodes are in a state."""
        self.pool.wait_for_state(self.run_dir, "nodes", state, count, timeout)

    def starts(self, position: int) -> int:
        """Return how often a quantum was begun."""
        path = self.folder / f"{self.id(position)}.start"
        return len(path.read_text().splitlines()) if path.exists() else 0

    def defuse(self) -> None:
        """Let the bombs be duds from now on."""
        (self.folder / "defused").touch()

    def statuses(self) -> dict[int, Status]:
        """Return how each quantum ended, by position."""
        graph = enumerated(self.counts, self.edges)
        positions = {quantum.id: quantum.position for quantum in graph}
        statuses = Ledger(RunDirectory(self.run_dir)).statuses()
        return {positions[id]: status for id, status in statuses.items()}

    def id(self, position: int) -> int:
        """Return the id of the quantum at a position."""
        return next(q.id for q in enumerated(self.counts, self.edges) if q.position == position)

    def job(self, node: str = "") -> dict[str, Any]:
        """Return the ad of a job that has left the queue, the last one of its node."""
        constraint = f'regexp("^{node}", DAGNodeName)'
        wait_until(lambda: bool(self.pool.history(constraint)), f"a job of {node} is in the history")
        return self.pool.history(constraint)[0]


def lose_answers() -> None:
    """From now on what is submitted arrives, and then the connection is lost."""
    submit = htcondor2.Schedd.submit

    def submit_and_fail(*arguments: Any) -> None:
        submit(*arguments)
        raise htcondor2.HTCondorException("connection lost")

    htcondor2.Schedd.submit = submit_and_fail


def main(content: dict[str, Any]) -> int:
    graph = enumerated(content["counts"], [tuple(edge) for edge in content["edges"]])
    ids = {quantum.position: quantum.id for quantum in graph}
    folder = Path(content["folder"])
    bombs = tuple((ids[position], name) for position, name in content["bombs"])
    site, settings = content["site"], (RELEASE_SLOTS, *content["condor"])
    system = CondorSystem(CondorOptions(condor=settings, condor_config=site))
    options = BatchOptions(run_dir=str(folder / content["name"]), **content["options"])
    executor = BatchExecutor(system, options)
    context = ExecutionContext(graph, CallSpec(Recorder(folder, content["seconds"], bombs)))
    if content["lose_answer"]:
        lose_answers()
    try:
        executor.check(context)
        for outcome in executor.execute(graph, context):
            assert outcome.status is Status.SUBMITTED
    except PipetaskError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(json.loads(Path(sys.argv[1]).read_text())))
