"""Graphs with a butler on a real pool, start to end."""

from __future__ import annotations

import json
import re
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import fault_tasks
from condor.personal_pool import PersonalPool
from condor.pool import Pool
from conftest import Finished, run_pipetask
from pipetask.testing import MockPipeline
from pipetask.testing.plain_runs import wait_until
from repository_dump import read_chain, read_collections, read_registry

PIPELINE = MockPipeline(exposures=2, detectors=3)


def run(pool: Pool, root: Path, *more: str, timeout: float = 400) -> Finished:
    """Run a graph in the pool's world, on the pool unless told otherwise."""
    base = ["run", "-b", root, "-g", root / "graph.qg", "-o", "u/out", "-i", "input_chain"]
    options = ["--register-dataset-types", "--mode", "condor", "--run-dir", root.parent / "run"]
    return pool.pipetask(*base, *options, *more, timeout=timeout)


def wait(pool: Pool, run_dir: Path) -> Finished:
    return pool.pipetask("status", run_dir, "--watch", "--interval", "0.5", timeout=400)


@pytest.fixture
def make_root(pool: Pool, work: Path) -> Callable[..., Path]:
    def make(pipeline: MockPipeline = PIPELINE, name: str = "repo") -> Path:
        pipeline.make(work / name)
        pool.hand_over(work / name)
        return work / name

    return make


def datasets(root: Path) -> set[tuple[str, str]]:
    """Return name and ID of all datasets that are registered, but for logs and what is never the same."""
    return {(row["dataset_type_id"], row["id"]) for row in read_registry(root)["dataset"]}


def test_what_is_registered_is_what_a_run_here_registers(
    pool: Pool, make_root: Callable[..., Path], tmp_path: Path
) -> None:
    root = make_root()
    shutil.copytree(root, tmp_path / "here")
    done = run(pool, root, "--wait")
    assert done.code == 0, done.err
    assert "14 quanta in" in done.err
    assert "succeeded: 14 succeeded" in done.err
    here = tmp_path / "here"
    base = ["run", "-b", str(here), "-g", str(here / "graph.qg"), "-o", "u/out", "-i", "input_chain"]
    assert run_pipetask(*base, "--register-dataset-types").code == 0
    assert datasets(root) == datasets(here)
    assert read_chain(root, "u/out") == read_chain(here, "u/out")
    finished = pool.pipetask("status", root.parent / "run")
    assert finished.code == 0
    assert "succeeded" in finished.out
    summary = json.loads((root.parent / "run" / "summary.json").read_text())
    assert summary["counts"] == {
        "isr": {"succeeded": 6},
        "characterize": {"succeeded": 6},
        "gather": {"succeeded": 2},
    }


def test_what_succeeded_is_registered_when_something_failed_and_restart_completes_it(
    pool: Pool, make_root: Callable[..., Path], work: Path
) -> None:
    bomb = {"bomb": "fail", "bomb_where": "exposure=1 AND detector=1", "bomb_folder": str(work)}
    pipeline = MockPipeline(
        exposures=2,
        detectors=3,
        configs={"characterize": {**bomb, "bomb_once": True}},
        task_classes={"characterize": fault_tasks.BombTask},
    )
    root, run_dir = make_root(pipeline), work / "run"
    assert run(pool, root, "--bundle-by", "exposure", "--retries", "3", "--error-retries", "2").code == 0
    assert wait(pool, run_dir).code == 1
    quanta = json.loads((run_dir / "summary.json").read_text())["quanta"]
    (failed,) = (quantum for quantum in quanta if quantum["outcome"] == "failed")
    assert (failed["attempt"], len(failed["earlierAttempts"])) == (3, 2)
    jobs = pool.history('regexp("^isr_characterize_gather", DAGNodeName)')[
        :2
    ]  # of this run; the last come first
    assert [re.findall(r"> (\d+)", job["OnExitRemove"]) for job in jobs] == [["3"], ["3"]]
    names = [name for name, _ in datasets(root)]
    assert names.count("calibrated") == 5
    assert names.count("exposure_summary") == 1
    report = pool.pipetask("report", run_dir)
    assert report.code == 1
    assert "ValueError: bomb" in report.err
    assert f"run it alone: pipetask run-node {run_dir} " in report.err
    (work / "defused").touch()
    assert pool.pipetask("restart", run_dir).code == 0
    assert wait(pool, run_dir).code == 0
    names = [name for name, _ in datasets(root)]
    assert names.count("calibrated") == 6
    assert names.count("exposure_summary") == 2
    assert names.count("characterize_metadata") == 6
    summary = json.loads((run_dir / "summary.json").read_text())
    assert summary["outcome"] == "succeeded"
    assert summary["counts"]["isr"] == {"succeeded": 6}


