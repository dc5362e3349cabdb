"""What goes wrong with jobs on a real Slurm, and what becomes of the run then."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from pipetask import ExecutionContext
from pipetask.batch.exit_codes import ExitCode
from pipetask.batch.outcomes import attempts_of
from pipetask.batch.replay import ReplayExecutor, Standing
from pipetask.batch.run_directory import RunDirectory
from pipetask.batch.systems import system_of
from pipetask.outcome import Status
from pipetask.testing import CallSpec, MockPipeline, enumerated
from pipetask.testing.plain_runs import LocalBench, PlainRun, wait_until
from pipetask.testing.work import Misbehaviour
from slurm.machine import Machine
from slurm.plain_systems import SETTINGS
from slurm.wrapped import wrap
from small_disk import small_disk

from conftest import run_pipetask  # isort: skip

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("on_path")]

Make = Callable[..., PlainRun]
PAIRS = [(i, 4 + i) for i in range(4)]


@pytest.fixture
def make_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """Return a function that describes a run: settings of Slurm, and then what `PlainRun` takes."""

    def make(settings: Sequence[str] = (), counts: Mapping[str, int] | None = None, *more: Any) -> PlainRun:
        monkeypatch.setenv(SETTINGS, json.dumps(settings))
        bench = LocalBench("slurm.plain_systems:system", tmp_path)
        return PlainRun(bench, counts or {"a": 1}, *more)

    return make


def rounds(run: PlainRun) -> int:
    return len(list((run.path / "slurm").glob("round-*")))


def exit_codes(run: PlainRun, node: int = 0) -> list[int | None]:
    return [attempt.exit_code for attempt in attempts_of(RunDirectory(run.path).outcomes, node)]


def test_a_job_that_needs_more_memory_asks_for_it_in_place(machine: Machine, make_run: Make) -> None:
    run = make_run((), {"a": 2, "b": 2}, [(0, 2), (1, 3)], {0: Misbehaviour.RUN_OUT_OF_MEMORY_ONCE})
    run.submit()
    assert run.wait()["phase"] == "succeeded"
    assert exit_codes(run) == [ExitCode.OUT_OF_MEMORY, ExitCode.DONE]
    asked = [attempt.memory for attempt in attempts_of(RunDirectory(run.path).outcomes, 0)]
    assert asked == [400, 800]
    assert (rounds(run), run.attempts(2)) == (1, 1), "nothing else was submitted or run again"


@pytest.mark.usefixtures("short_minutes")
def test_a_job_that_reaches_its_walltime_gets_more(machine: Machine, make_run: Make) -> None:
    bad = {1: Misbehaviour.HANG_UNTIL_MENDED}
    run = make_run(["time=1min"], {"a": 2}, (), bad, {"bundle_size": 2})
    run.submit()
    wait_until(lambda: exit_codes(run)[:1] not in ([], [None]), "the first attempt has ended", 200)
    run.work.mend()
    assert run.wait()["phase"] == "succeeded"
    assert exit_codes(run) == [ExitCode.UNFINISHED, ExitCode.DONE]
    assert [run.attempts(id) for id in range(2)] == [1, 2]
    assert rounds(run) == 1


def test_a_job_that_is_killed_for_its_memory_is_told_apart_and_gets_more(
    make_machine: Callable[..., Machine], make_run: Make
) -> None:
    make_machine(settings={"JobAcctGatherParams": "OverMemoryKill"})
    settings = ["memory=10MB", "memory_factor=50", "nodes.final.memory=400MB", "retries=0"]
    run = make_run(settings, {"a": 1}, (), {0: Misbehaviour.HANG_UNTIL_MENDED})
    run.submit()
    wait_until(lambda: rounds(run) == 2, "it is submitted again", 120)
    run.work.mend()
    assert run.wait()["phase"] == "succeeded"
    assert rounds(run) == 2
    causes = json.loads((run.path / "slurm" / "round-002" / "round.json").read_text())["causes"]
    assert causes == {"a-0": "memory"}


def test_each_way_to_end_is_told_in_one_sentence(
    make_machine: Callable[..., Machine], make_run: Make
) -> None:
    machine = make_machine(slots=6, settings={"JobAcctGatherParams": "OverMemoryKill"})
    settings = [
        "retries=0",
        "labels.a.memory=10MB",
        "labels.a.memory_limit=10MB",
        "labels.c.requeue=false",
        "labels.c.cpus=2",
        "labels.d.time_limit=1h",
        "labels.f.sbatch.begin=now+1hour",
        "labels.g.python=/no/such/python",
    ]
    counts = dict.fromkeys("abcdefg", 1)
    bad = dict.fromkeys(range(5), Misbehaviour.HANG_UNTIL_MENDED) | {4: Misbehaviour.KILL_PROCESS_ONCE}
    run = make_run(settings, counts, (), bad)
    run.submit()
    for position in (1, 2, 3, 4):
        run.wait_until_begun(position)
    cancelled, overdue, waiting = (element(machine, run, position) for position in (1, 3, 5))
    machine.run("scancel", cancelled, waiting)
    # The limit is looked at twice a minute, and its unit is a minute; the machine's owner may set any end.
    machine.run("scontrol", "update", f"jobid={overdue}", "EndTime=now+1")
    wait_until(lambda: state_of(machine, cancelled) == "CANCELLED", "it ends", 60)
    wait_until(lambda: state_of(machine, overdue) == "TIMEOUT", "its time is over", 90)
    machine.submit("true", "-p", "urgent", "-c", "6")
    assert run.wait()["phase"] == "failed"
    assert run.status()["reasons"] == {
        "a-0": "its job used more memory than it had asked for",
        "b-1": "its job was cancelled with scancel",
        "c-2": "its job was preempted",
        "d-3": "its job reached its walltime",
        "e-4": "its job was killed or has vanished; Slurm does not say why (see its log)",
        "f-5": "its job was cancelled with scancel",
        "g-6": "its job could not start the program (see its log): check the settings python and container",
    }
    assert "Given up, because its job was preempted: c-2." in run.command("status").stdout
    assert rounds(run) == 1
    directory = RunDirectory(run.path)
    graph = enumerated(counts)
    context = ExecutionContext(graph, CallSpec(run.work))
    standing = Standing(how_ended=system_of(directory).watch(directory).how_ended)
    executor = ReplayExecutor(directory, register=False, standing=standing)
    reasons = {outcome.id: outcome.reason for outcome in executor.execute(graph, context)}
    context.stop.close()
    assert reasons[0] == f"its node a-0 did not get to its end: {run.status()['reasons']['a-0']}"


def element(machine: Machine, run: PlainRun, array: int) -> str:
    """Return what Slurm calls the element of an array of the first round."""
    comment = f"pipetask {RunDirectory(run.path).facts.id} 1 {array}"
    (found,) = (job.id for job in machine.jobs() if job.comment == comment)
    return found


def state_of(machine: Machine, element: str) -> str:
    return machine.states(element.partition("_")[0])[element]


def test_a_job_that_is_preempted_runs_again_as_often_as_it_may(machine: Machine, make_run: Make) -> None:
    bad = dict.fromkeys(range(2), Misbehaviour.HANG_UNTIL_MENDED)
    run = make_run(["cpus=2", "labels.b.restarts=0"], {"a": 1, "b": 1}, (), bad)
    run.submit()
    for position in (0, 1):
        run.wait_until_begun(position)
    machine.run("scontrol", "requeue", element(machine, run, 1))
    urgent = machine.submit("true", "-p", "urgent", "-c", "4")
    wait_until(lambda: set(machine.states(urgent).values()) == {"COMPLETED"}, "the urgent job has run", 60)
    run.work.mend()
    assert run.wait()["phase"] == "failed"
    assert run.status()["reasons"] == {
        "b-1": "Slurm has started its job again more often than it may (restarts)"
    }
    assert ([run.attempts(position) for position in (0, 1)], rounds(run)) == ([2, 1], 1)


DEAF_ONCE = """#!/bin/sh
mkdir "$0.asked" 2>/dev/null || exec {real} "$@"
echo 'squeue: error: Unable to contact slurm controller (connect failure)' >&2
exit 1
"""
"""A program that gets no answer the first time."""


def test_a_node_that_fails_takes_nothing_with_it(
    make_machine: Callable[..., Machine], make_run: Make, tmp_path: Path
) -> None:
    """Only the queue says that it did, so the final job asks until there is an answer."""
    machine = make_machine()
    bad = dict.fromkeys((1, 3), Misbehaviour.HANG_UNTIL_MENDED)
    path = wrap(tmp_path / "bin", DEAF_ONCE, "squeue")
    settings = ["labels.c.requeue=false", "labels.c.retries=0", f"nodes.final.environment.PATH={path}"]
    run = make_run(settings, {"a": 2, "b": 1, "c": 1}, [(0, 2), (1, 2)], bad)
    run.submit()
    for position in (1, 3):
        run.wait_until_begun(position)
    wait_until(lambda: run.statuses().get(0) is Status.SUCCEEDED, "the other one is done", 60)
    machine.kill("n1")
    machine.kill_jobs()
    # The controller would see that by itself, in a minute or two.
    machine.run("scontrol", "update", "nodename=n1", "state=down", "reason=dead")
    run.work.mend()
    machine.start("n1")
    # It comes back by itself, too, and then there is nothing to resume.
    machine.run("scontrol", "update", "nodename=n1", "state=resume", check=False)
    assert run.wait()["phase"] == "failed"
    assert [run.attempts(position) for position in range(4)] == [1, 2, 1, 1]
    (reason,) = run.status()["reasons"].values()
    assert reason == "the machine of its job failed"
    assert (tmp_path / "bin" / "squeue.asked").exists()


def test_a_slurm_with_small_limits_that_forgets_jobs_at_once_runs_all(
    make_machine: Callable[..., Machine], make_run: Make
) -> None:
    make_machine(settings={"MaxArraySize": "5", "MaxJobCount": "14", "MinJobAge": "2"})
    edges = [(i, 20 + i) for i in range(20)]
    run = make_run((), {"a": 20, "b": 20}, edges, {0: Misbehaviour.FAIL}, {"bundle_size": 1})
    done = run.submit()
    assert "Slurm has room for " in done.stdout + done.stderr
    assert run.wait()["phase"] == "failed"
    statuses = run.statuses()
    assert (statuses.pop(0), statuses.pop(20)) == (Status.FAILED, Status.BLOCKED)
    assert set(statuses.values()) == {Status.SUCCEEDED}
    assert len(statuses) == 38
    assert [run.attempts(position) for position in range(40)] == [1] * 20 + [0] + [1] * 19


def test_a_final_job_waits_for_room_in_a_queue_that_others_have_filled(
    make_machine: Callable[..., Machine], make_run: Make
) -> None:
    """There is room for what has to run again, and none for the final job after it."""
    machine = make_machine(settings={"MaxJobCount": "12", "MinJobAge": "2"})
    bad = {0: Misbehaviour.KILL_PROCESS_ONCE}
    run = make_run(["slurm.patience=5"], {"a": 1}, (), bad, {"submit": False})
    run.submit()
    others = machine.submit("true", "--hold", "--array=0-8")  # 11 jobs are the most
    assert run.command("restart").returncode == 0
    waits = "The final job waits until it can submit what has to run again: Slurm takes no more jobs"
    watch = system_of(RunDirectory(run.path)).watch(RunDirectory(run.path))
    wait_until(lambda: any(note.startswith(waits) for note in watch.look().notes), "it waits", 60)
    machine.run("scancel", others)
    assert run.wait()["phase"] == "succeeded"
    assert (run.attempts(0), rounds(run)) == (2, 2)


@pytest.mark.parametrize("missing", ["scontrol", "squeue"])
def test_where_jobs_may_not_submit_a_restart_does_it_by_hand(
    machine: Machine, make_run: Make, tmp_path: Path, missing: str
) -> None:
    """Also if that is found out when the jobs of the next round are in the queue already."""
    bare = tmp_path / "bare"
    bare.mkdir()
    for program in {"sed", "ln", "sbatch", "scontrol", "squeue", "scancel"} - {missing}:
        (bare / program).symlink_to(shutil.which(program) or program)
    bad = {0: Misbehaviour.KILL_PROCESS_ONCE, 1: Misbehaviour.FAIL}
    run = make_run([f"nodes.final.environment.PATH={bare}"], {"a": 2, "b": 2}, [(0, 2), (1, 3)], bad)
    run.submit()
    assert run.wait()["phase"] == "failed"
    (note, *_) = run.status()["notes"]
    assert note == (
        f"In the final job, what has to run again was not submitted from a job (Slurm's command {missing} is not on "
        f"PATH: call pipetask where jobs can be submitted.); submit it with: pipetask restart {run.path}."
    )
    assert run.command("restart").returncode == 0
    assert run.wait()["phase"] == "failed"
    assert run.statuses() == {
        0: Status.SUCCEEDED,
        1: Status.FAILED,
        2: Status.SUCCEEDED,
        3: Status.BLOCKED,
    }


def test_a_disk_that_gets_full_loses_nothing(machine: Machine, make_run: Make, tmp_path: Path) -> None:
    """What cannot be noted does not begin, and runs when there is room again."""
    edges = [(0, 2), (0, 3), (1, 2), (1, 3)]
    bad = {0: Misbehaviour.HANG_UNTIL_MENDED}
    with small_disk(tmp_path / "disk", "2m") as disk:
        run = make_run((), {"a": 2, "b": 2}, edges, bad, {"bundle_size": 1}, "disk/run")
        run.submit()
        run.wait_until_begun(0)
        wait_until(lambda: run.statuses().get(1) is Status.SUCCEEDED, "the other one is done", 120)
        disk.fill()
        run.work.mend()
        comment = f"pipetask {RunDirectory(run.path).facts.id} 1 1"
        wait_until(
            lambda: {job.state for job in machine.jobs() if job.comment == comment} == {"FAILED"},
            "those that come after have failed",
            120,
        )
        assert [run.attempts(position) for position in (2, 3)] == [0, 0]
        disk.free()
        assert run.wait()["phase"] == "succeeded"
        assert run.statuses() == dict.fromkeys(range(4), Status.SUCCEEDED)
        assert [run.attempts(position) for position in (1, 2, 3)] == [1, 1, 1]


def test_a_first_job_that_fails_ends_the_run_at_once(machine: Machine, tmp_path: Path) -> None:
    """Without rounds, and without what waits for it having waited; a restart goes on when it is put right."""
    root, run = tmp_path / "repo", tmp_path / "run"
    MockPipeline(exposures=2, detectors=1).make(root)
    words = [
        "-b",
        str(root),
        "-g",
        f"{root}/graph.qg",
        "-o",
        "u/out",
        "-i",
        "input_chain",
        "--run-dir",
        str(run),
    ]
    words += ["--register-dataset-types", "--registry-pre-update", "deferred", "--mode", "slurm"]
    settings = ("memory=400MB", "nodes.first.python=/bin/false")
    done = run_pipetask("run", *words, *(word for each in settings for word in ("--slurm", each)))
    assert done.code == 0, done.err
    status = json.loads(run_pipetask("status", str(run), "--watch", "--interval", "0.5", "--json").out)
    assert status["phase"] == "failed"
    assert set(status["reasons"].values()) == {
        "the first job has not made the registry ready (see logs/first.*)"
    }
    assert len(list((run / "slurm").glob("round-*"))) == 1
    settings_file = run / "slurm" / "slurm.yaml"
    settings_file.write_text(settings_file.read_text().replace("/bin/false", "''"))
    assert run_pipetask("restart", str(run)).code == 0
    assert (
        json.loads(run_pipetask("status", str(run), "--watch", "--interval", "0.5", "--json").out)["phase"]
        == "succeeded"
    )


def test_a_controller_that_hangs_doubles_nothing_and_ends_nothing(
    machine: Machine, make_run: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(
        ["slurm.patience=5"],
        {"a": 4, "b": 4},
        PAIRS,
        {2: Misbehaviour.HANG_UNTIL_MENDED},
        {"bundle_size": 1, "submit": False},
    )
    run.submit()
    with monkeypatch.context() as paths:
        paths.setenv("PATH", f"{_hanging_at_second(machine, tmp_path)}{os.pathsep}{os.environ['PATH']}")
        done = run.command("restart")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "hung").exists()
    run.wait_until_begun(2)
    with machine.paused():
        assert run.status()["phase"] == "running"
        assert "What runs is not known: Slurm does not answer" in run.command("status").stdout
    run.work.mend()
    assert run.wait()["phase"] == "succeeded"
    assert [run.attempts(position) for position in range(8)] == [1] * 8
    ours = {
        job
        for job in machine.jobs()
        if job.comment.startswith(f"pipetask {RunDirectory(run.path).facts.id} ")
    }
    assert {job.state for job in ours} <= {"COMPLETED", "CANCELLED"}, "none is left behind"
    ran = [job for job in ours if job.state == "COMPLETED"]
    assert len({job.array for job in ran}) == len({job.comment for job in ran}), "none has run twice"


HANGING = """#!/bin/sh
echo >>{folder}/calls
if [ $(wc -l <{folder}/calls) = 2 ]; then
  kill -STOP {pid}
  touch {folder}/hung
  (sleep 8; kill -CONT {pid}) >/dev/null 2>&1 &
fi
exec {sbatch} "$@"
"""


def _hanging_at_second(machine: Machine, folder: Path) -> Path:
    """Return a folder with an ``sbatch`` at whose second call the controller hangs for a while."""
    script = folder / "bin" / "sbatch"
    script.parent.mkdir()
    sbatch = shutil.which("sbatch")
    script.write_text(HANGING.format(folder=folder, pid=machine.pid(), sbatch=sbatch))
    script.chmod(0o755)
    return script.parent
