"""Batch runs on Slurm: writing and submitting, a look at a large run, and a whole run of a small one."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from pipetask import BatchExecutor, BatchOptions, SlurmOptions, SlurmSystem
from pipetask.batch.outcomes import AttemptWriter
from pipetask.batch.queueing.journal import Journal
from pipetask.batch.queueing.layout import Layout
from pipetask.batch.run_directory import RunDirectory
from pipetask.executors.base import ExecutionContext
from pipetask.graph.enumeration import EnumeratedGraph
from pipetask.outcome import QuantumOutcome, Status
from pipetask.testing import CallSpec, MockPipeline, enumerated

from .bps import Bps
from .condor import run_on_pool
from .harness import HERE, OURS, Figure, checked, median, run_words, scratch, timed_command

if TYPE_CHECKING:
    from slurm.machine import Machine

__all__ = ["slurm_90", "slurm_large", "slurm_parsl"]

_SAMPLE = 200
"""Submissions that stand for those of a whole run."""

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
        single = _one_by_one(machine) * 82_000 / _SAMPLE
        against = f"one sbatch a quantum, from {_SAMPLE} calls"
        name = "82,000 quanta on Slurm: written and submitted"
        yield Figure(name, took, single, against, "s", took, 10, at_least=False)
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


def _one_by_one(machine: Machine) -> float:
    """Return the seconds that a sample of submissions takes, each with what it waits for, as by a script of a user."""
    before: list[str] = []
    start = time.perf_counter()
    for _ in range(_SAMPLE):
        words = ["sbatch", "--parsable", "--hold", "--output=/dev/null", "--wrap=true", *before]
        before = [f"--dependency=afterok:{machine.run(*words).stdout.strip()}"]
    return time.perf_counter() - start


def slurm_90(repeat: int) -> Iterator[Figure]:
    """90 small quanta on 4 slots of this machine, from submission to registration: Slurm, and a pool of HTCondor."""
    sys.path.insert(0, str(HERE.parent / "tests"))
    from condor.personal_pool import PersonalPool, PoolOptions
    from slurm.machine import Machine, MachineOptions

    with scratch() as folder:
        with Machine(MachineOptions(memory=16_000)) as machine:
            ours = median(_run_on_slurm(machine, folder / f"{number}") for number in range(repeat))
        # One after the other: what one does in between would disturb the other.
        with PersonalPool(PoolOptions(cpus=4)) as pool:
            other = median(run_on_pool(pool, number) for number in range(repeat))
    name = "90 small quanta on 4 slots of Slurm, from submission to registration"
    yield Figure(name, ours, other, "our own --mode condor", "s", ours / other, 1.2, at_least=False)


def slurm_parsl(repeat: int) -> Iterator[Figure]:
    """The same graph on Slurm: through us, and through LSST's ctrl_bps_parsl (once)."""
    sys.path.insert(0, str(HERE.parent / "tests"))
    from slurm.machine import Machine, MachineOptions

    bps = Bps.find()
    if bps is None or not bps.has_parsl:
        print("NOT MEASURED: ctrl_bps_parsl is not installed beside bps; use `make bench`.", file=sys.stderr)
        return
    with scratch() as folder, Machine(MachineOptions(memory=16_000)) as machine:
        ours = median(_run_on_slurm(machine, folder / f"{number}") for number in range(repeat))
        peer = _run_by_parsl(bps, machine, folder / "parsl")
    name = "90 small quanta on 4 slots of Slurm, through LSST's command"
    yield Figure(name, ours, peer, "bps submit with ctrl_bps_parsl", "s", peer / ours, 3)


def _run_on_slurm(machine: Machine, folder: Path) -> float:
    root = folder / "repo"
    MockPipeline(exposures=10, detectors=4).make(root)
    variables = {"SLURM_CONF": str(machine.configuration), "PATH": machine.environment["PATH"]}
    start = time.monotonic()
    words = run_words(OURS, root, "--mode", "slurm", "--run-dir", str(folder / "run"))
    checked(timed_command(words, **variables))
    watch = [*OURS, "status", str(folder / "run"), "--watch", "--interval", "0.5"]
    checked(timed_command(watch, **variables))
    return time.monotonic() - start


def _run_by_parsl(bps: Bps, machine: Machine, folder: Path) -> float:
    """Return the seconds that LSST's ctrl_bps_parsl takes, which waits for the end."""
    root = folder / "repo"
    MockPipeline(exposures=10, detectors=4).make(root)
    # One block with all slots; everything else is its default.
    site = {
        "class": "parsl_site.SlurmHere",
        "nodes": 1,
        "cores_per_node": 4,
        "walltime": "01:00:00",
    }
    settings = {
        "wmsServiceClass": "lsst.ctrl.bps.parsl.ParslService",
        "computeSite": "here",
        "site": {"here": {**site, "run_dir": str(folder / "runinfo")}},
    }
    words = bps.words("submit", bps.configure(root, folder / "bps", settings))
    path = f"{bps.environment / 'bin'}{os.pathsep}{machine.environment['PATH']}"
    variables = {**bps.variables, "SLURM_CONF": str(machine.configuration), "PATH": path}
    seconds = checked(timed_command(words, **variables)).seconds
    stored = sum(1 for path in root.rglob("exposure_summary*") if path.is_file())
    if stored != 10:  # bps succeeds whatever becomes of its jobs
        raise RuntimeError(f"bps with ctrl_bps_parsl has stored {stored} of 10 summaries; see {folder}")
    return seconds


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