@pytest.mark.parametrize("before", ["nothing", "condor_hold", "condor_rm -forcex"])
def test_cancel_registers_what_is_done(
    pool: Pool, make_root: Callable[..., Path], work: Path, before: str
) -> None:
    # Others wait for what hangs, and must not begin when it is removed.
    bomb = {"bomb": "hang", "bomb_where": "exposure=1 AND detector=1", "bomb_folder": str(work)}
    configs = {"characterize": {**bomb, "bomb_once": True}}
    pipeline = MockPipeline(configs=configs, task_classes={"characterize": fault_tasks.BombTask})
    root, run_dir = make_root(pipeline), work / "run"
    assert run(pool, root, "--bundle-size", "1").code == 0
    pool.wait_for_state(run_dir, "gather", "done", timeout=400)
    wait_until(lambda: (work / "armed").exists(), "another one hangs")
    if before != "nothing":
        dagman = ("-constraint", "JobUniverse == 7")
        if before.startswith("condor_rm"):
            pool.query("condor_rm", *dagman)
        pool.query(*before.split(), *dagman)
    done = pool.pipetask("cancel", run_dir, timeout=400)
    assert done.code == 0, done.err
    assert "; 8 of 10 quanta are done and registered." in done.err
    assert not pool.jobs()
    assert ("it is registered here" in done.err) == (before != "nothing")
    names = [name for name, _ in datasets(root)]
    assert names.count("exposure_summary") == 1
    assert names.count("calibrated") == 3
    again = pool.pipetask("cancel", run_dir)
    assert (again.code, "nothing to cancel" in again.err) == (1, True)
    (work / "defused").touch()
    assert pool.pipetask("restart", run_dir).code == 0
    assert wait(pool, run_dir).code == 0
    assert [name for name, _ in datasets(root)].count("exposure_summary") == 2


def test_the_first_job_makes_the_registry_ready_where_that_was_put_off(
    pool: Pool, make_root: Callable[..., Path], work: Path
) -> None:
    root = make_root()
    python = work / "python"
    python.write_text(f'#!/bin/sh\ntest -e {work}/defused && exec {sys.executable} "$@"\n')
    python.chmod(0o755)
    options = ["--registry-pre-update", "deferred", "--no-submit", "--condor", f"nodes.first.python={python}"]
    assert run(pool, root, *options).code == 0
    assert "u/out" not in read_collections(root)
    assert pool.pipetask("restart", work / "run").code == 0
    assert wait(pool, work / "run").code == 1
    assert not list((work / "run" / "outcomes").iterdir()), "no node runs without a registry"
    report = pool.pipetask("report", work / "run")
    assert report.err.startswith(f"pipetask: The first job of {work / 'run'} has not made the registry ready")
    ended = pool.pipetask("cancel", work / "run")
    assert (ended.code, "its output run is free again" in ended.err) == (0, True)
    (work / "defused").touch()
    assert pool.pipetask("restart", work / "run").code == 0
    assert wait(pool, work / "run").code == 0
    assert read_chain(root, "u/out")[0] == "u/out/run"
    assert [name for name, _ in datasets(root)].count("exposure_summary") == 2
    assert (work / "run" / "registry.ready").exists()


def test_an_interrupt_leaves_the_run_alone(pool: Pool, make_root: Callable[..., Path], work: Path) -> None:
    root = make_root()
    base = ["run", "-b", root, "-g", root / "graph.qg", "-o", "u/out", "-i", "input_chain", "--wait"]
    command = [*base, "--register-dataset-types", "--mode", "condor", "--run-dir", work / "run"]
    process = pool.start("python", "-m", "pipetask.cli", *command)
    wait_until(lambda: bool(pool.jobs()), "it is submitted")
    pool.send_signal(process, signal.SIGINT)
    _, err = process.communicate()
    assert process.returncode == 130
    assert "The run goes on." in err
    assert wait(pool, work / "run").code == 0
    assert [name for name, _ in datasets(root)].count("exposure_summary") == 2


