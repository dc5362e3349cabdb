"""Batch runs of graphs without content, submitted where a batch system is.

``python -m pipetask.testing.plain_runs FILE`` submits one that `PlainRun.submit` has written down.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

from ..batch.executor import BatchExecutor
from ..batch.ledger import Ledger
from ..batch.run_directory import RunDirectory
from ..batch.system import BatchSystem
from ..errors import PipetaskError
from ..executors.base import ExecutionContext
from ..options.batch import BatchOptions
from ..outcome import Status
from .functions import CallSpec, enumerated
from .work import Misbehaviour, NotedWork

__all__ = ["Bench", "LocalBench", "PlainRun", "wait_until"]

Finished = subprocess.CompletedProcess[str]


class Bench(ABC):
    """The place where tests of a batch system run commands.

    Parameters
    ----------
    make_system
        Path of a class or function, such as ``package.module:function``, that makes the system without arguments.
    folder
        A new folder, at the same path for tests, commands and jobs.
    timeout
        Seconds in which a run of a few quanta ends.
    make_unshared
        Path of what makes the same system with jobs that do not see the run directory, if there are such jobs.
    interval
        Seconds between two looks at a run that goes on.
    """

    def __init__(
        self,
        make_system: str,
        folder: Path,
        timeout: float = 300.0,
        make_unshared: str | None = None,
        interval: float = 0.2,
    ):
        self.make_system, self.folder, self.timeout = make_system, folder, timeout
        self.make_unshared, self.interval = make_unshared, interval

    @abstractmethod
    def run(self, *command: str) -> Finished:
        """Run a command where runs can be submitted, and return how it ended, with its output as text."""


class LocalBench(Bench):
    """A bench for systems to which this process can submit."""

    def run(self, *command: str) -> Finished:
        """Run a command here."""
        return subprocess.run(
            command, capture_output=True, text=True, check=False, cwd=self.folder, timeout=self.timeout
        )


@dataclass(frozen=True)
class PlainRun:
    """A graph of functions, and how it is run."""

    bench: Bench
    counts: Mapping[str, int]
    """Number of quanta by label."""

    edges: Sequence[tuple[int, int]] = ()
    """Pairs of positions, as for `~pipetask.testing.enumerated`."""

    misbehaviours: Mapping[int, Misbehaviour] = field(default_factory=dict)
    """By position."""

    options: Mapping[str, Any] = field(default_factory=dict)
    """Fields of `~pipetask.options.batch.BatchOptions`."""

    name: str = "run"
    shared: bool = True
    """Whether jobs see the run directory."""

    @property
    def path(self) -> Path:
        """The run directory."""
        return self.bench.folder / self.name

    @property
    def work(self) -> NotedWork:
        """What the quanta do."""
        ids = self._ids()
        named = {ids[position]: each for position, each in self.misbehaviours.items()}
        return NotedWork(self.bench.folder, named)

    def submit(self) -> Finished:
        """Write the run, and submit it if ``options`` do not say otherwise."""
        content = {
            "make_system": self.bench.make_system if self.shared else self.bench.make_unshared,
            "folder": str(self.bench.folder),
            "counts": dict(self.counts),
            "edges": list(self.edges),
            "misbehaviours": {str(id): each.value for id, each in self.work.misbehaviours.items()},
            "options": {"run_dir": str(self.path), **self.options},
        }
        description = self.bench.folder / f"{self.name}.json"
        description.write_text(json.dumps(content))
        done = self.bench.run(sys.executable, "-m", __spec__.name, str(description))
        assert done.returncode == 0, done.stderr
        return done

    def command(self, name: str, *more: str) -> Finished:
        """Run one of the commands that take a run directory."""
        return self.bench.run(sys.executable, "-m", "pipetask.cli", name, str(self.path), *more)

    def status(self) -> dict[str, Any]:
        """Return what ``pipetask status --json`` prints."""
        done = self.command("status", "--json")
        assert done.stdout, done.stderr
        content: dict[str, Any] = json.loads(done.stdout)
        return content

    def wait(self) -> dict[str, Any]:
        """Wait until it is over, and return its status."""
        status: dict[str, Any] = {}

        def is_over() -> bool:
            # It ends when the run is held, or has not begun, too.
            done = self.command("status", "--json", "--watch", "--interval", str(self.bench.interval))
            assert done.stdout, done.stderr
            status.update(json.loads(done.stdout))
            return status["phase"] in {"succeeded", "failed", "cancelled"}

        wait_until(is_over, f"{self.path} is over", self.bench.timeout)
        return status

    def wait_until_begun(self, position: int) -> None:
        """Wait until a quantum has begun."""
        wait_until(lambda: self.attempts(position) > 0, f"quantum {position} has begun", self.bench.timeout)

    def attempts(self, position: int) -> int:
        """Return how often a quantum has begun."""
        return self.work.attempts(self._ids()[position])

    def statuses(self) -> dict[int, Status]:
        """Return how quanta have ended, by position, where they have."""
        positions = {id: position for position, id in self._ids().items()}
        found = Ledger(RunDirectory(self.path)).statuses()
        return {positions[id]: status for id, status in sorted(found.items())}

    def _ids(self) -> dict[int, int]:
        return {q.position: q.id for q in enumerated(dict(self.counts), self.edges)}


def wait_until(condition: Callable[[], bool], what: str, timeout: float = 300.0, pause: float = 0.1) -> None:
    """Wait until something is true.

    Parameters
    ----------
    condition
        Looked at several times a second, and less often if a look takes long: what is waited for needs the processor.
        There is another look after the time is up, for a process that was stopped meanwhile.
    what
        What is waited for, as a sentence.
    timeout
        Seconds after which it will never be true.
    pause
        Seconds between two looks, at least.

    Raises
    ------
    TimeoutError
        If that takes too long.
    """
    deadline = time.monotonic() + timeout
    while True:
        begun = time.monotonic()
        if condition():
            return
        if begun > deadline:
            raise TimeoutError(f"after {timeout:.0f} s it is not true that {what}")
        time.sleep(max(pause, time.monotonic() - begun))


def main(content: Mapping[str, Any]) -> int:
    """Execute what was written down, and print what became of each quantum."""
    graph = enumerated(content["counts"], [(first, second) for first, second in content["edges"]])
    misbehaviours = {int(id): Misbehaviour(name) for id, name in content["misbehaviours"].items()}
    work = NotedWork(Path(content["folder"]), misbehaviours)
    system = EntryPoint("", content["make_system"], "").load()()
    assert isinstance(system, BatchSystem)
    executor, context = (
        BatchExecutor(system, BatchOptions(**content["options"])),
        ExecutionContext(graph, CallSpec(work)),
    )
    try:
        executor.check(context)
        with closing(context.stop), closing(executor.execute(graph, context)) as outcomes:
            for outcome in outcomes:
                print(outcome.id, outcome.status.value)
    except PipetaskError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(json.loads(Path(sys.argv[1]).read_text())))
