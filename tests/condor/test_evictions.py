"""What becomes of jobs that lose their machine."""

from __future__ import annotations

from pathlib import Path

from condor.plain_runs import PlainRun
from condor.pool import Pool, wait_until


def test_an_evicted_job_begins_anew_within_its_budget_and_repeats_nothing(pool: Pool, work: Path) -> None:
    run = PlainRun(
        pool,
        work,
        {"a": 4},
        bombs=((2, "hang_until_defused"),),
        condor=("retries=1",),
        options={"bundle_size": 4},
    )
    run.submit()
    for times in (1, 2):
        wait_until(lambda: run.starts(2) == times, f"the quantum that hangs begins for the {times}. time")  # noqa: B023
        pool.query("condor_vacate_job", "-constraint", 'DAGNodeName == "a-0"')
    assert run.wait()["phase"] == "failed"
    job = run.job("a-0")
    assert (job["NumJobStarts"], job.get("NumHolds", 0)) == (2, 0)
    assert run.starts(2) == 2
    assert [run.starts(position) for position in (0, 1)] == [1, 1]
