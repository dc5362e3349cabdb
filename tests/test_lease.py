"""Only one process writes to an output run at a time; one that is dead or done does not keep it."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from lsst.daf.butler import Butler

from convergence import run_in_fork
from forked import run_forked
from peer import comparable_registry
from pipetask.batch import executor as writer
from pipetask.batch.queueing.journal import Journal
from pipetask.batch.run_directory import RunDirectory
from pipetask.errors import PipetaskError
from pipetask.execution import continuation
from pipetask.execution.graph_executor import QuantumGraphExecutor
from pipetask.executors.continuation import Continuation
from pipetask.executors.in_process import InProcessExecutor
from pipetask.options.collections import OutputOptions
from pipetask.options.execution import PreUpdateOptions, RunOptions
from pipetask.repository.batch_lease import batches_in_chain
from pipetask.repository.lease import check_not_leased, lease_run
from pipetask.testing import MockPipeline
from pipetask.testing.plain_runs import wait_until
from repository_dump import read_chain, read_files

from conftest import Finished, Repository  # isort: skip

RUN = "u/out/run"
SMALL = MockPipeline(exposures=1, detectors=1)


@pytest.fixture
def repository(make_repository: Callable[..., Repository]) -> Repository:
    return make_repository(SMALL)


def lease(root: Path) -> None:
    """Lease the run for a moment."""
    with Butler.from_config(str(root), writeable=True) as butler, lease_run(butler, RUN):
        pass


@contextmanager
def another_has_it(root: Path, *, fork: bool = False) -> Iterator[int]:
    """Lease the run in another process, of which the ID is yielded, and kill that at the end."""
    read_end, write_end = os.pipe()
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        pid = os.fork()
    if pid == 0:
        with Butler.from_config(str(root), writeable=True) as butler, lease_run(butler, RUN):
            if not fork or os.fork() == 0:  # a child of a task may live on when the command is dead
                os.write(write_end, b".")
            signal.pause()
    os.close(write_end)
    assert os.read(read_end, 1) == b"."
    try:
        yield pid
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(read_end)


def is_allowed(what: Callable[[], object]) -> bool:
    """Do something; a database server may take a moment to notice the death of who had the lease."""
    with contextlib.suppress(PipetaskError):
        what()
        return True
    return False


def check_that_the_dead_do_not_keep_it(root: Path) -> None:
    """Go through the life of a lease; for repositories with any database."""
    with another_has_it(root) as pid, pytest.raises(PipetaskError) as caught:
        lease(root)
    (line,) = str(caught.value).splitlines()
    assert RUN in line
    assert f"(process {pid}) since 20" in line
    wait_until(lambda: is_allowed(partial(lease, root)), "the death is noticed")


def test_the_dead_do_not_keep_it(repository: Repository) -> None:
    before = set(repository.root.iterdir())
    check_that_the_dead_do_not_keep_it(repository.root)
    assert set(repository.root.iterdir()) == before, "nothing is left of it"


def check_that_others_notice(root: Path) -> None:
    """Ask whether somebody writes to a run, with somebody who does and without; for repositories with any database."""
    with Butler.from_config(str(root), writeable=True) as butler:
        check_not_leased(butler, [RUN])
        with another_has_it(root) as pid:
            with pytest.raises(PipetaskError, match=rf"'{RUN}' is being written to by .*\(process {pid}\)"):
                check_not_leased(butler, ["u/other", RUN])
            check_not_leased(butler, ["u/other"])
        wait_until(lambda: is_allowed(partial(check_not_leased, butler, [RUN])), "the death is noticed")


def test_others_notice(repository: Repository) -> None:
    check_that_others_notice(repository.root)


def purge(root: Path) -> Finished:
    return run_forked("purge", "-b", str(root), "u/out", "--no-confirm")


@pytest.mark.slow
def test_a_run_that_is_written_to_is_not_removed(repository: Repository) -> None:
    assert run_forked(*repository.arguments()).code == 0
    before = comparable_registry(repository.root), read_files(repository.root)
    with another_has_it(repository.root):
        done = purge(repository.root)
        assert done.code == 1
        assert f"'{RUN}' is being written to by" in done.line
    assert (comparable_registry(repository.root), read_files(repository.root)) == before
    assert purge(repository.root).code == 0


def test_children_of_the_dead_do_not_keep_it(repository: Repository) -> None:
    with another_has_it(repository.root, fork=True) as pid:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    try:
        lease(repository.root)
    finally:
        os.kill(int(children[0]), signal.SIGKILL)


@pytest.mark.slow
def test_a_run_that_another_writes_to_is_left_alone(repository: Repository) -> None:
    before = comparable_registry(repository.root), read_files(repository.root)
    with another_has_it(repository.root):
        done = run_forked(*repository.arguments("--extend-run"))
        assert done.code == 1
        line = done.line
        assert f"'{RUN}' is being written to by" in line
        assert run_forked(*repository.arguments("--mode", "dry-run")).code == 0, "that writes nothing"
    assert (comparable_registry(repository.root), read_files(repository.root)) == before


@pytest.mark.slow
def test_a_run_that_another_writes_to_is_not_pruned(repository: Repository) -> None:
    assert run_forked(*repository.arguments("--init-only")).code == 0
    with Butler.from_config(str(repository.root), writeable=True) as butler:
        new = SMALL.build_graph(butler, repository.root / "new.qg", run="u/out/new")
    before = comparable_registry(repository.root)
    with another_has_it(repository.root):
        graph = ["run", "-b", str(repository.root), "-g", str(new), "-o", "u/out", "--register-dataset-types"]
        done = run_forked(*graph, "--replace-run", "--prune-replaced", "purge")
    assert done.code == 1
    assert f"'{RUN}' is being written to by" in done.err
    assert comparable_registry(repository.root) == before


# At once.


def execute_when_told(root: Path, extend: bool, gate: int) -> None:
    collections = OutputOptions(output="u/out", inputs=("input_chain",), extend_run=extend)
    options = RunOptions(collections=collections, pre_update=PreUpdateOptions(register_dataset_types=True))
    executor = QuantumGraphExecutor(InProcessExecutor(), str(root), options)
    os.read(gate, 1)  # until it is closed
    assert executor.execute(str(root / "graph.qg")).exit_code == 0


@pytest.mark.slow
@pytest.mark.parametrize("extend", [False, True])
def test_of_several_at_once_one_gets_it(extend: bool, repository: Repository, tmp_path: Path) -> None:
    alone = Path(shutil.copytree(repository.root, tmp_path / "alone"))
    assert (
        run_in_fork(partial(execute_when_told, alone, extend, os.open(os.devnull, os.O_RDONLY)), alone) == 0
    )
    gate, keep = os.pipe()
    pids = []
    for _ in range(3):
        with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
            pids.append(os.fork())
        if pids[-1] == 0:
            os.close(keep)
            try:
                execute_when_told(repository.root, extend, gate)
            except PipetaskError as error:
                os._exit(3 if "is being written to by" in str(error) or "exists: add" in str(error) else 4)
            except BaseException:
                os._exit(5)
            os._exit(0)
    os.close(keep)
    codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
    os.close(gate)
    assert set(codes) <= {0, 3}
    assert 0 in codes
    assert comparable_registry(repository.root) == comparable_registry(alone)
    assert set(read_files(repository.root)) == set(read_files(alone))


# Batch runs.


@pytest.fixture
def held(repository: Repository) -> tuple[Repository, Continuation]:
    """Make a repository whose output run a run directory has."""
    assert run_forked(*repository.arguments("--init-only")).code == 0
    later = Continuation.of(str(repository.root), RUN, RunOptions())
    continuation.hold(later, "id of this", "/scratch/batch")
    return repository, later


@pytest.mark.slow
def test_a_run_directory_keeps_its_run_until_it_is_over(held: tuple[Repository, Continuation]) -> None:
    repository, later = held
    done = run_forked(*repository.arguments("--extend-run"))
    assert done.code == 1
    line = done.line
    assert "/scratch/batch" in line
    assert "--take-over" in line
    with pytest.raises(PipetaskError, match="/scratch/batch"):
        continuation.hold(later, "id of another", "/scratch/other")
    continuation.hold(later, "id of this", "/scratch/batch")  # as when it is restarted
    continuation.begin(later, str(repository.graph), "id of this")  # its own jobs may
    assert not continuation.release(later, "id of another")
    assert continuation.release(later, "id of this")
    assert run_forked(*repository.arguments("--extend-run")).code == 0


@pytest.mark.slow
def test_a_run_can_be_taken_over_for_good(held: tuple[Repository, Continuation]) -> None:
    repository, later = held
    assert run_forked(*repository.arguments("--extend-run", "--take-over")).code == 0
    assert not continuation.release(later, "id of this")
    assert run_forked(*repository.arguments("--extend-run")).code == 0


@pytest.mark.slow
def test_a_run_is_not_removed_while_a_run_directory_has_it(repository: Repository, tmp_path: Path) -> None:
    directory = tmp_path / "batch"
    directory.mkdir()
    assert run_forked(*repository.arguments("--init-only")).code == 0
    continuation.hold(Continuation.of(str(repository.root), RUN, RunOptions()), "id of this", str(directory))
    done = purge(repository.root)
    assert done.code == 1
    assert f"pipetask cancel {directory}" in done.line
    directory.rmdir()
    assert purge(repository.root).code == 0, "what has it is gone"


@pytest.mark.slow
def test_nobody_takes_over_from_the_living(held: tuple[Repository, Continuation]) -> None:
    repository, _ = held
    with another_has_it(repository.root):
        assert run_forked(*repository.arguments("--extend-run", "--take-over")).code == 1


def batch(repository: Repository, run_dir: Path, *more: str) -> Finished:
    words = ("--mode", "condor", "--no-submit", "--run-dir", str(run_dir), *more)
    return run_forked(*repository.arguments(*words))


@pytest.mark.slow
def test_at_no_moment_nobody_has_a_run_that_becomes_a_batch(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle, said = writer.bundle, tmp_path / "said"

    def bundle_while_another_tries(*arguments: Any) -> Any:
        said.write_text(run_forked(*repository.arguments("--extend-run")).err)
        return bundle(*arguments)

    monkeypatch.setattr(writer, "bundle", bundle_while_another_tries)
    done = batch(repository, tmp_path / "batch")
    assert done.code == 0, done.err
    assert f"'{RUN}' is being written to by" in said.read_text()
    done = run_forked(*repository.arguments("--extend-run"))
    assert (done.code, f"held by run directory {tmp_path / 'batch'}" in done.err) == (1, True)


@pytest.mark.slow
def test_what_was_never_submitted_is_given_up_where_the_batch_system_is_not_installed(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    directory = tmp_path / "batch"
    assert batch(repository, directory, "--mode", "pbs").code == 0
    renewed = str(tmp_path / "again.qg")
    assert run_forked("update-graph-run", str(repository.graph), "u/out/again", renewed).code == 0
    again = batch(Repository(repository.root, Path(renewed)), tmp_path / "again", "--mode", "pbs")
    assert (again.code, again.err.count("This begins another run")) == (0, 1)
    assert f"{RUN!r} is not over: go on with that (pipetask restart {directory}) or end it" in again.err
    journal = Journal(directory / "pbs" / "journal.jsonl")
    journal.note("started", 1)  # then it may be in the queue
    refused = run_forked("cancel", str(directory))
    assert (refused.code, "qselect is not on PATH" in refused.err) == (1, True)
    (directory / "pbs" / "journal.jsonl").unlink()
    done = run_forked("cancel", str(directory))
    assert (done.code, done.err) == (0, f"{directory} is not in the queue: its output run is free again.\n")
    with Butler.from_config(str(repository.root)) as butler:
        assert batches_in_chain(butler, "u/out") == {"u/out/again": str(tmp_path / "again")}


@pytest.mark.slow
def test_a_run_whose_first_job_makes_the_registry_ready_is_held_before(
    repository: Repository, tmp_path: Path
) -> None:
    directory, deferred = tmp_path / "batch", ("--registry-pre-update", "deferred")
    assert batch(repository, directory, *deferred).code == 0
    for other in (batch(repository, tmp_path / "other", *deferred), run_forked(*repository.arguments())):
        assert (other.code, f"held by run directory {directory}" in other.err) == (1, True)
    first = run_forked("run-node", str(directory), "first")
    assert first.code == 0, first.err
    assert read_chain(repository.root, "u/out")[0] == RUN
    assert run_forked(*repository.arguments("--extend-run")).code == 1
    batch_run = RunDirectory(directory)
    assert continuation.release(batch_run.recipe().later, batch_run.facts.id)
    done = run_forked(*repository.arguments("--extend-run"))
    assert done.code == 0, done.err
