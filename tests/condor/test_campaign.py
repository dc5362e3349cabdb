"""The campaign on a real pool: a run is disturbed while a quantum hangs, and ends as if nothing had been."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import fault_tasks
from campaign.checks import EndState
from condor.pool import Pool
from conftest import run_pipetask
from pipetask.testing import MockPipeline
from pipetask.testing.plain_runs import wait_until

from condor.test_butler_runs import run, wait  # isort: skip

pytestmark = pytest.mark.campaign

JOBS = ("-constraint", "JobUniverse == 5")
DAGMAN = ("-constraint", "JobUniverse == 7")


def evict(pool: Pool, run_dir: Path) -> None:
    pool.query("condor_vacate_job", *JOBS)


def remove_the_job(pool: Pool, run_dir: Path) -> None:
    pool.query("condor_rm", *JOBS)


def remove_the_run(pool: Pool, run_dir: Path) -> None:
    pool.query("condor_rm", *DAGMAN)


FAULTS: dict[str, tuple[Callable[[Pool, Path], None], bool]] = {
    "a job is evicted": (evict, False),
    "a job is removed": (remove_the_job, True),
    "the run is removed": (remove_the_run, True),
}
"""What disturbs a run, and whether it has to be restarted."""


@pytest.mark.parametrize("name", FAULTS)
def test_a_disturbed_run_gets_there(name: str, pool: Pool, work: Path, tmp_path: Path) -> None:
    disturb, restarts = FAULTS[name]
    root, here, run_dir = work / "repo", tmp_path / "here", work / "run"
    bomb = {"bomb": "hang", "bomb_where": "exposure=1 AND detector=1", "bomb_folder": str(work)}
    configs = {"characterize": {**bomb, "bomb_once": True}}
    MockPipeline(configs=configs, task_classes={"characterize": fault_tasks.BombTask}).make(root)
    shutil.copytree(root, here)
    pool.hand_over(root)
    assert run(pool, root, "--bundle-by", "exposure").code == 0
    wait_until((work / "armed").exists, "a quantum hangs", 120)
    (work / "defused").touch()
    disturb(pool, run_dir)
    ended = wait(pool, run_dir)
    if restarts:
        assert ended.code != 0, ended.out
        assert pool.pipetask("restart", run_dir).code == 0
        ended = wait(pool, run_dir)
    assert ended.code == 0, ended.err
    base = ["run", "-b", str(here), "-g", str(here / "graph.qg"), "-o", "u/out", "-i", "input_chain"]
    assert run_pipetask(*base, "--register-dataset-types").code == 0
    assert EndState.of(root).complaints(EndState.of(here)) == []
