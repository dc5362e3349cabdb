"""Batch runs on HTCondor: writing, watching, and a whole run on a pool."""

from __future__ import annotations

import multiprocessing
import shutil
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipetask.batch.run_directory import RunDirectory
from pipetask.testing import MockPipeline

from .bps import Bps
from .harness import HERE, OURS, Figure, Timed, checked, median, run_words, scratch, timed_command

if TYPE_CHECKING:
    from condor.pool import Pool

__all__ = ["condor_90", "condor_status", "condor_writing", "run_on_pool"]


@dataclass(frozen=True)
class Submission:
    """What it took to write a submission, and what was written."""

    seconds: float
    memory: float
    """Peak memory in MB."""

    files: float
    size: float
    """Size of all files in MB."""

    @classmethod
    def of(cls, timed: Timed, folder: Path) -> Submission:
        sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
        return cls(checked(timed).seconds, timed.peak_memory / 1e6, len(sizes), sum(sizes) / 1e6)


BPS_PREPARE = Submission(seconds=100, memory=1000, files=82_012, size=406)
"""What ``bps prepare`` once took for 82,000 quanta, for where it is not installed."""

BPS_SUBMIT = 84.0
"""Seconds that ``bps submit`` once took for 90 quanta, without its last job, which never started."""

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
016 ({job}.000.000) 2026-01-01 00:10:01 POST Script terminated.
	(1) Normal termination (return value 0)
    DAG Node: {node}
...
"""


def condor_writing(repeat: int) -> Iterator[Figure]:
    """82,000 quanta: the whole command that writes the DAG."""
    bps = Bps.find()
    with scratch() as folder:
        root, run_dir = _large(folder)
        ours = _medians([_written_by_us(folder / "repo", root, run_dir) for _ in range(repeat)])
        peer = _written_by_bps(bps, folder) if bps else BPS_PREPARE
    name = "82,000 quanta as an HTCondor DAG"
    against = "bps prepare" if bps else "bps prepare, recorded"
    ratio = peer.seconds / ours.seconds
    yield Figure(f"{name}: whole command", ours.seconds, peer.seconds, against, "s", ratio, 15)
    yield Figure(f"{name}: files", ours.files, peer.files, against, "", ours.files, 20, at_least=False)
    yield Figure(f"{name}: on disk", ours.size, peer.size, against, "MB", ours.size, 30, at_least=False)
    yield Figure(
        f"{name}: peak memory", ours.memory, peer.memory, against, "MB", ours.memory, 600, at_least=False
    )


def _written_by_us(template: Path, root: Path, run_dir: Path) -> Submission:
    shutil.rmtree(root)
    shutil.rmtree(run_dir, ignore_errors=True)
    shutil.copytree(template, root)
    return Submission.of(timed_command(_write(root, run_dir)), run_dir)


def _written_by_bps(bps: Bps, folder: Path) -> Submission:
    submit_dir = folder / "bps"
    words = bps.words("prepare", bps.configure(folder / "repo", submit_dir))
    return Submission.of(timed_command(words, CONDOR_CONFIG="ONLY_ENV", **bps.variables), submit_dir)


def _medians(submissions: list[Submission]) -> Submission:
    return Submission(*map(median, zip(*map(astuple, submissions), strict=True)))


def condor_status(repeat: int) -> Iterator[Figure]:
    """82,000 quanta: status from the event log of the whole run, bundled as by default and not at all."""
    with scratch() as folder:
        root, run_dir = _large(folder)
        for bundling, more in (("", []), (", --bundle-size 1", ["--bundle-size", "1"])):
            shutil.rmtree(root)
            shutil.copytree(folder / "repo", root)
            shutil.rmtree(run_dir, ignore_errors=True)
            checked(timed_command([*_write(root, run_dir), *more]))
            nodes = _log_a_whole_run(run_dir)
            command = [*OURS, "status", str(run_dir), "--json"]
            seconds = median(timed_command(command).seconds for _ in range(repeat))
            name = f"82,000 quanta in {nodes:,} nodes: `pipetask status`{bundling}, whole command"
            yield Figure(name, seconds, None, "", "s", seconds, 2, at_least=False)


def _log_a_whole_run(run_dir: Path) -> int:
    """Write the events of all jobs of a run, and return how many there are."""
    with RunDirectory(run_dir).index() as index, (run_dir / "dagman/run.dag.nodes.log").open("w") as log:
        nodes = index.counts()
        log.writelines(_EVENTS.format(job=job, node=node) for job, node in enumerate(nodes, start=1))
    return len(nodes)


def condor_90(repeat: int) -> Iterator[Figure]:
    """90 small quanta on a pool of 4 slots on this machine, from submission to registration."""
    sys.path.insert(0, str(HERE.parent / "tests"))
    from condor.personal_pool import PersonalPool, PoolOptions

    bps = Bps.find()
    with PersonalPool(PoolOptions(cpus=4, seen=bps.folders if bps else ())) as pool:
        ours = median(run_on_pool(pool, number) for number in range(repeat))
        peer = _run_by_bps(pool, bps) if bps else BPS_SUBMIT
    name = "90 small quanta on 4 slots of a pool, from submission to registration"
    against = "bps submit, small last job" if bps else "bps submit, then stuck, recorded"
    yield Figure(name, ours, peer, against, "s", ours, 30, at_least=False)


def run_on_pool(pool: Pool, number: int) -> float:
    """Run 90 small quanta on a pool, and return the seconds from submission to registration."""
    root = _small(pool, f"repo-{number}")
    run_dir = pool.work / f"run-{number}"
    start = time.monotonic()
    submitted = pool.pipetask(*run_words([], root, "--mode", "condor", "--run-dir", str(run_dir)))
    assert submitted.code == 0, submitted.err
    done = pool.pipetask("status", run_dir, "--watch", "--interval", "0.5")
    assert done.code == 0, done.out
    return time.monotonic() - start


def _run_by_bps(pool: Pool, bps: Bps) -> float:
    submit_dir = pool.work / "bps"
    words = bps.words("submit", bps.configure(_small(pool, "repo-bps"), submit_dir))
    start = time.monotonic()
    submitted = pool.run(*words, env=bps.variables)
    assert submitted.code == 0, submitted.err
    (log,) = submit_dir.glob("*.dag.dagman.log")
    pool.run("condor_wait", log, timeout=900)
    seconds = time.monotonic() - start
    assert "(return value 0)" in log.read_text(), log.read_text()
    return seconds


def _small(pool: Pool, name: str) -> Path:
    """Make a repository with a graph of 90 quanta that the pool's user can write to."""
    root = pool.work / name
    MockPipeline(exposures=10, detectors=4).make(root)
    pool.hand_over(root)
    return root


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
