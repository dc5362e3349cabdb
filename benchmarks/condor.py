"""Delayed execution on HTCondor: writing, watching, and a whole run on a pool."""

from __future__ import annotations

import multiprocessing
import shutil
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from pipetask.executors.delayed.run_directory import RunDirectory
from pipetask.testing import MockPipeline

from .harness import HERE, OURS, Figure, checked, median, run_words, scratch, timed_command

__all__ = ["condor_90", "condor_status", "condor_writing"]

BPS_PREPARE = 100.0
"""Seconds that ``bps prepare`` took for 82,000 quanta, 82,012 files of 406 MB, with 1.0 GB of memory."""

_EVENTS = """\
000 ({job}.000.000) 2026-01-01 00:00:00 Job submitted from host: <127.0.0.1:9618?addrs=127.0.0.1-9618&sock=schedd_1>
    DAG Node: {node}
...
001 ({job}.000.000) 2026-01-01 00:00:10 Job executing on host: <127.0.0.1:9618?addrs=127.0.0.1-9618&sock=startd_1>
	SlotName: slot1_1@execute
	CondorScratchDir = "/execute/dir_{job}"
	Cpus = 1
	Memory = 2048
...
006 ({job}.000.000) 2026-01-01 00:05:00 Image size of job updated: 1000
	170  -  MemoryUsage of job (MB)
	174000  -  ResidentSetSize of job (KB)
...
005 ({job}.000.000) 2026-01-01 00:10:00 Job terminated.
	(1) Normal termination (return value 0)
		Usr 0 00:00:01, Sys 0 00:00:00  -  Run Remote Usage
		Usr 0 00:00:00, Sys 0 00:00:00  -  Run Local Usage
		Usr 0 00:00:01, Sys 0 00:00:00  -  Total Remote Usage
		Usr 0 00:00:00, Sys 0 00:00:00  -  Total Local Usage
	0  -  Run Bytes Sent By Job
	0  -  Run Bytes Received By Job
	0  -  Total Bytes Sent By Job
	0  -  Total Bytes Received By Job
...
"""


def condor_writing(repeat: int) -> Iterator[Figure]:
    """82,000 quanta: the whole command that writes the DAG."""
    with scratch() as folder:
        root, run_dir = _large(folder)
        seconds, memory = [], []
        for _ in range(repeat):
            shutil.rmtree(root)
            shutil.rmtree(run_dir, ignore_errors=True)
            shutil.copytree(folder / "repo", root)
            timed = checked(timed_command(_write(root, run_dir)))
            seconds.append(timed.seconds)
            memory.append(timed.peak_memory / 1e6)
        files = [path for path in run_dir.rglob("*") if path.is_file()]
        size = sum(path.stat().st_size for path in files) / 1e6
        ours = median(seconds)
        name = "82,000 quanta as an HTCondor DAG"
        ratio = BPS_PREPARE / ours
        yield Figure(f"{name}: whole command", ours, BPS_PREPARE, "bps prepare, recorded", "s", ratio, 15)
        yield Figure(f"{name}: files", len(files), 82_012, "bps prepare", "", len(files), 20, False)
        yield Figure(f"{name}: on disk", size, 406, "bps prepare", "MB", size, 30, False)
        peak = median(memory)
        yield Figure(f"{name}: peak memory", peak, 1000, "bps prepare", "MB", peak, 600, False)


def condor_status(repeat: int) -> Iterator[Figure]:
    """82,000 quanta: status from the event log of the whole run."""
    with scratch() as folder:
        root, run_dir = _large(folder)
        checked(timed_command(_write(root, run_dir)))
        with RunDirectory(run_dir).index() as index, (run_dir / "dagman/run.dag.nodes.log").open("w") as log:
            for job, node in enumerate(index.counts(), start=1):
                log.write(_EVENTS.format(job=job, node=node))
        command = [*OURS, "status", str(run_dir), "--json"]
        seconds = median(timed_command(command).seconds for _ in range(repeat))
        yield Figure(
            "82,000 quanta: `pipetask status`, whole command",
            seconds,
            None,
            "",
            "s",
            seconds,
            2,
            at_least=False,
        )


def condor_90(repeat: int) -> Iterator[Figure]:
    """90 small quanta on a pool of 4 slots on this machine, from submission to registration."""
    sys.path.insert(0, str(HERE.parent / "tests"))
    from condor.personal_pool import PersonalPool, PoolOptions

    seconds = []
    with PersonalPool(PoolOptions(cpus=4)) as pool:
        for number in range(repeat):
            root = pool.work / f"repo-{number}"
            MockPipeline(exposures=10, detectors=4).make(root)
            pool.hand_over(root)
            run_dir = pool.work / f"run-{number}"
            words = run_words([], root, "--mode", "condor", "--run-dir", str(run_dir))
            start = time.monotonic()
            assert pool.pipetask(*words).code == 0
            done = pool.pipetask("status", run_dir, "--watch", "--interval", "0.5")
            seconds.append(time.monotonic() - start)
            assert done.code == 0, done.out
    ours = median(seconds)
    name = "90 small quanta on 4 slots of a pool, from submission to registration"
    yield Figure(name, ours, 84, "bps submit, then stuck", "s", ours, 30, at_least=False)


def _large(folder: Path) -> tuple[Path, Path]:
    """Make a repository with a large graph; return a copy, and where to write."""
    # Elsewhere: a command's peak memory is never less than that of the process that started it.
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        pool.submit(_make, folder / "repo").result()
    shutil.copytree(folder / "repo", folder / "copy")
    return folder / "copy", folder / "run"


def _make(root: Path) -> None:
    MockPipeline(2000, 20, stored_inputs=False).make(root)


def _write(root: Path, run_dir: Path) -> list[str]:
    return run_words(OURS, root, "--mode", "condor", "--no-submit", "--run-dir", str(run_dir))
