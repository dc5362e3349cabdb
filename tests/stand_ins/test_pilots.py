"""Pilots on PBS and PJM, as far as stand-ins for their commands can tell."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from pipetask.batch.pilots.look import look_at_pilots
from pipetask.batch.run_directory import RunDirectory
from pipetask.outcome import Status
from pipetask.testing.batch_conformance import EDGES, PAIRS
from pipetask.testing.plain_runs import LocalBench, PlainRun, wait_until
from pipetask.testing.work import Misbehaviour
from stand_ins.jobs import Jobs
from stand_ins.plain_systems import SETTINGS

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("system", "remover", "added", "removed"), [("pbs", "qdel", 4, 1), ("pjm", "pjdel", 1, 0)]
)
def test_pilots_are_added_removed_and_replaced(
    stand_in: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    system: str,
    remover: str,
    added: int,
    removed: int,
) -> None:
    """The final job comes after those that were added, also where the system cannot let it wait for them."""
    folder = stand_in(system, grace=120)  # to give back what it runs
    monkeypatch.setenv(SETTINGS, json.dumps(["pilots=1", "time=10min"]))
    bench = LocalBench(f"stand_ins.plain_systems:{system}", tmp_path, interval=1)
    run = PlainRun(bench, PAIRS, EDGES, {2: Misbehaviour.HANG_UNTIL_MENDED}, {"bundle_size": 1})
    run.submit()
    assert len(Jobs(folder).all()) == 2, "a pilot, and the final job"
    run.wait_until_begun(2)
    directory = RunDirectory(run.path)
    (first,) = look_at_pilots(directory).there
    assert run.command("pilots", "--add", str(added)).returncode == 0
    wait_until(lambda: all(run.attempts(n) for n in range(8) if n != 6), "another one runs the rest", 120)
    if removed:  # the stand-in runs four jobs at a time, so some of them wait
        told = run.command("pilots", "--remove", str(removed))
        assert f"{removed} removed from the queue" in told.stderr, told.stderr
    job = first.about.job.partition("/")[0]
    assert bench.run(remover, job).returncode == 0
    wait_until(lambda: run.attempts(2) == 2, "another one has taken over what was given back", 120)
    run.work.mend()
    status = run.wait()
    assert (status["phase"], status["nodes"]) == ("succeeded", {"done": 4})
    assert run.statuses() == dict.fromkeys(range(8), Status.SUCCEEDED)
    assert [run.attempts(position) for position in range(8)] == [1, 1, 2, 1, 1, 1, 1, 1]
    assert len(list((run.path / system).glob("round-*"))) == 1
