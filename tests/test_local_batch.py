"""The local batch system of the test kit: what every batch system should do, and what happens when it loses jobs."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from lsst.daf.butler import Butler

from forked import run_forked
from in_process import run_here
from pipetask import BatchExecutor, BatchOptions, ExecutionContext
from pipetask.batch.ledger import Ledger
from pipetask.batch.outcomes import attempts_of
from pipetask.batch.run_directory import RunDirectory
from pipetask.batch.systems import system_of
from pipetask.graph.enumeration import EnumeratedGraph, QuantumData
from pipetask.outcome import Status
from pipetask.testing import CallSpec, MockPipeline, enumerated
from pipetask.testing.batch_conformance import EDGES, PAIRS, BatchConformance
from pipetask.testing.local_batch import LocalBatchSystem, Loss, LossKind
from pipetask.testing.plain_runs import Bench, LocalBench, wait_until
from pipetask.testing.work import NotedWork

from conftest import Repository, run_pipetask  # isort: skip

pytestmark = pytest.mark.slow


class ForkBench(LocalBench):
    """Runs commands in forks, which have imported everything."""

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        if command[1:3] != ("-m", "pipetask.cli"):
            return super().run(*command)
        done = run_forked(*command[3:])
        return subprocess.CompletedProcess(command, done.code, done.out, done.err)


class TestLocalBatchSystem(BatchConformance):
    @pytest.fixture
    def bench(self, tmp_path: Path) -> Bench:
        module = "pipetask.testing.local_batch"
        return ForkBench(
            f"{module}:LocalBatchSystem",
            tmp_path,
            make_unshared=f"{module}:without_shared_files",
        )


Run = Callable[..., RunDirectory]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Return a function that runs four chains of two in four nodes, and waits for the end."""

    def execute(
        *losses: Loss, work: NotedWork | None = None, graph: EnumeratedGraph | None = None, **more: Any
    ) -> RunDirectory:
        graph = graph or enumerated(PAIRS, EDGES)
        options = BatchOptions(run_dir=str(tmp_path / "run"), bundle_size=2)
        executor = BatchExecutor(LocalBatchSystem(losses=losses, **more), options)
        context = ExecutionContext(graph, CallSpec(work or NotedWork(tmp_path)))
        executor.check(context)
        assert {o.status for o in executor.execute(graph, context)} == {Status.SUBMITTED}
        context.stop.close()
        directory = RunDirectory(tmp_path / "run")
        end(directory)
        return directory

    return execute


def end(directory: RunDirectory) -> None:
    watch = system_of(directory).watch(directory)
    wait_until(lambda: watch.phase().over, "the run is over", 120)


def status(directory: RunDirectory) -> dict[str, Any]:
    return json.loads(run_here("status", str(directory.path), "--json").out)


def exit_codes(directory: RunDirectory, number: int) -> list[int | None]:
    return [attempt.exit_code for attempt in attempts_of(directory.outcomes, number)]


def test_what_ended_before_a_job_was_killed_is_not_run_again(run: Run, tmp_path: Path) -> None:
    directory = run(Loss("a_b-1", LossKind.KILLED, after=1))
    assert status(directory)["phase"] == "succeeded"
    assert exit_codes(directory, 1) == [None, 0]
    assert [NotedWork(tmp_path).attempts(id) for id in range(8)] == [1] * 8


def test_a_job_that_is_killed_each_time_is_given_up(run: Run) -> None:
    losses = [Loss("a_b-1", LossKind.KILLED, attempt, after=0) for attempt in (1, 2)]
    directory = run(*losses, attempts=2)
    found = status(directory)
    assert (found["phase"], found["failed"]) == ("failed", ["a_b-1"])
    assert exit_codes(directory, 1) == []
    assert set(Ledger(directory).statuses().values()) == {Status.SUCCEEDED}
    assert run_here("status", str(directory.path)).err == f"go on: pipetask restart {directory.path}\n"
    assert run_here("restart", str(directory.path)).code == 0
    end(directory)
    assert status(directory)["failed"] == ["a_b-1"], "it is lost in each submission"


def test_a_run_that_is_interrupted_while_it_is_written_is_not_submitted(tmp_path: Path) -> None:
    graph = enumerated(PAIRS, EDGES)
    executor = BatchExecutor(LocalBatchSystem(), BatchOptions(run_dir=str(tmp_path / "run")))
    context = ExecutionContext(graph, CallSpec(NotedWork(tmp_path)))
    executor.check(context)

    def interrupted() -> Iterator[QuantumData]:
        for quantum in graph:
            context.stop.ask("interrupted by SIGINT")
            yield quantum

    assert {o.status for o in executor.execute(interrupted(), context)} == {Status.WRITTEN}
    assert executor.run_directory == tmp_path / "run"
    assert status(RunDirectory(tmp_path / "run"))["phase"] == "written"
    again = BatchExecutor(LocalBatchSystem(), BatchOptions(run_dir=str(tmp_path / "other")))
    assert {o.status for o in again.execute(graph, context)} == {Status.CANCELLED}
    assert again.run_directory is None
    assert not (tmp_path / "other").exists()
    context.stop.close()


