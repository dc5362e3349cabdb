"""Pilots on Slurm: few jobs for a whole run, more or less of them while it goes on."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from pipetask.batch.ledger import Ledger
from pipetask.batch.outcomes import attempts_of
from pipetask.batch.pilots.look import look_at_pilots
from pipetask.batch.run_directory import RunDirectory
from pipetask.outcome import Status
from pipetask.testing.batch_conformance import EDGES, PAIRS
from pipetask.testing.plain_runs import LocalBench, PlainRun, wait_until
from pipetask.testing.work import Misbehaviour
from slurm.machine import Machine
from slurm.plain_systems import SETTINGS


@pytest.mark.slow
def test_pilots_are_removed_added_and_replaced(
    machine: Machine, tmp_path: Path, on_path: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a pilot that Slurm ends, another one takes what it gives back."""
    monkeypatch.setenv(SETTINGS, json.dumps(["pilots=1", "time=5min"]))
    bench = LocalBench("slurm.plain_systems:system", tmp_path)
    run = PlainRun(bench, PAIRS, EDGES, {2: Misbehaviour.HANG_UNTIL_MENDED}, {"bundle_size": 1})
    run.submit()
    directory = RunDirectory(run.path)
    assert sum(directory.facts.id in job.comment for job in machine.jobs()) == 2, "a pilot, and the final job"
    run.wait_until_begun(2)
    (first,) = look_at_pilots(directory).there
    added = run.command("pilots", "--add", "1")
    assert added.returncode == 0, added.stderr
    wait_until(lambda: all(run.attempts(n) for n in range(8) if n != 6), "the second one runs the rest", 60)
    machine.run("scancel", first.about.job)
    wait_until(lambda: run.attempts(2) == 2, "the other one has taken over what was given back", 60)
    assert "Pilots: 1 run a node, 0 wait." in run.status()["notes"]
    machine.submit("sleep 600", "-c", "3")
    added = run.command("pilots", "--add", "1")
    assert added.returncode == 0, added.stderr
    run.work.mend()
    status = run.wait()
    late = max(int(job.array) for job in machine.jobs() if job.comment.startswith("pipetask"))
    assert set(machine.states(str(late)).values()) == {"CANCELLED"}, (
        "the final job did not have to wait for it"
    )
    assert (status["phase"], status["nodes"]) == ("succeeded", {"done": 4}), "chains of two are nodes"
    assert run.statuses() == dict.fromkeys(range(8), Status.SUCCEEDED)
    assert [len(attempts_of(directory.outcomes, number)) for number in range(4)].count(2) == 1
    assert Ledger(directory).all_done()


@pytest.mark.slow
def test_pilots_that_are_killed_for_their_memory_come_again_with_more(
    make_machine: Callable[..., Machine], tmp_path: Path, on_path: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slurm ends the whole job, and the pilot has no last words."""
    make_machine(settings={"JobAcctGatherParams": "OverMemoryKill"})
    settings = ["pilots=2", "memory=10MB", "memory_factor=50", "nodes.final.memory=400MB", "retries=0"]
    monkeypatch.setenv(SETTINGS, json.dumps(settings))
    bench = LocalBench("slurm.plain_systems:system", tmp_path)
    run = PlainRun(bench, {"a": 1}, (), {0: Misbehaviour.HANG_UNTIL_MENDED})
    run.submit()
    rounds = run.path / "slurm"
    wait_until(lambda: len(list(rounds.glob("round-*"))) == 2, "others are submitted", 90)
    run.work.mend()
    assert run.wait()["phase"] == "succeeded"
    causes = json.loads((rounds / "round-002" / "round.json").read_text())["causes"]
    assert causes == {"a-0": "memory"}
