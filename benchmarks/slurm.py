"""Batch runs on Slurm: writing and submitting, and a look at a large run."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from pipetask import BatchExecutor, BatchOptions, SlurmOptions, SlurmSystem
from pipetask.batch.outcomes import AttemptWriter
from pipetask.batch.queueing.journal import Journal
from pipetask.batch.queueing.layout import Layout
from pipetask.batch.run_directory import RunDirectory
from pipetask.executors.base import ExecutionContext
from pipetask.graph.enumeration import EnumeratedGraph
from pipetask.outcome import QuantumOutcome, Status
from pipetask.testing import CallSpec, enumerated

from .harness import HERE, OURS, Figure, checked, median, scratch, timed_command

__all__ = ["slurm_large"]

_PATCHES = 2000
_GATHERED = 20


def slurm_large(repeat: int) -> Iterator[Figure]:
    """82,000 quanta: written and submitted, held and released; then what `status` takes when all have ended."""
    sys.path.insert(0, str(HERE.parent / "tests"))
    from slurm.machine import Machine, MachineOptions

    graph = _graph()
    with scratch() as folder, Machine(MachineOptions()) as machine:
        os.environ["SLURM_CONF"] = str(machine.configuration)
        seconds, calls = [], 0
        for number in range(repeat):
            path = folder / f"run{number}"
            start = time.perf_counter()
            _submit(graph, path)
            seconds.append(time.perf_counter() - start)
            calls = len(Journal(Layout(path, "slurm").journal).read().rounds[1].jobs)
            SlurmSystem().cancel(RunDirectory(path))
        yield Figure(
            "82,000 quanta on Slurm: calls of sbatch", calls, None, "", "", calls, 60, at_least=False
        )
        took = median(seconds)
        yield Figure(
            "82,000 quanta on Slurm: written and submitted", took, None, "", "s", took, 10, at_least=False
        )
        directory = RunDirectory(path)
        _end_all(directory)
        command = [*OURS, "status", str(path), "--json"]
        took = median(checked(timed_command(command)).seconds for _ in range(repeat))
        yield Figure(
            "82,000 quanta on Slurm: `pipetask status`, whole command",
            took,
            None,
            "",
            "s",
            took,
            2,
            at_least=False,
        )


def _graph() -> EnumeratedGraph:
    """Return a graph in which each coadd gathers warps, each of which needs two calibrated exposures."""
    wide = _PATCHES * _GATHERED
    edges = [(number, wide + number) for number in range(wide)]
    edges += [((number // 2 * 2 + 1 - number % 2), wide + number) for number in range(wide)]
    edges += [(wide + number, 2 * wide + number // _GATHERED) for number in range(wide)]
    return enumerated({"isr": wide, "warp": wide, "coadd": _PATCHES}, edges)


def _submit(graph: EnumeratedGraph, path: Path) -> None:
    context = ExecutionContext(graph, CallSpec(print))
    system = SlurmSystem(SlurmOptions(slurm=("memory=100MB", "sbatch.begin=now+1hour")))
    executor = BatchExecutor(system, BatchOptions(run_dir=str(path)))
    executor.check(context)
    for _ in executor.execute(graph, context):
        pass
    context.stop.close()


def _end_all(directory: RunDirectory) -> None:
    """Write what jobs would have written."""
    with directory.index() as index:
        for node in index.nodes():
            writer = AttemptWriter(directory.outcomes, node.number, "host", 100)
            for quantum in node.quanta:
                writer.outcome(QuantumOutcome(quantum.id, Status.SUCCEEDED))
            writer.end(0)
    journal = Journal(Layout(directory.path, "slurm").journal)
    journal.note("started", 1)
    journal.note("ended", 1, code=0)