def test_of_a_job_that_was_never_taken_there_is_a_reason_and_what_needs_it_never_begins(run: Run) -> None:
    graph = enumerated({"a": 4, "b": 2}, [(a, b) for a in range(4) for b in (4, 5)])
    directory = run(Loss("a-1", LossKind.NEVER_STARTED), graph=graph)
    found = status(directory)
    assert (found["phase"], found["nodes"]) == ("failed", {"done": 1, "failed": 1, "blocked": 1})
    assert found["quanta"] == {"a": {"done": 2, "blocked": 2}, "b": {"blocked": 2}}
    assert found["reasons"] == {"a-1": "it was lost on purpose"}
    assert exit_codes(directory, 2) == []


def test_an_attempt_of_which_nothing_was_heard_is_repeated_and_does_nothing_twice(
    run: Run, tmp_path: Path
) -> None:
    directory = run(Loss("a_b-2", LossKind.FORGOTTEN))
    assert status(directory)["phase"] == "succeeded"
    assert exit_codes(directory, 2) == [0], "the second finds nothing to do"
    assert [NotedWork(tmp_path).attempts(id) for id in range(8)] == [1] * 8


def test_a_driver_that_is_killed_has_cancelled_the_run(run: Run, tmp_path: Path) -> None:
    directory = run()
    journal = directory.path / "local" / "events.jsonl"
    *lines, last = journal.read_text().splitlines(keepends=True)
    assert json.loads(last)["run"] == "succeeded"
    journal.write_text("".join(lines))
    assert status(directory)["phase"] == "cancelled"


# With a butler.

MODE = ("--mode", "pipetask.testing.local_batch:LocalBatchSystem")


def test_a_class_path_is_a_mode_and_later_commands_find_it(repository: Repository, tmp_path: Path) -> None:
    path = tmp_path / "batch"
    more = ("--run-dir", str(path), "--wait", "--bundle-by", "exposure", "--registry-pre-update", "deferred")
    done = run_pipetask(*repository.arguments(*MODE, *more))
    assert (done.code, done.err.splitlines()[-1].partition(" in ")[0]) == (0, "succeeded: 10 succeeded"), (
        done.err
    )
    assert json.loads((path / "run.json").read_text())["batch_system"] == LocalBatchSystem.name
    assert run_here("status", str(path)).code == 0
    again = run_here("restart", str(path))
    assert again.line.startswith("Nothing is left to do: all "), again.err
    assert again.code == 0
    report = run_here("report", str(path))
    assert report.err.splitlines()[-1].partition(" in ")[0] == "succeeded: 10 succeeded"
    assert run_here("cancel", str(path)).code == 1
    with Butler.from_config(str(repository.root)) as butler:
        found = butler.registry.queryDatasets("exposure_summary", collections="u/out/run")
        assert len(list(found)) == 2


def test_a_run_that_failed_ends_with_the_command_that_goes_on(
    make_repository: Callable[..., Repository], tmp_path: Path
) -> None:
    repository = make_repository(MockPipeline(1, 2, configs={"isr": {"fail_condition": "detector=1"}}))
    done = run_forked(*repository.arguments(*MODE, "--run-dir", str(tmp_path / "batch"), "--wait"))
    assert done.code == 1
    assert done.err.splitlines()[-1] == f"go on: pipetask restart {tmp_path / 'batch'}"
    report = run_here("report", str(tmp_path / "batch"))
    assert report.err.splitlines()[-1] == f"go on: pipetask restart {tmp_path / 'batch'}"


PLUGIN = """
from pipetask.testing.local_batch import LocalBatchSystem

class Mine(LocalBatchSystem):
    name = "mine"
"""


def test_a_plug_in_is_found_by_its_entry_point_and_missed_where_it_is_not_installed(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site, path = tmp_path / "site", tmp_path / "batch"
    about = site / "mine-1.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1\n")
    (about / "entry_points.txt").write_text("[pipetask.batch_systems]\nmine = mine_batch:Mine\n")
    (site / "mine_batch.py").write_text(PLUGIN)
    with monkeypatch.context() as installed:
        installed.setenv("PYTHONPATH", str(site))
        words = repository.arguments("--mode", "mine", "--run-dir", str(path), "--no-submit")
        done = run_pipetask(*words)
        assert done.code == 0, done.err
        assert json.loads((path / "run.json").read_text())["batch_system"] == "mine"
        shown = run_pipetask("status", str(path))
        assert (shown.code, shown.err) == (6, f"go on: pipetask restart {path}\n")
    missing = run_pipetask("status", str(path))
    assert missing.code == 1
    assert f"Run directory {path} needs the batch system 'mine', which is not installed here" in missing.line
