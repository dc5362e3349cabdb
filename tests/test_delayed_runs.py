"""Run directories and the worker side of delayed runs, with functions for quanta and no batch system."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import environment
from pipetask.errors import PipetaskError
from pipetask.executors.base import ExecutionContext
from pipetask.executors.condor import CondorExecutor
from pipetask.executors.delayed.node import ExitCode, rerun_command, run_node
from pipetask.executors.delayed.outcomes import AttemptTails, AttemptWriter, attempts_of, read_attempts
from pipetask.executors.delayed.replay import ReplayExecutor, all_done
from pipetask.executors.delayed.run_directory import RunDirectory
from pipetask.options.delayed import DelayedOptions
from pipetask.outcome import QuantumOutcome, Status
from pipetask.testing import CallSpec, enumerated
from toy_work import Recorder

from test_enumeration import random_graphs  # isort: skip

CHAINS = {"a": 3, "b": 3, "c": 1}
EDGES = [(0, 3), (1, 4), (2, 5), (3, 6), (4, 6), (5, 6)]

Write = Callable[..., RunDirectory]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Return a function that writes a run whose quanta call something."""

    def make(
        work: Callable[[int], object] | None = None,
        counts: dict[str, int] = CHAINS,
        edges: list[tuple[int, int]] = EDGES,
        **options: object,
    ) -> RunDirectory:
        graph = enumerated(counts, edges)
        run_dir = tmp_path / "run"
        options = {"bundle_size": 6, **options}
        executor = CondorExecutor(DelayedOptions(run_dir=str(run_dir), submit=False, **options))
        context = ExecutionContext(graph, CallSpec(work or Recorder(tmp_path)))
        executor.check(context)
        written = list(executor.execute(graph, context))
        context.stop.close()
        assert {outcome.status for outcome in written} == {Status.WRITTEN}
        assert [outcome.id for outcome in written] == [quantum.id for quantum in graph]
        return RunDirectory(run_dir)

    return make


def run_alone(directory: RunDirectory, node: str, *more: str) -> subprocess.CompletedProcess[str]:
    """Run a node as a job does."""
    command = [sys.executable, "-m", "pipetask.cli", "run-node", str(directory.path), node, *more]
    return subprocess.run(command, capture_output=True, text=True, env=environment(), timeout=60)


def statuses(directory: RunDirectory) -> dict[int, Status]:
    graph = enumerated(CHAINS, EDGES)
    context = ExecutionContext(graph, CallSpec(print))
    outcomes = list(ReplayExecutor(directory, register=False).execute(graph, context))
    context.stop.close()
    assert sorted(outcome.id for outcome in outcomes) == list(range(7)), "exactly one outcome each"
    return {graph.position(outcome.id): outcome.status for outcome in outcomes}


def test_a_node_runs_its_quanta_in_order_and_once(write: Write, tmp_path: Path) -> None:
    directory, work = write(), Recorder(tmp_path)
    assert run_node(directory, "0") == ExitCode.DONE
    assert run_node(directory, "a_b-0") == ExitCode.DONE
    assert run_node(directory, "1") == ExitCode.DONE
    assert all(work.attempts(id) == 1 for id in range(7))
    assert set(statuses(directory).values()) == {Status.SUCCEEDED}
    assert all_done(directory)
    assert len(list(read_attempts(directory.outcomes))) == 2, "who has nothing to do writes nothing"


@settings(max_examples=25, deadline=None)
@given(drawn=random_graphs())
def test_whatever_the_graph_each_quantum_is_written_once_and_needs_nothing_but_structure(
    tmp_path_factory: pytest.TempPathFactory, drawn: tuple[dict, list]
) -> None:
    graph = enumerated(*drawn)
    folder = tmp_path_factory.mktemp("written") / "run"
    executor = CondorExecutor(DelayedOptions(run_dir=str(folder), submit=False))
    context = ExecutionContext(graph, CallSpec(print))
    written = [outcome.id for outcome in executor.execute(graph, context)]
    context.stop.close()
    assert written == [quantum.id for quantum in graph]
    with RunDirectory(folder).index() as index:
        rows = {quantum.id: (node, quantum) for node in index.nodes() for quantum in node.quanta}
    assert sorted(rows) == written
    for quantum in graph:
        node, row = rows[quantum.id]
        assert index.labels[row.task] == quantum.label
        assert row.quantum_id == quantum.quantum_id.bytes
        assert set(row.needs) == quantum.prerequisites & {other.id for other in node.quanta}


