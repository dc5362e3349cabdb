"""Graphs of every shape end on Slurm as they end in this process, whatever happens to their jobs meanwhile."""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from campaign.__main__ import parse_seeds
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
SEED = 14
"""The usual one; ``PIPETASK_SLURM_SEEDS=0-19,77`` chooses others, with other graphs and disturbances."""


@dataclass(frozen=True)
class Shape:
    """A graph, and how its run is submitted."""

    counts: Mapping[str, int]
    edges: Edges
    settings: Sequence[str] = ()


def islands(chance: random.Random) -> Shape:
    """Return chains of different lengths; one of them is a single quantum."""
    edges = [(0, 4), (4, 8), (8, 10), (1, 5), (2, 6), (6, 9)]
    return Shape({"a": 4, "b": 4, "c": 2, "d": 1}, sorted(edges), ["slurm.max_submit=3"])


def fan(chance: random.Random) -> Shape:
    """Return what goes apart, and comes together again."""
    edges = [*((0, n) for n in range(1, 6)), *((n, 6) for n in range(1, 6))]
    return Shape({"a": 1, "b": 5, "c": 1}, edges)


def layers(chance: random.Random) -> Shape:
    """Return three layers, of which each quantum needs some of the one before."""
    edges: Edges = []
    for label, start, before in ((4, 4, 0), (3, 8, 4)):
        for number in range(label):
            edges += [
                (before + each, start + number) for each in chance.sample(range(4), chance.randint(1, 3))
            ]
    return Shape({"a": 4, "b": 4, "c": 3}, sorted(edges))


def single(chance: random.Random) -> Shape:
    """Return a graph of one quantum."""
    return Shape({"a": 1}, [])


def chain(chance: random.Random) -> Shape:
    """Return a chain of up to six labels."""
    length = chance.randint(2, 6)
    return Shape(dict.fromkeys("abcdef"[:length], 1), [(n, n + 1) for n in range(length - 1)])


def diamonds(chance: random.Random) -> Shape:
    """Return up to three diamonds that do not touch."""
    many = chance.randint(1, 3)
    sides = [(each, many + 2 * each + side) for each in range(many) for side in (0, 1)]
    ends = [(many + 2 * each + side, 3 * many + each) for each in range(many) for side in (0, 1)]
    return Shape({"a": many, "b": 2 * many, "c": many}, sorted(sides + ends))


def wide(chance: random.Random) -> Shape:
    """Return a wide layer of which all is needed by one quantum."""
    width = chance.randint(10, 20)
    return Shape({"a": width, "b": 1}, [(n, width) for n in range(width)], ["slurm.max_array=7"])


def tangle(chance: random.Random) -> Shape:
    """Return labels of random sizes, with random edges also over several labels."""
    sizes = [chance.randint(1, 4) for _ in range(chance.randint(2, 5))]
    starts = [sum(sizes[:each]) for each in range(len(sizes))]
    edges = {
        (chance.randrange(start), start + each)
        for start, size in zip(starts[1:], sizes[1:], strict=True)
        for each in range(size)
        for _ in range(chance.randint(0, 2))
    }
    return Shape(dict(zip("abcde", sizes, strict=False)), sorted(edges))


def piloted(chance: random.Random) -> Shape:
    """Return a tangle that is run by pilots."""
    shape = tangle(chance)
    return Shape(shape.counts, shape.edges, ["slurm.pilots=2"])


USUAL = (islands, fan, layers)
ALL = (*USUAL, single, chain, diamonds, wide, tangle, piloted)


def make_runs(
    folder: Path, seed: int, chance: random.Random, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Shape, PlainRun]]:
    """Submit runs of three shapes, with every kind of misbehaviour somewhere."""
    kinds = list(KINDS)
    for make in USUAL if seed == SEED else chance.sample(ALL, 3):
        shape, name = make(chance), make.__name__
        size = sum(shape.counts.values())
        chosen = [kinds.pop() if kinds else chance.choice(KINDS) for _ in range(min(2, size))]
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


