"""What every batch system should do, as tests to run against one of them.

In a test module of your own, make a subclass whose ``bench`` says where commands run::

    from pipetask.testing.batch_conformance import BatchConformance
    from pipetask.testing.plain_runs import Bench, LocalBench


    class TestMySystem(BatchConformance):
        @pytest.fixture
        def bench(self, tmp_path: Path) -> Bench:
            return LocalBench("my_package.batch:MySystem", tmp_path)

Most tests submit runs of a few quanta, which are functions, so no repository is needed; they look at what the quanta
have written down and at what ``pipetask status`` says.  One makes a small repository and runs its graph with a command,
so the system needs a name that ``--mode`` knows, or a class path, and defaults that suffice.
"""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from ..batch.outcomes import attempts_of
from ..batch.run_directory import RunDirectory
from ..batch.systems import find_system
from ..outcome import Status
from .plain_runs import Bench, PlainRun
from .work import Misbehaviour

__all__ = ["BatchConformance"]

PAIRS = {"a": 4, "b": 4}
EDGES = [(i, 4 + i) for i in range(4)]
"""Four chains of two: quantum 4 + i needs quantum i."""

ODD = 'is r\'s "q" $(HOME) $ENV(X) {é} #1'


class BatchConformance:
    """Tests of a batch system; derive from it, and say in ``bench`` which."""

    @pytest.fixture
    def bench(self) -> Bench:
        """Return where commands run; to be overridden."""
        raise NotImplementedError(f"{type(self).__name__} has to say where commands run: override 'bench'")

    def test_its_name_finds_it(self, bench: Bench) -> None:
        """A run directory names its system, and commands find it by that name."""
        system = type(EntryPoint("", bench.make_system, "").load()())
        assert find_system(system.name) is system
        system()  # as commands make it

    def test_everything_runs_once_and_in_order(self, bench: Bench) -> None:
        """A node starts when those that it needs have ended."""
        edges = [(i, 3 + j) for i in range(3) for j in range(3)]
        run = PlainRun(bench, {"a": 3, "b": 3}, edges, options={"bundle_size": 1})
        run.submit()
        status = run.wait()
        assert (status["phase"], status["nodes"]) == ("succeeded", {"done": 6})
        again = run.command("restart")
        assert (again.returncode, again.stderr) == (0, "Nothing is left to do: all 6 nodes are done.\n")
        assert run.statuses() == dict.fromkeys(range(6), Status.SUCCEEDED)
        assert [run.attempts(position) for position in range(6)] == [1] * 6
        ended = [run.work.ended(id) for id in range(3)]
        assert max(end for end in ended if end is not None) <= min(run.work.began(id) for id in range(3, 6))

    def test_a_failure_blocks_what_needs_it_and_nothing_else(self, bench: Bench) -> None:
        """Nodes start also when those that they need have failed: the job finds out what can run."""
        edges = [(0, 2), (0, 3), (1, 2), (1, 4)]
        bad = {0: Misbehaviour.FAIL}
        run = PlainRun(bench, {"a": 2, "b": 3}, edges, bad, {"bundle_size": 1})
        run.submit()
        status = run.wait()
        assert (status["phase"], run.command("status").returncode) == ("failed", 1)
        assert status["failed"] == ["a-0"]
        assert status["quanta"] == {"a": {"done": 1, "failed": 1}, "b": {"done": 1, "blocked": 2}}
        statuses = run.statuses()
        assert statuses == {
            0: Status.FAILED,
            1: Status.SUCCEEDED,
            2: Status.BLOCKED,
            3: Status.BLOCKED,
            4: Status.SUCCEEDED,
        }

    def test_a_restart_runs_what_is_missing(self, bench: Bench) -> None:
        """What is done is not run again, and what is not done is."""
        run = PlainRun(bench, PAIRS, EDGES, {1: Misbehaviour.FAIL_UNTIL_MENDED}, {"bundle_size": 2})
        run.submit()
        assert run.wait()["phase"] == "failed"
        before = [run.attempts(position) for position in range(8)]
        run.work.mend()
        restarted = run.command("restart")
        assert restarted.returncode == 0, restarted.stderr
        assert "3 of 4 nodes are done" in restarted.stderr
        assert run.wait()["phase"] == "succeeded"
        again = [run.attempts(position) - before[position] for position in range(8)]
        assert again == [0, 1, 0, 0, 0, 1, 0, 0]
        assert set(run.statuses().values()) == {Status.SUCCEEDED}

    def test_a_killed_job_is_started_again_and_repeats_nothing(self, bench: Bench) -> None:
        """A job that is killed says nothing about its node, so there is another attempt."""
        bad = {3: Misbehaviour.KILL_PROCESS_ONCE}
        run = PlainRun(bench, PAIRS, EDGES, bad, {"bundle_size": 8})
        run.submit()
        assert run.wait()["phase"] == "succeeded"
        assert [run.attempts(position) for position in range(8)] == [1, 1, 1, 2, 1, 1, 1, 1]

    def test_a_job_that_runs_out_of_memory_gets_more(self, bench: Bench) -> None:
        """Where a system tells its jobs what they have asked for, the next attempt has asked for more."""
        run = PlainRun(bench, {"a": 1}, (), {0: Misbehaviour.RUN_OUT_OF_MEMORY_ONCE})
        run.submit()
        assert run.wait()["phase"] == "succeeded"
        first, second = (attempt.memory for attempt in attempts_of(RunDirectory(run.path).outcomes, 0))
        assert (first is None and second is None) or (first or 0) < (second or 0)

    def test_cancel_ends_all_and_a_restart_goes_on(self, bench: Bench) -> None:
        """When the command has ended, no job runs."""
        run = PlainRun(bench, PAIRS, EDGES, {2: Misbehaviour.HANG_UNTIL_MENDED}, {"bundle_size": 2})
        run.submit()
        run.wait_until_begun(2)
        cancelled = run.command("cancel")
        assert cancelled.returncode == 0, cancelled.stderr
        status = run.command("status")
        assert status.returncode == 5, status.stdout
        nodes = run.status()["nodes"]
        assert (nodes.pop("cancelled"), set(nodes) <= {"done"}) == (4 - sum(nodes.values()), True), (
            "none has failed"
        )
        again = run.command("cancel")
        assert (again.returncode, "nothing to cancel" in again.stderr) == (1, True)
        run.work.mend()
        assert run.command("restart").returncode == 0
        assert run.wait()["phase"] == "succeeded"
        assert run.attempts(2) == 2

    def test_a_restart_of_what_runs_is_no_second_submission(self, bench: Bench) -> None:
        """Submitting a run that is in the queue already is harmless."""
        run = PlainRun(bench, PAIRS, EDGES, {2: Misbehaviour.HANG_UNTIL_MENDED}, {"bundle_size": 2})
        run.submit()
        run.wait_until_begun(2)
        again = run.command("restart")
        assert (again.returncode, "in the queue already" in again.stderr) == (0, True)
        run.work.mend()
        assert run.wait()["phase"] == "succeeded"
        assert [run.attempts(position) for position in range(8)] == [1] * 8

    def test_what_was_only_written_is_submitted_by_restart(self, bench: Bench) -> None:
        """A run may be written now and submitted later."""
        run = PlainRun(bench, {"a": 2}, options={"submit": False})
        run.submit()
        assert run.command("status").returncode == 6
        assert run.command("restart").returncode == 0
        assert run.wait()["phase"] == "succeeded"

    def test_a_run_is_followed_to_its_end(self, bench: Bench) -> None:
        """With ``--wait`` the command tells what became of each quantum."""
        run = PlainRun(bench, PAIRS, EDGES, {1: Misbehaviour.FAIL}, {"bundle_size": 2, "wait": True})
        told = dict(line.split() for line in run.submit().stdout.splitlines())
        by_id = {int(id): status for id, status in told.items()}
        assert len(by_id) == 8
        assert sorted(by_id.values()) == ["blocked", "failed", *["succeeded"] * 6]

    def test_jobs_that_do_not_see_the_run_directory_bring_outcomes_back(self, bench: Bench) -> None:
        """There a node starts only if those that it needs have succeeded."""
        if bench.make_unshared is None:
            pytest.skip("all jobs of this system see the run directory")
        edges = [(0, 2), (1, 2), (1, 3)]
        bad = {0: Misbehaviour.FAIL}
        run = PlainRun(bench, {"a": 2, "b": 2}, edges, bad, {"bundle_size": 1}, shared=False)
        run.submit()
        status = run.wait()
        assert (status["phase"], status["nodes"]) == ("failed", {"done": 2, "failed": 1, "blocked": 1})
        assert status["quanta"] == {"a": {"done": 1, "failed": 1}, "b": {"done": 1, "blocked": 1}}
        assert run.statuses() == {0: Status.FAILED, 1: Status.SUCCEEDED, 3: Status.SUCCEEDED}

    def test_odd_labels_and_folders_break_nothing(self, bench: Bench) -> None:
        """A label may be any text, and so may the name of a folder."""
        run = PlainRun(bench, {ODD: 2, "b.c-d": 2}, [(0, 2), (1, 3)], name="run 'of' \"ours\" #é")
        run.submit()
        assert run.wait()["phase"] == "succeeded"
        assert run.statuses() == dict.fromkeys(range(4), Status.SUCCEEDED)

    def test_a_repository_ends_up_as_after_a_run_on_this_machine(self, bench: Bench) -> None:
        """Where a graph was run is not seen in the repository."""
        made = bench.run(sys.executable, "-c", _MAKE_REPOSITORIES, "here", "there")
        assert made.returncode == 0, made.stderr
        outputs = []
        for name, mode in (("here", "in-process"), ("there", _name_of(bench))):
            root = bench.folder / name
            words = ["run", "-b", str(root), "-g", str(root / "graph.qg"), "-o", "u/out", "-i", "input_chain"]
            words += ["--register-dataset-types", "--mode", mode]
            if name == "there":
                words += ["--wait", "--run-dir", str(bench.folder / "run")]
            done = bench.run(sys.executable, "-m", "pipetask.cli", *words)
            assert "1 failed" in done.stderr + done.stdout, done.stderr
            outputs.append(_stored(root))
        here, there = outputs
        assert here == there
        assert len({name for name, _, run, _ in here if run == "u/out/run"}) > 3, (
            "there is something to compare"
        )


_MAKE_REPOSITORIES = """
import shutil, sys
from pipetask.testing import MockPipeline
MockPipeline(configs={"characterize": {"fail_condition": "exposure=1 AND detector=1"}}).make(sys.argv[1])
shutil.copytree(*sys.argv[1:])
"""


def _name_of(bench: Bench) -> str:
    """Return the name by which ``--mode`` finds the system of a bench."""
    return type(EntryPoint("", bench.make_system, "").load()()).name


def _stored(root: Path) -> set[tuple[str, str, str, bool]]:
    """Return what is registered in the output run: dataset type, data ID, collection, and whether there is a file."""
    from lsst.daf.butler import Butler

    with Butler.from_config(str(root)) as butler:
        refs = butler.query_all_datasets("*", find_first=False, limit=None)
        return {(ref.datasetType.name, str(ref.dataId), ref.run, butler.stored(ref)) for ref in refs}