def test_several_at_a_time(write: Write, tmp_path: Path) -> None:
    directory = write()
    assert run_node(directory, "0", processes=2) == ExitCode.DONE
    assert Recorder(tmp_path).started() == set(range(6))


def test_what_was_never_begun_is_blocked_by_what_failed_above_it(write: Write, tmp_path: Path) -> None:
    bad = next(q.id for q in enumerated(CHAINS, EDGES) if q.position == 1)
    directory = write(Recorder(tmp_path, bombs=((bad, "fail"),)))
    assert run_node(directory, "0") == ExitCode.FAILED
    assert statuses(directory) == {
        0: Status.SUCCEEDED,
        1: Status.FAILED,
        2: Status.SUCCEEDED,
        3: Status.SUCCEEDED,
        4: Status.BLOCKED,
        5: Status.SUCCEEDED,
        6: Status.BLOCKED,
    }
    assert not all_done(directory)


def test_what_nobody_began_is_cancelled(write: Write) -> None:
    directory = write()
    assert set(statuses(directory).values()) == {Status.CANCELLED}


@pytest.mark.parametrize("retries", [0, 2])
def test_what_raises_is_run_again_as_often_as_configured(write: Write, tmp_path: Path, retries: int) -> None:
    work = Recorder(tmp_path, bombs=((0, "fail"),))
    directory = write(work, condor=(f"error_retries={retries}",))
    assert run_node(directory, "0") == ExitCode.FAILED
    assert work.attempts(0) == retries + 1
    (attempt,) = attempts_of(directory.outcomes, 0)
    failures = [o for o in attempt.outcomes if o.status is Status.FAILED]
    assert len(failures) == retries + 1, "the traceback of every attempt is kept"
    assert all("KeyError" in outcome.error.traceback for outcome in failures)


def test_a_repeatable_error_is_not_repeated(write: Write, tmp_path: Path) -> None:
    work = Recorder(tmp_path, bombs=((0, "repeatable_error"),))
    assert run_node(write(work), "0") == 20
    assert work.attempts(0) == 1


def test_want_of_memory_is_told_to_the_batch_system(write: Write, tmp_path: Path) -> None:
    work = Recorder(tmp_path, bombs=((0, "raise_memory_error"),))
    assert run_node(write(work), "0") == ExitCode.OUT_OF_MEMORY
    assert work.attempts(0) == 1


def test_a_killed_job_leaves_what_it_had_finished_and_the_next_one_is_careful(
    write: Write, tmp_path: Path
) -> None:
    work = Recorder(tmp_path, bombs=((2, "kill_self"),))
    directory = write(work)
    assert run_alone(directory, "0").returncode == -signal.SIGKILL
    finished = {o.id for attempt in attempts_of(directory.outcomes, 0) for o in attempt.outcomes}
    assert finished == {0, 1}
    # This time the quantum has a process of its own to kill.
    assert run_alone(directory, "0").returncode == ExitCode.INFRASTRUCTURE
    assert [work.attempts(id) for id in (0, 1, 2)] == [1, 1, 2]
    assert work.started() == {0, 1, 2, 4, 5}, "those after it ran, those that need it did not"


def test_an_interrupted_job_says_so(write: Write, tmp_path: Path) -> None:
    work = Recorder(tmp_path, bombs=((0, "terminate_self"),))
    directory = write(work)
    assert run_alone(directory, "0").returncode == 128 + signal.SIGTERM
    (attempt,) = attempts_of(directory.outcomes, 0)
    assert attempt.outcomes[0].status is Status.CANCELLED


def test_a_failure_names_the_command_that_runs_it_again(write: Write, tmp_path: Path) -> None:
    work = Recorder(tmp_path, bombs=((0, "fail_until_defused"),))
    directory = write(work)
    done = run_alone(directory, "0")
    assert done.returncode == 1
    quantum_id = next(iter(enumerated(CHAINS, EDGES))).quantum_id
    command = rerun_command(directory, "a_b-0", quantum_id)
    assert f"  run it again: {command}\n" in done.stderr
    (tmp_path / "defused").touch()
    assert run_alone(directory, "a_b-0", "--quantum", str(quantum_id)).returncode == 0
    assert work.attempts(0) == 3
    assert work.attempts(2) == 1


@pytest.mark.parametrize(
    ("node", "more", "message"),
    [
        ("7", (), "has no node '7': name one of its 2 nodes"),
        ("nonsense", (), "has no node 'nonsense'"),
        ("0", ("--quantum", "x"), "Node a_b-0 has no quantum x"),
    ],
)
def test_what_is_not_there_is_refused(write: Write, node: str, more: tuple[str, ...], message: str) -> None:
    done = run_alone(write(), node, *more)
    assert done.returncode == ExitCode.INFRASTRUCTURE
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