def go_on(machine: Machine, runs: Sequence[PlainRun]) -> None:
    """Start runs again of which nothing is in the queue, because their final job was killed."""
    ended = {"COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL"}
    there = {job.comment.split()[1] for job in machine.jobs() if job.comment and job.state not in ended}
    for run in runs:
        if RunDirectory(run.path).facts.id not in there and not is_over(run):
            assert run.command("restart").returncode == 0


def mend_what_was_too_slow(run: PlainRun) -> None:
    """Let quanta end that have used up the walltime of a job."""
    attempts = (each for some in attempts_by_node(RunDirectory(run.path).outcomes) for each in some)
    if any(each.exit_code in (ExitCode.OUT_OF_TIME, ExitCode.UNFINISHED) for each in attempts):
        run.work.mend()


def requeue_and_preempt(machine: Machine, chance: random.Random) -> None:
    """Put some job back into the queue, and preempt the others."""
    running = [job.id for job in machine.jobs() if job.state == "RUNNING" and job.comment]
    if running:
        machine.run("scontrol", "requeue", chance.choice(running), check=False)  # it may have ended
    machine.submit("true", "-p", "urgent", "-c", "4")


def lose_node(machine: Machine, chance: random.Random) -> None:
    """Have the machine of all jobs fail, and come back."""
    machine.kill("n1")
    machine.kill_jobs()
    machine.run("scontrol", "update", "nodename=n1", "state=down", "reason=dead")
    machine.start("n1")
    machine.run("scontrol", "update", "nodename=n1", "state=resume", check=False)  # it may be back by itself


def hang(machine: Machine, chance: random.Random) -> None:
    """Have the controller hang for a while."""
    with machine.paused():
        time.sleep(chance.uniform(2, 20))


def kill_programs(machine: Machine, chance: random.Random) -> None:
    """Kill what jobs run, but not what watches over them."""
    machine.kill_programs()


DISTURBANCES = (requeue_and_preempt, lose_node, hang, kill_programs)


def plan(seed: int, chance: random.Random) -> dict[int, Callable[[Machine, random.Random], None]]:
    """Return what disturbs the runs of a seed, by turn."""
    if seed == SEED:
        return {8: requeue_and_preempt}
    return {turn: chance.choice(DISTURBANCES) for turn in chance.sample(range(4, 60), chance.randint(1, 2))}


def ends(executor: QuantumExecutor, shape: Shape, work: NotedWork) -> Ends:
    """Return what becomes of the quanta of a graph, and what has blocked them."""
    graph = enumerated(dict(shape.counts), shape.edges)
    context = ExecutionContext(graph, CallSpec(work))
    found = {each.id: (each.status, each.blocked_by) for each in executor.execute(graph, context)}
    context.stop.close()
    return found


@pytest.mark.timeout(600)  # for a machine that is busy with much else
@pytest.mark.parametrize("seed", parse_seeds(os.environ.get("PIPETASK_SLURM_SEEDS", str(SEED))))
def test_whatever_happens_runs_end_as_on_this_machine(
    machine: Machine,
    make_machine: Callable[..., Machine],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    seed: int,
) -> None:
    # One that loses a node is of no use to other tests.
    machine = machine if seed == SEED else make_machine()
    chance = random.Random(seed)
    runs = list(make_runs(tmp_path, seed, chance, monkeypatch))
    disturbances = plan(seed, chance)
    left, deadline = [run for _, run in runs], time.monotonic() + PATIENCE
    for turn in range(10_000):
        if turn in disturbances:
            disturbances[turn](machine, chance)
        for run in left:
            mend_what_was_too_slow(run)
        left = [run for run in left if not is_over(run)]
        if disturbances.get(turn - 40) is kill_programs:
            go_on(machine, left)
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
