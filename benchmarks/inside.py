"""Parts inside of one process, and the pool without a butler."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from typing import Any

import networkx
import numpy as np

from pipetask.executors.base import ExecutionContext
from pipetask.executors.pool import MultiprocessExecutor
from pipetask.executors.pool.bundling import BundlePolicy
from pipetask.graph.structure import GraphStructure
from pipetask.outcome import QuantumOutcome, Status
from pipetask.testing import CallSpec, MockPipeline, enumerated

from .harness import Figure, median, scratch

__all__ = ["dispatch", "enumeration", "own_time"]


def enumeration(repeat: int) -> Iterator[Figure]:
    """A synthetic graph of a million quanta: detector-wise tasks in a row, then one that gathers pairs."""
    counts = {"isr": 400_000, "characterize": 400_000, "gather": 200_000}
    isr = np.arange(400_000)
    edges = np.concatenate(
        [np.stack([isr, isr + 400_000], 1), np.stack([isr + 400_000, 800_000 + isr // 2], 1)]
    )
    graph = enumerated(counts, edges)  # type: ignore[arg-type]
    xgraph = networkx.DiGraph()
    xgraph.add_nodes_from(range(1_000_000))
    xgraph.add_edges_from(edges.tolist())
    ours, theirs = [], []
    for _ in range(max(5, repeat)):
        ours.append(_seconds(lambda: sum(1 for _ in graph)))
        theirs.append(_seconds(lambda: sum(1 for _ in networkx.topological_sort(xgraph))))
    one, other = median(ours), median(theirs)
    name, against = "1,000,000 quanta enumerated, structure only", "networkx.topological_sort"
    yield Figure(name, one, other, against, "s", other / one, 1)
    held, copy = (
        _memory(lambda: [None for _ in graph].clear()),
        _memory(lambda: GraphStructure.from_edges(counts, edges)),
    )
    yield Figure(
        "… memory while enumerating", held, copy, "the graph itself", "MB", held / copy, 1, at_least=False
    )


def _seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def _memory(call: Callable[[], object]) -> float:
    tracemalloc.start()
    call()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak / 1e6


def noop(id: int) -> None:
    """Do nothing."""


def noop_outcome(id: int) -> QuantumOutcome:
    """Do nothing, and say so as a worker of the pool does."""
    start = time.time()
    noop(id)
    return QuantumOutcome(id, Status.SUCCEEDED, start, time.time())


def dispatch(repeat: int) -> Iterator[Figure]:
    """What it costs to have a no-op done by a warm pool of two."""
    size = 20_000
    graph = enumerated({"first": size, "second": size}, [(i, i + size) for i in range(size)])
    for chunk in (1, BundlePolicy().most, 100):
        ours = median(_our_dispatch(graph, chunk) for _ in range(max(5, repeat)))
        theirs = median(_their_dispatch(2 * size, chunk) for _ in range(max(5, repeat)))
        name = f"no-op through the warm pool, {chunk} at a time"
        yield Figure(name, ours * 1e6, theirs * 1e6, "ProcessPoolExecutor.map", "µs", theirs / ours, 1)


def _our_dispatch(graph: Any, chunk: int) -> float:
    """Return the seconds a quantum, prerequisites respected, once the pool is warm."""
    model = MultiprocessExecutor(2, policy=BundlePolicy(most=chunk))
    context = ExecutionContext(graph, CallSpec(noop))
    outcomes = model.execute(graph, context)
    for _ in range(100):
        next(outcomes)
    start = time.perf_counter()
    count = sum(1 for _ in outcomes)
    seconds = time.perf_counter() - start
    context.stop.close()
    return seconds / count


def _their_dispatch(size: int, chunk: int) -> float:
    with ProcessPoolExecutor(2) as pool:
        list(pool.map(noop_outcome, range(100), chunksize=chunk))
        start = time.perf_counter()
        count = sum(1 for _ in pool.map(noop_outcome, range(size), chunksize=chunk))
        return (time.perf_counter() - start) / count


def own_time(repeat: int) -> Iterator[Figure]:
    """Our own time a quantum at -j 1: all that is not in calls of pipe_base and daf_butler."""
    with scratch() as folder:
        values = []
        for number in range(repeat):
            root = folder / f"repo-{number}"
            MockPipeline(exposures=50, detectors=10).make(root)
            values.append(_own_seconds(root) / 1050)
        value = median(values) * 1e3
        yield Figure("our own time a quantum, -j 1", value, None, "", "ms", value, 0.3, at_least=False)


def _own_seconds(root: Any) -> float:
    from lsst.pipe.base.single_quantum_executor import SingleQuantumExecutor

    from pipetask import QuantumGraphExecutor, RunOptions
    from pipetask.executors.in_process import InProcessExecutor
    from pipetask.graph.reader import QuantumReader
    from pipetask.options.collections import OutputOptions
    from pipetask.options.execution import PreUpdateOptions
    from pipetask.runner import quantum_runner
    from pipetask.runner.worker_butler import WorkerButler

    options = RunOptions(
        collections=OutputOptions(output="u/out", inputs=("input_chain",)),
        pre_update=PreUpdateOptions(register_dataset_types=True),
    )
    # Processor time of this thread; registration is in another.  What follows belongs to pipe_base and daf_butler.
    theirs = [
        (SingleQuantumExecutor, "execute"),
        (QuantumReader, "read"),
        (QuantumReader, "__init__"),
        (WorkerButler, "open"),
        (quantum_runner, "load_storage_classes"),  # reads the butler's configuration, once for a process
    ]
    with _thread_time_in(theirs) as inside, _thread_time_of(InProcessExecutor, "execute", inside) as own:
        summary = QuantumGraphExecutor(InProcessExecutor(), str(root), options).execute(root / "graph.qg")
        assert summary.exit_code == 0, "what is measured must work"
    return own[0]


@contextmanager
def _thread_time_in(methods: Sequence[tuple[object, str]]) -> Iterator[list[float]]:
    """Sum up the processor time of this thread within some methods."""
    total = [0.0]

    def wrap(method: Any) -> Any:
        function = getattr(method, "__func__", method)

        def wrapped(*args: Any, **kwargs: Any) -> Any:
            start = time.thread_time()
            try:
                return function(*args, **kwargs)
            finally:
                total[0] += time.thread_time() - start

        return classmethod(wrapped) if isinstance(method, classmethod) else wrapped

    originals = [(owner, name, owner.__dict__[name]) for owner, name in methods]
    for owner, name, method in originals:
        setattr(owner, name, wrap(method))
    try:
        yield total
    finally:
        for owner, name, method in originals:
            setattr(owner, name, method)


@contextmanager
def _thread_time_of(owner: type, name: str, inside: list[float]) -> Iterator[list[float]]:
    """Take the processor time of this thread between the first and the last step of a generator, less that inside."""
    total = [0.0]
    original = getattr(owner, name)

    def wrapped(*args: Any, **kwargs: Any) -> Iterator[Any]:
        start = time.thread_time() - inside[0]
        yield from original(*args, **kwargs)
        total[0] = time.thread_time() - inside[0] - start

    setattr(owner, name, wrapped)
    try:
        yield total
    finally:
        setattr(owner, name, original)