# The files of outcomes.

OUTCOMES = [QuantumOutcome(0, Status.SUCCEEDED, 1.0, 2.0), QuantumOutcome(1, Status.FAILED, 2.0, 3.0)]


def attempt_file(folder: Path, *, ended: bool = True) -> Path:
    writer = AttemptWriter(folder, 7, "host", 2048)
    for outcome in OUTCOMES:
        writer.outcome(outcome)
    if ended:
        writer.end(1)
    (path,) = folder.rglob("000007-*")
    return path


def test_an_attempt_is_read_as_it_was_written(tmp_path: Path) -> None:
    attempt_file(tmp_path)
    (attempt,) = attempts_of(tmp_path, 7)
    assert (attempt.number, attempt.host, attempt.memory, attempt.exit_code) == (7, "host", 2048, 1)
    assert attempt.outcomes == OUTCOMES


@given(cut=st.integers(0, 10_000))
def test_wherever_a_file_is_cut_off_whole_records_are_read(
    tmp_path_factory: pytest.TempPathFactory, cut: int
) -> None:
    path = attempt_file(tmp_path_factory.mktemp("outcomes"))
    content = path.read_bytes()
    path.write_bytes(content[: cut % len(content)])
    (attempt,) = attempts_of(path.parent.parent, 7)
    assert attempt.outcomes == OUTCOMES[: len(attempt.outcomes)]
    assert attempt.exit_code is None


def test_a_growing_file_is_read_piece_by_piece(tmp_path: Path) -> None:
    tails = AttemptTails(tmp_path)
    writer = AttemptWriter(tmp_path, 3, "host", None)
    assert [news for _, news in tails.news()] == [[]]
    writer.outcome(OUTCOMES[0])
    assert [news for _, news in tails.news()] == [[OUTCOMES[0]]]
    assert len(tails.running()) == 1
    writer.end(0)
    assert [news for _, news in tails.news()] == [[]]
    assert not list(tails.news())
    assert not tails.running()


def test_a_full_disk_is_said_in_one_line(tmp_path: Path) -> None:
    writer = AttemptWriter(tmp_path, 0, "host", None)
    os.dup2(os.open("/dev/full", os.O_WRONLY), writer._file)
    with pytest.raises(PipetaskError, match=r"cannot be written .*No space left.*: make room"):
        writer.outcome(OUTCOMES[0])


def test_two_attempts_at_once_do_not_meet(tmp_path: Path) -> None:
    for _ in range(20):
        AttemptWriter(tmp_path, 0, "host", None).end(0)
    assert len(attempts_of(tmp_path, 0)) == 20


# Run directories.


def test_a_run_directory_is_all_or_nothing(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pipetask.executors.condor.writer.write_index", fail)
    with pytest.raises(PipetaskError, match=r"run cannot be written \(No space left on device\)"):
        write()
    assert not list(tmp_path.iterdir())


def test_an_existing_run_directory_is_refused(write: Write) -> None:
    write()
    with pytest.raises(
        PipetaskError, match=r"exists: name another with --run-dir, or go on with it: pipetask restart"
    ):
        write()


def test_the_number_of_files_does_not_depend_on_the_number_of_quanta(write: Write, tmp_path: Path) -> None:
    small = write(counts={"a": 1}, edges=[])
    files = sorted(str(path.relative_to(small.path)) for path in small.path.rglob("*"))
    shutil.rmtree(small.path)
    large = write(counts={"a": 2000}, edges=[], bundle_size=1)
    assert sorted(str(path.relative_to(large.path)) for path in large.path.rglob("*")) == files


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda path: (path / "run.json").unlink(), "is not a run directory, it has no run.json"),
        (lambda path: (path / "run.json").write_text("{"), "cannot be read"),
        (lambda path: (path / "run.json").write_text('{"version": 99}'), "another layout"),
    ],
)
def test_a_damaged_run_directory_is_refused(
    write: Write, spoil: Callable[[Path], object], message: str
) -> None:
    path = write().path
    spoil(path)
    with pytest.raises(PipetaskError, match=message):
        RunDirectory(path)


def test_a_damaged_index_is_refused(write: Write) -> None:
    directory = write()
    (directory.path / "index.sqlite").write_bytes(b"nonsense")
    with pytest.raises(PipetaskError, match="cannot be read"):
        directory.index()