def test_too_small_slots_are_told_at_submission(pool: Pool, make_root: Callable[..., Path]) -> None:
    root = make_root()
    before = read_registry(root)
    done = run(pool, root, "--condor", "labels.isr.request_memory=900GB")
    assert done.code == 1
    assert "Jobs of task 'isr' ask for 921600 MB" in done.err
    assert "largest slot" in done.err
    assert read_registry(root) == before
    assert not (root.parent / "run").exists()
    assert run(pool, root, "--condor", "labels.isr.request_memory=900GB", "--no-submit").code == 0
    done = pool.pipetask("restart", root.parent / "run")
    assert done.code == 1
    assert "Jobs of tasks 'isr', 'characterize' ask for 921600 MB" in done.err
    assert not pool.jobs()


def test_without_a_schedd_nothing_is_touched(pool: Pool, make_root: Callable[..., Path]) -> None:
    root = make_root()
    before = read_registry(root)
    with pool.without_schedd():
        done = run(pool, root)
    assert done.code == 1
    assert done.err.startswith("pipetask: HTCondor: no schedd answers")
    assert done.err.count("\n") == 1
    assert read_registry(root) == before


def test_a_changed_graph_is_not_run(pool: Pool, make_root: Callable[..., Path], work: Path) -> None:
    root = make_root()
    assert run(pool, root, "--no-submit").code == 0
    with (work / "run" / "graph.qg").open("ab") as out:
        out.write(b"more")
    done = pool.pipetask("restart", work / "run")
    assert done.code == 1
    assert "graph.qg has changed since the run was written" in done.err


MAKE_REPOSITORY = """
from pathlib import Path; from pipetask.testing import MockPipeline
MockPipeline(8).make(Path("/tmp/repo"))
"""

LIST_DATASETS = """
import sys; from pathlib import Path; from repository_dump import read_registry
print(sorted((row["dataset_type_id"], row["id"]) for row in read_registry(Path(sys.argv[1]))["dataset"]))
"""


def test_jobs_that_do_not_see_the_run_directory_get_a_part_of_it_and_send_outcomes(
    make_pool: Callable[..., PersonalPool],
) -> None:
    pool = make_pool(shared=False)
    # Both machines reach the repository, in the /tmp of their world; the run directory only one of them does.
    assert pool.run("python", "-c", MAKE_REPOSITORY).code == 0
    assert pool.run("cp", "-r", "/tmp/repo", "/tmp/here").code == 0
    run_dir = pool.work / "run"
    options = ["-g", "/tmp/repo/graph.qg", "-o", "u/out", "-i", "input_chain", "--register-dataset-types"]
    condor = ["--mode", "condor", "--run-dir", run_dir, "--condor", "file_system=transfer", "--wait"]
    done = pool.pipetask("run", "-b", "/tmp/repo", *options, *condor, "--bundle-size", "8", timeout=400)
    assert done.code == 0, done.err
    assert len(list((run_dir / "outcomes").rglob("*.outcomes"))) == 5
    ads = pool.history("PipetaskLabels isnt undefined")
    assert sorted(ad["TransferInput"].split("/")[1] for ad in ads) == ["00", "01", "01", "02", "02"]
    for ad in ads:
        common, part = ["run.json", "recipe.pickle"], ad["TransferInput"].split(",")[-1]
        files = [run_dir / name for name in (*common, f"{part}graph.qg", f"{part}index.sqlite")]
        assert ad["BytesRecvd"] == sum(file.stat().st_size for file in files)
    here = pool.pipetask("run", "-b", "/tmp/here", *options)
    assert here.code == 0, here.err
    there, here = (pool.run("python", "-c", LIST_DATASETS, root) for root in ("/tmp/repo", "/tmp/here"))
    assert "exposure_summary" in here.out
    assert there.out == here.out
