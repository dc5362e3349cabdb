"""Runs by pilots, end to end: on the local batch system, which starts them as jobs."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pytest

from in_process import run_here
from pilot_rounds import note_process
from pipetask import BatchExecutor, BatchOptions, ExecutionContext
from pipetask.batch.exit_codes import ExitCode
from pipetask.batch.ledger import Ledger
from pipetask.batch.outcomes import attempts_of
from pipetask.batch.pilots.look import KnownPilot, look_at_pilots
from pipetask.batch.pilots.places import PilotSettings
from pipetask.batch.run_directory import RunDirectory
from pipetask.batch.systems import system_of
from pipetask.outcome import Status
from pipetask.testing import CallSpec, enumerated
from pipetask.testing.batch_conformance import BatchConformance
from pipetask.testing.local_batch import LocalBatchSystem
from pipetask.testing.plain_runs import Bench, wait_until
from pipetask.testing.work import Misbehaviour, NotedWork
from test_local_batch import ForkBench

from conftest import environment  # isort: skip

pytestmark = pytest.mark.slow

QUICK = PilotSettings(beat=0.2, stale=60.0, pause=0.05, longest_pause=0.5, grace=60.0)
"""A pilot is not believed to be dead because the machine is busy."""

STALE = 8.0
"""Seconds after which one that was killed is believed to be dead."""


class TestPilots:
    """A system that runs nodes by pilots is one like all others; here are those tests in which that matters."""

    @pytest.fixture
    def bench(self, tmp_path: Path) -> Bench:
        return ForkBench("pipetask.testing.local_batch:with_pilots", tmp_path)

    test_order = BatchConformance.test_everything_runs_once_and_in_order
    test_failure = BatchConformance.test_a_failure_blocks_what_needs_it_and_nothing_else
    test_memory = BatchConformance.test_a_job_that_runs_out_of_memory_gets_more
    test_cancel = BatchConformance.test_cancel_ends_all_and_a_restart_goes_on
    test_repository = BatchConformance.test_a_repository_ends_up_as_after_a_run_on_this_machine


@dataclass(frozen=True)
class Started:
    """A run that goes on."""

    directory: RunDirectory
    work: NotedWork

    def end(self) -> str:
        """Wait for the end, and return the phase."""
        watch = system_of(self.directory).watch(self.directory)
        wait_until(lambda: watch.phase().over, "the run is over", 120)
        return str(json.loads(run_here("status", str(self.directory.path), "--json").out)["phase"])

    def pilot_of(self, node: str) -> KnownPilot:
        """Wait until a pilot is seen to run a node, and return it."""
        found: list[KnownPilot] = []

        def is_seen() -> bool:
            found[:] = [pilot for pilot in look_at_pilots(self.directory).there if pilot.node == node]
            return bool(found)

        wait_until(is_seen, f"{node} is seen to run", 60)
        return found[0]

    def wait_until_begun(self, *ids: int) -> None:
        wait_until(lambda: self.work.started() >= set(ids), f"{ids} have begun", 120)

    def said(self) -> str:
        """Return what pilots have said."""
        return "".join(path.read_text() for path in (self.directory.path / "logs").glob("pilot-*.err"))


def start(
    folder: Path,
    counts: Mapping[str, int],
    edges: list[tuple[int, int]],
    work: Mapping[int, Misbehaviour] | Callable[[int], object],
    pilots: int,
    stale: float = QUICK.stale,
) -> Started:
    """Submit a run with a quantum in each node."""
    graph = enumerated(dict(counts), edges)
    noted = NotedWork(folder, {} if callable(work) else work)
    system = LocalBatchSystem(pilots=pilots, pilot_settings=replace(QUICK, stale=stale))
    executor = BatchExecutor(system, BatchOptions(run_dir=str(folder / "run"), bundle_size=1))
    context = ExecutionContext(graph, CallSpec(work if callable(work) else noted))
    executor.check(context)
    assert {outcome.status for outcome in executor.execute(graph, context)} == {Status.SUBMITTED}
    context.stop.close()
    return Started(RunDirectory(folder / "run"), noted)


def exit_codes(directory: RunDirectory, number: int) -> list[int | None]:
    return [attempt.exit_code for attempt in attempts_of(directory.outcomes, number)]


def test_what_a_killed_pilot_ran_is_taken_over(tmp_path: Path) -> None:
    run = start(tmp_path, {"a": 2, "b": 1}, [(0, 2), (1, 2)], {0: Misbehaviour.HANG_UNTIL_MENDED}, 2, STALE)
    run.wait_until_begun(0, 1)
    wait_until(lambda: run.work.ended(1) is not None, "the other has ended", 60)
    victim = run.pilot_of("a-0")
    os.kill(victim.about.process, signal.SIGKILL)
    run.work.mend()
    assert run.end() == "succeeded"
    assert set(Ledger(run.directory).statuses().values()) == {Status.SUCCEEDED}
    assert run.work.attempts(1) == run.work.attempts(2) == 1


def test_a_pilot_that_is_warned_gives_back_what_it_runs(tmp_path: Path) -> None:
    run = start(tmp_path, {"a": 1}, [], {0: Misbehaviour.HANG_UNTIL_MENDED}, 1)
    run.wait_until_begun(0)
    warned = run.pilot_of("a-0")
    os.kill(warned.about.process, signal.SIGUSR2)
    wait_until(
        lambda: exit_codes(run.directory, 0)[:1] == [ExitCode.OUT_OF_TIME], "it was ended in order", 60
    )
    run.work.mend()
    assert run.end() == "succeeded", "another pilot came"
    assert exit_codes(run.directory, 0) == [ExitCode.OUT_OF_TIME, ExitCode.DONE]
    assert "leaves after 0 nodes: the walltime ends" in run.said()


def test_pilots_are_added_and_removed_while_a_run_goes_on(tmp_path: Path) -> None:
    hanging = dict.fromkeys(range(3), Misbehaviour.HANG_UNTIL_MENDED)
    run = start(tmp_path, {"a": 3}, [], hanging, 1)
    path = str(run.directory.path)
    wait_until(lambda: len(run.work.started()) == 1, "one runs", 120)
    done = run_here("pilots", path, "--add", "2")
    assert (done.code, done.err.partition(",")[0]) == (0, "Pilots added: 2"), done.err
    run.wait_until_begun(0, 1, 2)
    shown = json.loads(run_here("pilots", path, "--json").out)
    assert sorted(each["node"] for each in shown) == ["a-0", "a-1", "a-2"]
    assert run_here("pilots", path, "--remove", "1").err == "Pilots: 1 of 3 asked to leave.\n"
    folder = look_at_pilots(run.directory).round.leave
    wait_until(lambda: not list(folder.iterdir()), "one has seen it", 60)
    run.work.mend()
    assert run.end() == "succeeded"
    assert [run.work.attempts(id) for id in range(3)] == [1, 1, 1]
    assert run.said().count(": it was asked to") == 1
    done = run_here("pilots", path, "--add", "1")
    assert (done.code, f"{path} is over" in done.err) == (1, True)
    done = run_here("pilots", path, "--remove", "1")
    assert (done.code, "has no pilots at work that could leave." in done.err) == (1, True)


def test_a_worker_that_dies_costs_the_pilot_nothing(tmp_path: Path) -> None:
    """The same pilot goes on, in another process."""
    run = start(tmp_path, {"a": 3}, [(0, 1), (1, 2)], {1: Misbehaviour.KILL_PROCESS_ONCE}, 1)
    assert run.end() == "succeeded"
    assert [run.work.attempts(id) for id in range(3)] == [1, 2, 1]
    assert run.said().count("comes\n") == 1


def test_a_worker_stays_between_nodes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What tasks import is imported once."""
    monkeypatch.setenv("PYTHONPATH", environment()["PYTHONPATH"])
    run = start(tmp_path, {"a": 3}, [], partial(note_process, tmp_path), 1)
    assert run.end() == "succeeded"
    assert len({path.read_text() for path in tmp_path.glob("*.process")}) == 1
    logs = list((run.directory.path / "logs").glob("a-*.err"))
    assert len(logs) == 3, "each node has its own"
