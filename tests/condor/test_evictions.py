"""What becomes of jobs that lose their machine."""

from __future__ import annotations

import contextlib
from pathlib import Path

from condor.plain_runs import PlainRun
from condor.pool import Pool
from pipetask.testing.plain_runs import wait_until

RUNNING = 2
"""A job's status."""


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
        evict(pool, 'DAGNodeName == "a-0"')
    assert run.wait()["phase"] == "failed"
    job = run.job("a-0")
    assert (job["NumJobStarts"], job.get("NumHolds", 0)) == (2, 0)
    assert run.starts(2) == 2
    assert [run.starts(position) for position in (0, 1)] == [1, 1]


def evict(pool: Pool, job: str) -> None:
    """Let a job that runs be evicted; a request may come to nothing on a busy machine, and is repeated then."""
    (begun,) = (ad["JobCurrentStartDate"] for ad in pool.jobs(job))

    def runs_on() -> bool:
        return any(ad["JobStatus"] == RUNNING and ad["JobCurrentStartDate"] == begun for ad in pool.jobs(job))

    for patience in (60, 60, 120):
        pool.query("condor_vacate_job", "-constraint", job)
        with contextlib.suppress(TimeoutError):
            return wait_until(lambda: not runs_on(), "it has left its machine", patience)
    raise TimeoutError("the job is still there")
