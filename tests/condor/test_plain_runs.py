"""What becomes of runs on a real pool when things go wrong, with functions for quanta."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from condor.plain_runs import PlainRun
from condor.pool import Pool
from pipetask.batch.condor.layout import Layout
from pipetask.batch.condor.node_status import NodeStatusFile
from pipetask.batch.exit_codes import ExitCode
from pipetask.batch.status import NodeState
from pipetask.outcome import Status
from pipetask.testing.plain_runs import wait_until

CHAIN = {"a": 4, "b": 4}
EDGES = [(i, 4 + i) for i in range(4)]
PATIENT = "release_delay=0"


@pytest.fixture
def make_run(pool: Pool, work: Path) -> Callable[..., PlainRun]:
    return lambda counts=CHAIN, edges=EDGES, **more: PlainRun(pool, work, counts, edges, **more)


def test_a_killed_job_begins_anew_and_does_not_repeat_what_is_finished(
    make_run: Callable[..., PlainRun],
) -> None:
    run = make_run(bombs=((3, "kill_self_once"),), options={"bundle_size": 8})
    run.submit()
    assert run.wait()["phase"] == "succeeded"
    assert set(run.statuses().values()) == {Status.SUCCEEDED}
    assert [run.starts(position) for position in range(8)] == [1, 1, 1, 2, 1, 1, 1, 1]
    assert run.job("a_b")["NumJobStarts"] == 2


def test_a_segmentation_fault_is_no_want_of_memory_and_ends_within_its_budget(
    make_run: Callable[..., PlainRun],
) -> None:
    run = make_run(bombs=((2, "segfault"),), options={"bundle_size": 8}, condor=("retries=2",))
    run.submit()
    assert run.wait()["phase"] == "failed"
    statuses = run.statuses()
    assert statuses.pop(2) is Status.KILLED
    assert statuses.pop(6) is Status.BLOCKED
    assert set(statuses.values()) == {Status.SUCCEEDED}, (
        "who comes after the one that crashes runs all the same"
    )
    assert run.starts(2) == 3
    job = run.job("a_b")
    assert job["NumJobStarts"] == 3
    assert job.get("NumHolds", 0) == 0


def test_a_failure_is_tried_again_by_its_job_and_named_with_the_command_to_run_it(
    make_run: Callable[..., PlainRun], pool: Pool
) -> None:
    run = make_run(
        bombs=((0, "fail_until_defused"),), options={"bundle_size": 2}, condor=("error_retries=2",)
    )
    run.submit()
    status = run.wait()
    assert status["phase"] == "failed"
    assert status["quanta"] == {"a": {"failed": 1, "done": 3}, "b": {"blocked": 1, "done": 3}}
    assert run.starts(0) == 3
    assert run.job("a_b-0")["NumJobStarts"] == 1
    (log,) = (run.run_dir / "logs").glob("a_b-0.*.err")
    command = re.search(r"run it again: pipetask (.*)", log.read_text()).group(1)
    run.defuse()
    assert pool.pipetask(*command.split()).code == 0
    assert run.statuses()[0] is Status.SUCCEEDED
    assert run.starts(1) == 1


def test_a_failure_stops_what_needs_it_and_not_what_needs_its_neighbours(
    make_run: Callable[..., PlainRun],
) -> None:
    edges = [(0, 4), (1, 4), (2, 5), (3, 5)]
    run = make_run({"a": 4, "b": 2}, edges, bombs=((0, "repeatable_error"),), options={"bundle_size": 4})
    run.submit()
    status = run.wait()
    assert status["phase"] == "failed"
    assert status["nodes"] == {"failed": 1, "blocked": 1}
    assert status["quanta"] == {"a": {"failed": 1, "done": 3}, "b": {"blocked": 1, "done": 1}}
    assert run.job("a-0")["ExitCode"] == ExitCode.REPEATABLE
    assert run.job("b-1")["ExitCode"] == ExitCode.BLOCKED
    statuses = run.statuses()
    assert (statuses.pop(0), statuses.pop(4)) == (Status.FAILED, Status.BLOCKED)
    assert set(statuses.values()) == {Status.SUCCEEDED}
    assert len(statuses) == 4


def test_nodes_that_will_never_run_are_shown_as_blocked(make_run: Callable[..., PlainRun]) -> None:
    run = make_run(
        {"a": 2, "b": 1},
        [(0, 2), (1, 2)],
        bombs=((0, "repeatable_error"),),
        options={"bundle_size": 1},
        condor=("file_system=transfer",),
    )
    run.submit()
    status = run.wait()
    assert status["nodes"] == {"failed": 1, "done": 1, "blocked": 1}
    assert status["quanta"] == {"a": {"failed": 1, "done": 1}, "b": {"blocked": 1}}
    account = NodeStatusFile(Layout(run.run_dir).node_status).states()
    assert account == {"a-0": NodeState.FAILED, "b-2": NodeState.BLOCKED, "final": NodeState.FAILED}


def test_restart_runs_what_is_missing_after_a_failure(make_run: Callable[..., PlainRun]) -> None:
    run = make_run(bombs=((1, "fail_until_defused"),), options={"bundle_size": 2})
    run.submit()
    assert run.wait()["failed"] == ["a_b-1"]
    run.defuse()
    done = run.command("restart")
    assert done.code == 0, done.err
    assert "3 of 4 nodes are done" in done.err
    assert run.wait()["phase"] == "succeeded"
    assert [run.starts(position) for position in (0, 1, 2, 3)] == [1, 3, 1, 1]


def test_restart_takes_edited_settings_and_a_folder_that_has_moved(
    make_run: Callable[..., PlainRun],
) -> None:
    settings = ("attributes.Site=1", "error_retries=0")
    run = make_run(bombs=((1, "fail_until_defused"),), options={"bundle_size": 2}, condor=settings)
    run.submit()
    assert run.wait()["failed"] == ["a_b-1"]
    run.run_dir.rename(run.folder / "moved")
    moved = replace(run, name="moved")
    path = Layout(moved.run_dir).configuration
    content = yaml.safe_load(path.read_text())
    content["jobs"]["attributes"]["Site"] = 2
    content["dagman"]["batch_name"] = "at night"
    path.write_text(yaml.safe_dump(content))
    run.defuse()
    done = moved.command("restart")
    assert done.code == 0, done.err
    status = moved.status()
    assert "failed" not in status["nodes"], "of the submission before"
    assert status["nodes"]["done"] >= 3
    assert moved.wait()["phase"] == "succeeded"
    assert (moved.job("a_b-1")["Site"], moved.job("a_b-0")["Site"]) == (2, 1)
    assert moved.job("final")["JobBatchName"] == "at night"
    assert [run.starts(position) for position in range(4)] == [1, 2, 1, 1]


def test_cancel_and_restart(make_run: Callable[..., PlainRun], pool: Pool) -> None:
    run = make_run(bombs=((2, "hang_until_defused"),), options={"bundle_size": 2})
    run.submit()
    run.wait_for_node("done", 3)
    assert run.command("cancel").code == 0
    assert not pool.jobs(), "cancel returns when nothing is in the queue"
    assert run.command("status").code == 5
    again = run.command("cancel")
    assert again.code == 1
    assert "nothing to cancel" in again.err
    run.defuse()
    assert run.command("restart").code == 0
    assert run.wait()["phase"] == "succeeded"
    assert run.starts(0) == 1
    assert run.starts(2) == 2


def test_restart_after_condor_rm_forcex(make_run: Callable[..., PlainRun], pool: Pool) -> None:
    run = make_run(bombs=((2, "hang_until_defused"),), options={"bundle_size": 2})
    run.submit()
    run.wait_for_node("done", 3)
    (dagman,) = pool.jobs("JobUniverse == 7")
    pool.query("condor_rm", str(dagman["ClusterId"]))
    pool.query("condor_rm", "-forcex", "-constraint", "JobUniverse == 7")
    wait_until(lambda: not pool.jobs(), "all is gone")
    run.defuse()
    done = run.command("restart")
    assert done.code == 0, done.err
    assert run.wait()["phase"] == "succeeded"
    assert run.starts(0) == 1


def test_a_restart_of_what_runs_is_no_second_submission(
    make_run: Callable[..., PlainRun], pool: Pool
) -> None:
    run = make_run(bombs=((2, "hang_until_defused"),), options={"bundle_size": 2})
    run.submit()
    run.wait_for_node("running")
    done = run.command("restart")
    assert done.code == 0
    assert "in the queue already" in done.err
    assert len(pool.jobs("JobUniverse == 7")) == 1
    run.defuse()
    assert run.wait()["phase"] == "succeeded"


def test_a_submission_whose_answer_got_lost_is_found(make_run: Callable[..., PlainRun], pool: Pool) -> None:
    run = make_run(lose_answer=True)
    done = run.submit()
    (dagman,) = pool.jobs("JobUniverse == 7")
    assert f"Submitted as {dagman['ClusterId']}." in done.err
    assert run.wait()["phase"] == "succeeded"


def test_a_run_goes_on_when_the_schedd_comes_back(make_run: Callable[..., PlainRun], pool: Pool) -> None:
    run = make_run(bombs=((2, "hang_until_defused"),), options={"bundle_size": 2})
    run.submit()
    run.wait_for_node("done", 3)
    pool.restart_schedd()
    run.defuse()
    assert run.wait(180)["phase"] == "succeeded"
    assert run.starts(0) == 1


def test_a_job_that_a_person_holds_is_shown_and_runs_when_it_is_released(
    make_run: Callable[..., PlainRun], pool: Pool
) -> None:
    run = make_run({"a": 1}, (), bombs=((0, "hang_until_defused"),), condor=(PATIENT,))
    run.submit()
    run.wait_for_node("running")
    pool.query("condor_hold", "-constraint", "JobUniverse == 5")
    run.wait_for_node("held")
    status = run.command("status")
    assert status.code == 4
    assert "a-0 is held: via condor_hold" in status.out
    run.defuse()
    pool.query("condor_release", "-constraint", "JobUniverse == 5")
    assert run.wait()["phase"] == "succeeded"


def test_a_hold_by_accident_is_released(make_run: Callable[..., PlainRun], pool: Pool) -> None:
    # Its output cannot be opened: a hold of the kind that a full disk or a lost mount makes.
    run = make_run({"a": 1}, (), condor=("release_delay=2", "submit.output=logs/not/there"))
    run.submit()
    run.wait_for_node("held")
    (run.run_dir / "logs" / "not").mkdir()
    pool.hand_over(run.run_dir / "logs" / "not")
    assert run.wait()["phase"] == "succeeded"
    assert run.job("a")["NumHolds"] >= 1


@pytest.mark.parametrize("file_system", ["shared", "transfer"])
def test_memory_rises_after_running_out_of_it_and_restart_remembers(
    make_run: Callable[..., PlainRun], file_system: str
) -> None:
    run = make_run(
        {"a": 1, "b": 1},
        [(0, 1)],
        bombs=((0, "need_300_megabytes"), (1, "fail_until_defused")),
        condor=("request_memory=128", "memory_factor=2", "memory_limit=1GB", f"file_system={file_system}"),
    )
    run.submit()
    assert run.wait()["phase"] == "failed"
    assert run.statuses()[0] is Status.SUCCEEDED
    assert run.job("a_b")["NumHolds"] == 2
    assert run.job("a_b")["MemoryProvisioned"] >= 512
    assert "a_b-0 now asks for 512 MB." in run.command("restart").err
    assert run.wait()["phase"] == "failed"
    run.defuse()
    assert "a_b-0 now asks for 512 MB." in run.command("restart").err
    assert run.wait()["phase"] == "succeeded"
    assert run.job("a_b")["MemoryProvisioned"] >= 512
    assert run.job("a_b").get("NumHolds", 0) == 0


def test_memory_rises_to_the_limit_and_no_further(make_run: Callable[..., PlainRun]) -> None:
    run = make_run(
        {"a": 1},
        (),
        bombs=((0, "need_300_megabytes"),),
        condor=("request_memory=128", "memory_factor=2", "memory_limit=256"),
    )
    run.submit()
    status = run.wait()
    assert status["phase"] == "failed"
    assert status["failed"] == ["a-0"]
    assert run.job("a-0")["NumHolds"] == 2
    assert run.starts(0) == 2


def test_many_nodes_with_joins(make_run: Callable[..., PlainRun]) -> None:
    count = 30
    edges = [(i, count + j) for i in range(count) for j in range(count)]
    run = make_run({"a": count, "b": count}, edges, options={"bundle_size": 1})
    run.submit()
    lines = (run.run_dir / "dagman" / "run.dag").read_text().splitlines()
    assert sum(len(line) for line in lines if line.startswith("PARENT")) < 1_000, "there are 900 edges"
    status = run.wait(280)
    assert status["phase"] == "succeeded"
    assert status["nodes"] == {"done": 2 * count}
    last = max(float((run.folder / f"{run.id(i)}.end").read_text()) for i in range(count))
    first = min(
        float((run.folder / f"{run.id(count + i)}.start").read_text().split()[1]) for i in range(count)
    )
    assert last <= first


ODD = 'is r\'s "q" $(HOME) $ENV(X) {é} #1\nJOB evil.\\'


def test_odd_labels_and_odd_folders_break_nothing(make_run: Callable[..., PlainRun], work: Path) -> None:
    run = make_run(
        {ODD: 2, "b.c-d": 2},
        [(0, 2), (1, 3)],
        name="run 'of' \"ours\" #é",
        condor=('environment.ODD=it\'s "odd" $(HOME) é',),
    )
    run.submit()
    assert run.wait()["phase"] == "succeeded"
    assert set(run.statuses().values()) == {Status.SUCCEEDED}
