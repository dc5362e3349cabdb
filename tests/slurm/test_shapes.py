"""Graphs of every shape end on Slurm as they end in this process, whatever happens to their jobs meanwhile."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipetask import ExecutionContext
from pipetask.batch.exit_codes import ExitCode
from pipetask.batch.outcomes import attempts_by_node
from pipetask.batch.queueing.journal import Journal
from pipetask.batch.queueing.layout import Layout
from pipetask.batch.replay import ReplayExecutor
from pipetask.batch.run_directory import RunDirectory
from pipetask.executors.base import QuantumExecutor
from pipetask.executors.in_process import InProcessExecutor
from pipetask.outcome import Status
from pipetask.testing import CallSpec, enumerated
from pipetask.testing.plain_runs import LocalBench, PlainRun
from pipetask.testing.work import Misbehaviour, NotedWork
from slurm.machine import Machine
from slurm.plain_systems import SETTINGS

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("on_path", "short_minutes")]

Edges = list[tuple[int, int]]
Ends = dict[int, tuple[Status, int | None]]

KINDS = (
    Misbehaviour.FAIL,
    Misbehaviour.KILL_PROCESS_ONCE,
    Misbehaviour.RUN_OUT_OF_MEMORY_ONCE,
    Misbehaviour.HANG_UNTIL_MENDED,
)
PATIENCE = 500.0


@dataclass(frozen=True)
class Shape:
    """A graph, and how its run is submitted."""

    counts: Mapping[str, int]
    edges: Edges
    settings: Sequence[str] = ()


def shapes(chance: random.Random) -> dict[str, Shape]:
    """Return graphs of all kinds; positions in a graph go through its labels in order."""
    layers: Edges = []
    for label, start, before in ((4, 4, 0), (3, 8, 4)):
        for number in range(label):
            layers += [
                (before + each, start + number) for each in chance.sample(range(4), chance.randint(1, 3))
            ]
    chains = [(0, 4), (4, 8), (8, 10), (1, 5), (2, 6), (6, 9)]
    fan = [*((0, n) for n in range(1, 6)), *((n, 6) for n in range(1, 6))]
    return {
        # Of different lengths, and one of them a single quantum.
        "islands": Shape({"a": 4, "b": 4, "c": 2, "d": 1}, sorted(chains), ["slurm.max_submit=3"]),
        "fan": Shape({"a": 1, "b": 5, "c": 1}, fan),
        "layers": Shape({"a": 4, "b": 4, "c": 3}, sorted(layers)),
    }


def make_runs(
    folder: Path, chance: random.Random, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Shape, PlainRun]]:
    """Submit a run of each shape, with every kind of misbehaviour somewhere."""
    kinds = list(KINDS)
    for name, shape in shapes(chance).items():
        size = sum(shape.counts.values())
        chosen = [kinds.pop() if kinds else chance.choice(KINDS) for _ in range(2)]
        bad = dict(zip(chance.sample(range(size), len(chosen)), chosen, strict=True))
        (folder / name).mkdir()
        monkeypatch.setenv(SETTINGS, json.dumps(["time=1min", *shape.settings]))
        bench = LocalBench("slurm.plain_systems:system", folder / name, PATIENCE)
        run = PlainRun(bench, shape.counts, shape.edges, bad, {"bundle_size": chance.randint(2, 3)})
        run.submit()
        yield shape, run


def is_over(run: PlainRun) -> bool:
    state = Journal(Layout(run.path, "slurm").journal).read()
    return state.rounds[state.last].ended is not None


def mend_what_was_too_slow(run: PlainRun) -> None:
    """Let quanta end that have used up the walltime of a job."""
    attempts = (each for some in attempts_by_node(RunDirectory(run.path).outcomes) for each in some)
    if any(each.exit_code in (ExitCode.OUT_OF_TIME, ExitCode.UNFINISHED) for each in attempts):
        run.work.mend()


def disturb(machine: Machine, chance: random.Random) -> None:
    """Put some job back into the queue, and preempt the others."""
    running = [job.id for job in machine.jobs() if job.state == "RUNNING" and job.comment]
    if running:
        machine.run("scontrol", "requeue", chance.choice(running), check=False)  # it may have ended
    machine.submit("true", "-p", "urgent", "-c", "4")


def ends(executor: QuantumExecutor, shape: Shape, work: NotedWork) -> Ends:
    """Return what becomes of the quanta of a graph, and what has blocked them."""
    graph = enumerated(dict(shape.counts), shape.edges)
    context = ExecutionContext(graph, CallSpec(work))
    found = {each.id: (each.status, each.blocked_by) for each in executor.execute(graph, context)}
    context.stop.close()
    return found


@pytest.mark.timeout(600)  # for a machine that is busy with much else
@pytest.mark.parametrize("seed", [14])
def test_whatever_happens_runs_end_as_on_this_machine(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    chance = random.Random(seed)
    runs = list(make_runs(tmp_path, chance, monkeypatch))
    left, deadline = [run for _, run in runs], time.monotonic() + PATIENCE
    for turn in range(10_000):
        if turn == 8:
            disturb(machine, chance)
        for run in left:
            mend_what_was_too_slow(run)
        left = [run for run in left if not is_over(run)]
        if not left:
            break
        assert time.monotonic() < deadline, f"{[run.path for run in left]} are not over"
        time.sleep(0.5)
    for shape, run in runs:
        folder = tmp_path / f"{run.bench.folder.name}-here"
        folder.mkdir()
        failing = {id: each for id, each in run.work.misbehaviours.items() if each is Misbehaviour.FAIL}
        here = ends(InProcessExecutor(), shape, NotedWork(folder, failing))
        there = ends(ReplayExecutor(RunDirectory(run.path), register=False), shape, run.work)
        assert there == here, run.path
        succeeded = all(status is Status.SUCCEEDED for status, _ in here.values())
        assert run.status()["phase"] == ("succeeded" if succeeded else "failed")
