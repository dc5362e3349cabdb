"""What a quantum costs in runs of different sizes: it should not depend on how many went before."""

from __future__ import annotations

import contextlib
import io
import json
import multiprocessing
import time
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pipetask.batch.condor import CondorSystem
from pipetask.batch.executor import BatchExecutor
from pipetask.executors.base import ExecutionContext
from pipetask.executors.frontier import Frontier
from pipetask.executors.pool import MultiprocessExecutor
from pipetask.graph.enumeration import EnumeratedGraph
from pipetask.options.batch import BatchOptions
from pipetask.outcome import QuantumOutcome, Status
from pipetask.testing import CallSpec, MockPipeline, enumerated

from .harness import OURS, Figure, checked, run_words, scratch, timed_command
from .inside import noop
from .large_file import write_large_file

__all__ = ["call_functions", "chains", "growth", "walk", "write_dag"]

WANTED = 1.2
"""Cost of a quantum in the largest run, in terms of what it costs at least in a smaller one."""

_MEASURES = {"seconds": ("µs", 1e6), "memory": ("B", 1.0), "disk": ("B", 1.0)}


@dataclass(frozen=True)
class Cost:
    """What a run took."""

    quanta: int
    seconds: float
    memory: float
    """Bytes at the peak."""

    disk: float = 0.0
    """Bytes of what it has written."""

    def of_a_quantum(self, measure: str) -> float:
        """Return one of these for each quantum."""
        return float(getattr(self, measure)) / self.quanta


def growth(repeat: int) -> Iterator[Figure]:
    """Runs of 1,000 and 10,000 quanta, and larger ones without a repository."""
    few, *runs = [_run_command(exposures) for exposures in (1, 50, 500)]
    # What a run of a few quanta takes, too, is no matter of growth.
    runs = [replace(run, memory=run.memory - few.memory) for run in runs]
    yield from _compared("a small quantum, -j 1", runs)
    for name, run, sizes in (
        ("a function through the pool, -j 2", call_functions, (1_000, 10_000, 100_000)),
        ("structure only", walk, (1_000, 10_000, 1_000_000)),
        ("written as a DAG, without a graph file", write_dag, (1_000, 10_000, 1_000_000)),
    ):
        yield from _compared(name, [_apart(partial(_cost, run, size)) for size in sizes])
    yield from _million()


def _compared(name: str, costs: Sequence[Cost]) -> Iterator[Figure]:
    """Yield what a quantum costs in runs of different sizes, the largest last."""
    for measure, (unit, factor) in _MEASURES.items():
        each = [factor * cost.of_a_quantum(measure) for cost in costs]
        if any(each):
            at = tuple(zip([cost.quanta for cost in costs], each, strict=True))
            ratio = each[-1] / min(each[:-1])
            title = f"{name}: {measure}"
            yield Figure(title, each[-1], each[0], "", unit, ratio, WANTED, at_least=False, at=at)


def _run_command(exposures: int) -> Cost:
    """Run small quanta with the command, in one process."""
    with scratch() as folder:
        root, summary = folder / "repo", folder / "summary.json"
        # Without inputs, since to store those takes longer than to run the quanta.
        _apart(partial(MockPipeline(exposures, 10, stored_inputs=False).make, root))
        before = _size(root)
        timed = checked(timed_command(run_words(OURS, root, "-j", "1", "--summary", str(summary))))
        content = json.loads(summary.read_text())
        start = min(quantum["start"] for quantum in content["quanta"])
        quanta = len(content["quanta"])
        return Cost(quanta, content["end"] - start, timed.peak_memory, _size(root) - before)


def _cost(run: Callable[[EnumeratedGraph], Spent], size: int) -> Cost:
    """Measure a run of this size, time and memory each by itself, since to trace memory takes time."""
    graph = chains(size)
    run(chains(100))
    # Medians: a minimum of several runs would favour the sizes that run more often.
    runs = sorted(run(graph) for _ in range(5 if size < 100_000 else 3))
    usual = runs[len(runs) // 2]
    tracemalloc.start()
    run(graph)
    _, peak = tracemalloc.get_traced_memory()
    return Cost(size, usual.seconds, peak, usual.disk)


class Spent(NamedTuple):
    """What a run has spent: seconds of this process on a processor, and bytes on disk."""

    seconds: float
    disk: float = 0.0


def call_functions(graph: EnumeratedGraph) -> Spent:
    """Have functions called by two workers; what counts is the parent's time once they are warm."""
    context = ExecutionContext(graph, CallSpec(noop))
    outcomes: list[QuantumOutcome] = []
    start = 0.0
    for outcome in MultiprocessExecutor(2).execute(graph, context):
        if len(outcomes) == len(graph.structure) // 10:
            start = time.process_time()
        outcomes.append(outcome)
    context.stop.close()
    return Spent((time.process_time() - start) / 0.9)


def walk(graph: EnumeratedGraph) -> Spent:
    """Go through a graph: what is ready, what has ended."""
    start = time.process_time()
    frontier = Frontier(graph)
    while (quantum := frontier.take()) is not None:
        frontier.finish(QuantumOutcome(quantum.id, Status.SUCCEEDED))
    assert frontier.exhausted
    return Spent(time.process_time() - start)


def write_dag(graph: EnumeratedGraph) -> Spent:
    """Write a DAG, and do not submit it."""
    with scratch() as folder, contextlib.redirect_stderr(io.StringIO()):
        start = time.process_time()
        model = BatchExecutor(CondorSystem(), BatchOptions(run_dir=str(folder / "run"), submit=False))
        context = ExecutionContext(graph, CallSpec(noop))
        for _ in model.execute(graph, context):
            pass
        context.stop.close()
        return Spent(time.process_time() - start, _size(folder))


def chains(size: int) -> EnumeratedGraph:
    """Make a graph of two tasks that run one after the other, and one that gathers pairs."""
    width = size * 2 // 5
    first = np.arange(width)
    edges = np.concatenate(
        [np.stack([first, first + width], 1), np.stack([first + width, 2 * width + first // 2], 1)]
    )
    return enumerated({"isr": width, "characterize": width, "gather": width // 2}, edges)  # type: ignore[arg-type]


def _million() -> Iterator[Figure]:
    """A graph file of a million quanta: the whole command that writes the DAG."""
    with scratch() as folder:
        root, run_dir = folder / "repo", folder / "run"
        quanta = _apart(partial(write_large_file, root, 24_400, 20))
        words = run_words(OURS, root, "--mode", "condor", "--no-submit", "--run-dir", str(run_dir))
        timed, name = checked(timed_command(words)), f"{quanta:,} quanta as an HTCondor DAG"
        for measure, value, unit, limit in (
            ("whole command", timed.seconds, "s", 60),
            ("peak memory", timed.peak_memory / 1e6, "MB", 1500),
            ("on disk", _size(run_dir) / 1e6, "MB", 400),
        ):
            yield Figure(f"{name}: {measure}", value, None, "", unit, value, limit, at_least=False)


def _apart(call: Callable[[], Any]) -> Any:
    """Call something in a process of its own: memory is never quite given back."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(call).result()


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
