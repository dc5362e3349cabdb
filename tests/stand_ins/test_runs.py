"""What is special about PBS and PJM, as far as stand-ins for their commands can tell."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from pipetask.batch.outcomes import attempts_of
from pipetask.batch.run_directory import RunDirectory
from pipetask.outcome import Status
from pipetask.testing.plain_runs import LocalBench, PlainRun, wait_until
from pipetask.testing.work import Misbehaviour
from stand_ins.jobs import Jobs
from stand_ins.plain_systems import SETTINGS

pytestmark = pytest.mark.slow

StandIn = Callable[..., Path]
PAIRS = [(i, 3 + i) for i in range(3)]


def causes(run: PlainRun, system: str, round: int) -> dict[str, str]:
    path = run.path / system / f"round-{round:03}" / "round.json"
    found: dict[str, str] = json.loads(path.read_text())["causes"]
    return found


def test_torque_has_words_of_its_own_for_arrays(stand_in: StandIn, tmp_path: Path) -> None:
    stand_in("torque")
    bench = LocalBench("stand_ins.plain_systems:torque", tmp_path, interval=1)
    run = PlainRun(bench, {"a": 3, "b": 3}, PAIRS, options={"bundle_size": 1})
    run.submit()
    assert run.wait()["phase"] == "succeeded"
    assert [run.attempts(position) for position in range(6)] == [1] * 6


@pytest.mark.parametrize(("system", "job"), [("pbs", "1.0"), ("pjm", "1_0.0")])
def test_a_job_that_is_killed_at_its_walltime_gets_more_in_another_round(
    stand_in: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, system: str, job: str
) -> None:
    folder = stand_in(system)
    monkeypatch.setenv(SETTINGS, json.dumps(["time=10min", "retries=0"]))
    bench = LocalBench(f"stand_ins.plain_systems:{system}", tmp_path, interval=1)
    bad = {0: Misbehaviour.HANG_UNTIL_MENDED}
    run = PlainRun(bench, {"a": 2, "b": 1}, [(0, 2), (1, 2)], bad, {"bundle_size": 1})
    run.submit()
    run.wait_until_begun(0)
    Jobs(folder).flag(job, "late")
    second = run.path / system / "round-002" / "round.json"
    wait_until(second.exists, "there is another round", 120)
    run.work.mend()
    assert run.wait()["phase"] == "succeeded"
    found = causes(run, system, 2)
    assert (found["a-0"], found["b-2"]) == ("time", "needed")
    demands = {
        node: array["demand"]["time"]
        for array in json.loads(second.read_text())["arrays"]
        for node in array["nodes"]
    }
    assert (demands["a-0"], demands["b-2"]) == (20, 10)


@pytest.mark.parametrize(("system", "command", "job"), [("pbs", "qdel", "1[0]"), ("pjm", "pjdel", "1_0")])
def test_a_node_whose_job_is_removed_by_hand_is_given_up_until_a_restart(
    stand_in: StandIn, tmp_path: Path, system: str, command: str, job: str
) -> None:
    stand_in(system)
    bench = LocalBench(f"stand_ins.plain_systems:{system}", tmp_path, interval=1)
    run = PlainRun(bench, {"a": 2}, (), {0: Misbehaviour.HANG_UNTIL_MENDED}, {"bundle_size": 1})
    run.submit()
    run.wait_until_begun(0)
    wait_until(lambda: run.statuses().get(1) is Status.SUCCEEDED, "the other one has ended", 120)
    assert bench.run(command, job).returncode == 0
    status = run.wait()
    assert (status["phase"], status["nodes"]) == ("failed", {"done": 1, "failed": 1})
    why = f"its job was cancelled with {command}"
    assert (status["reasons"], status["notes"]) == ({"a-0": why}, [f"Given up, because {why}: a-0."])
    run.work.mend()
    assert run.command("restart").returncode == 0
    assert run.wait()["phase"] == "succeeded"
    assert [run.attempts(position) for position in range(2)] == [2, 1]


def test_a_request_whose_answer_is_lost_is_looked_for(
    stand_in: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = stand_in("pbs")
    bench = LocalBench("stand_ins.plain_systems:pbs", tmp_path, interval=1)
    run = PlainRun(bench, {"a": 2, "b": 2}, [(0, 2), (1, 3)], options={"bundle_size": 1})
    qsub = folder / "bin" / "qsub"
    real = qsub.rename(folder / "bin" / "real-qsub")
    qsub.write_text(
        f"#!/bin/sh\n[ -e '{folder}/once' ] && exec '{real}' \"$@\"\n"
        f"touch '{folder}/once'\n'{real}' \"$@\" >/dev/null\n"
        "echo 'qsub: End of File' >&2\nexit 1\n"
    )
    qsub.chmod(0o755)
    run.submit()
    assert run.wait()["phase"] == "succeeded"
    assert [run.attempts(position) for position in range(4)] == [1] * 4


def test_nodes_that_do_not_fit_into_a_job_of_pjm_run_in_another_round(
    stand_in: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = stand_in("pjm")
    monkeypatch.setenv(SETTINGS, json.dumps(["time=10min", "slots=1", "retries=0"]))
    bench = LocalBench("stand_ins.plain_systems:pjm", tmp_path, interval=1)
    bad = {1: Misbehaviour.HANG_UNTIL_MENDED}
    run = PlainRun(bench, {"a": 3}, (), bad, {"bundle_size": 1})
    run.submit()
    run.wait_until_begun(1)
    Jobs(folder).flag("1_0.0", "late")
    second = run.path / "pjm" / "round-002" / "round.json"
    wait_until(second.exists, "there is another round", 120)
    run.work.mend()
    assert run.wait()["phase"] == "succeeded"
    assert causes(run, "pjm", 2) == {"a-1": "time", "a-2": "left out"}
    assert run.statuses() == dict.fromkeys(range(3), Status.SUCCEEDED)
    exit_codes = [attempt.exit_code for attempt in attempts_of(RunDirectory(run.path).outcomes, 2)]
    assert exit_codes == [0], "it had never begun before"
