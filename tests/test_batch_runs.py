"""Run directories and the worker side of batch runs, with functions for quanta and the local batch system."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import environment
from in_process import run_here
from pipetask import BatchExecutor, BatchOptions
from pipetask.batch import upstream
from pipetask.batch.exit_codes import ExitCode
from pipetask.batch.ledger import Ledger
from pipetask.batch.node import run_node
from pipetask.batch.node_commands import rerun_command
from pipetask.batch.outcomes import AttemptTails, AttemptWriter, attempts_by_node, attempts_of
from pipetask.batch.replay import ReplayExecutor
from pipetask.batch.run_directory import RunDirectory
from pipetask.errors import PipetaskError
from pipetask.executors.base import ExecutionContext, QuantumExecutor
from pipetask.executors.in_process import InProcessExecutor
from pipetask.executors.retries import RetryPolicy, RetryRule
from pipetask.graph.enumeration import EnumeratedGraph
from pipetask.outcome import QuantumOutcome, Status
from pipetask.testing import CallSpec, enumerated
from pipetask.testing.local_batch import LocalBatchSystem
from toy_work import Recorder

from test_enumeration import random_graphs  # isort: skip

pytestmark = pytest.mark.usefixtures("speaks_of_flags")

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
        spec = CallSpec(work or Recorder(tmp_path))
        return write_run(tmp_path / "run", enumerated(counts, edges), spec, **{"bundle_size": 6, **options})

    return make


def write_run(
    folder: Path,
    graph: EnumeratedGraph,
    spec: CallSpec,
    *,
    shared: bool = True,
    error_retries: int = 0,
    **options: object,
) -> RunDirectory:
    """Write a run for the local batch system; nodes are run by the tests themselves."""
    system = LocalBatchSystem(shared=shared)
    executor = BatchExecutor(system, BatchOptions(run_dir=str(folder), submit=False, **options))
    retries = RetryPolicy(RetryRule(error_retries=error_retries))
    written = outcomes_of(executor, graph, spec, retries=retries)
    assert {outcome.status for outcome in written.values()} == {Status.WRITTEN}
    assert list(written) == [quantum.id for quantum in graph]
    return RunDirectory(folder)


def outcomes_of(
    executor: QuantumExecutor, graph: EnumeratedGraph, spec: CallSpec, **more: object
) -> dict[int, QuantumOutcome]:
    context = ExecutionContext(graph, spec, **more)
    executor.check(context)
    outcomes = list(executor.execute(graph, context))
    context.stop.close()
    assert len(outcomes) == len({outcome.id for outcome in outcomes}), "exactly one each"
    return {outcome.id: outcome for outcome in outcomes}


def run_alone(directory: RunDirectory, node: str, *more: str) -> subprocess.CompletedProcess[str]:
    """Run a node as a job does."""
    command = [sys.executable, "-m", "pipetask.cli", "run-node", str(directory.path), node, *more]
    return subprocess.run(command, capture_output=True, text=True, env=environment())


def replay(directory: RunDirectory, graph: EnumeratedGraph) -> dict[int, QuantumOutcome]:
    return outcomes_of(ReplayExecutor(directory, register=False), graph, CallSpec(print))


def statuses(directory: RunDirectory) -> dict[int, Status]:
    graph = enumerated(CHAINS, EDGES)
    outcomes = replay(directory, graph)
    assert sorted(outcomes) == list(range(7))
    return {graph.position(id): outcome.status for id, outcome in outcomes.items()}


def test_a_node_runs_its_quanta_in_order_and_once(write: Write, tmp_path: Path) -> None:
    directory, work = write(), Recorder(tmp_path)
    assert run_node(directory, "0") == ExitCode.DONE
    assert run_node(directory, "a_b-0") == ExitCode.DONE
    assert run_node(directory, "1") == ExitCode.DONE
    assert all(work.attempts(id) == 1 for id in range(7))
    assert set(statuses(directory).values()) == {Status.SUCCEEDED}
    assert Ledger(directory).all_done()
    assert [len(attempts) for attempts in attempts_by_node(directory.outcomes)] == [1, 1], (
        "who has nothing to do writes nothing"
    )


@settings(max_examples=25, deadline=None)
@given(drawn=random_graphs())
def test_whatever_the_graph_each_quantum_is_written_once_and_needs_nothing_but_structure(
    tmp_path_factory: pytest.TempPathFactory, drawn: tuple[dict, list]
) -> None:
    graph = enumerated(*drawn)
    directory = write_run(tmp_path_factory.mktemp("written") / "run", graph, CallSpec(print))
    with directory.index() as index:
        rows = {quantum.id: (node, quantum) for node in index.nodes() for quantum in node.quanta}
    assert sorted(rows) == [quantum.id for quantum in graph]
    for quantum in graph:
        node, row = rows[quantum.id]
        assert index.labels[row.task] == quantum.label
        assert row.quantum_id == quantum.quantum_id.bytes
        assert set(row.needs) == quantum.prerequisites
        assert {rows[before][0].number for before in row.needs} <= {node.number, *node.needs}


@pytest.mark.slow
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
    assert not Ledger(directory).all_done()


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(drawn=random_graphs(), size=st.integers(1, 4), bad=st.sets(st.integers(0, 9), max_size=3))
def test_however_quanta_are_packed_those_run_that_would_run_here(
    tmp_path_factory: pytest.TempPathFactory, drawn: tuple[dict, list], size: int, bad: set[int]
) -> None:
    folder = tmp_path_factory.mktemp("run")
    work = Recorder(folder, bombs=tuple((id, "repeatable_error") for id in bad))
    directory = write_run(folder / "run", enumerated(*drawn), CallSpec(work), bundle_size=size)
    # Nodes run whatever became of those before them, as their DAG has it.
    codes = [run_node(directory, str(number)) for number in range(directory.facts.nodes)]
    replayed = replay(directory, enumerated(*drawn))
    here = outcomes_of(InProcessExecutor(), enumerated(*drawn), CallSpec(work))
    assert {id: (o.status, o.blocked_by) for id, o in replayed.items()} == {
        id: (o.status, o.blocked_by) for id, o in here.items()
    }
    assert set(Ledger(directory).statuses()) == set(here), "blocked ones, too, are written down"
    assert set(codes) <= {ExitCode.DONE, ExitCode.REPEATABLE, ExitCode.BLOCKED}
    assert Ledger(directory).all_done() == (set(codes) == {ExitCode.DONE})


def test_a_node_says_that_it_waits_for_what_failed_elsewhere(write: Write, tmp_path: Path) -> None:
    directory = write(Recorder(tmp_path, bombs=((0, "fail"),)))
    assert run_node(directory, "0") == ExitCode.FAILED
    done = run_alone(directory, "1")
    assert done.returncode == ExitCode.BLOCKED
    assert "1 quanta were not run, because they need what has failed" in done.stderr
    assert statuses(directory)[6] is Status.BLOCKED


def test_the_last_words_of_another_machine_are_waited_for(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    directory = write(Recorder(tmp_path))
    assert run_node(directory, "0") == ExitCode.DONE
    hidden = shutil.move(directory.outcomes / "000", tmp_path / "not yet")
    clock = SimpleNamespace(
        monotonic=time.monotonic, sleep=lambda _: shutil.move(hidden, directory.outcomes / "000")
    )
    monkeypatch.setattr(upstream, "time", clock)
    assert run_node(directory, "1") == ExitCode.DONE
    assert "waiting for what node 0 has written" in capfd.readouterr().err


def test_what_was_killed_and_said_nothing_is_given_up(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upstream, "PATIENCE", 0.0)
    directory = write(Recorder(tmp_path, bombs=((2, "kill_self"),)))
    assert run_alone(directory, "0").returncode == -signal.SIGKILL
    assert run_node(directory, "1") == ExitCode.BLOCKED


def test_where_jobs_do_not_see_each_other_the_batch_system_sees_to_it(write: Write, tmp_path: Path) -> None:
    directory = write(Recorder(tmp_path, bombs=((0, "fail"),)), shared=False)
    assert run_node(directory, "0") == ExitCode.FAILED
    assert statuses(directory)[6] is Status.BLOCKED
    assert run_node(directory, "1") == ExitCode.DONE, "it takes for done what it cannot see"


def test_what_nobody_began_is_cancelled(write: Write) -> None:
    directory = write()
    assert set(statuses(directory).values()) == {Status.CANCELLED}


@pytest.mark.parametrize("retries", [0, 2])
def test_what_raises_is_run_again_as_often_as_configured(write: Write, tmp_path: Path, retries: int) -> None:
    work = Recorder(tmp_path, bombs=((0, "fail"),))
    directory = write(work, error_retries=retries)
    assert run_node(directory, "0") == ExitCode.FAILED
    assert work.attempts(0) == retries + 1
    (attempt,) = attempts_of(directory.outcomes, 0)
    (failure,) = (outcome for outcome in attempt.outcomes if outcome.status is Status.FAILED)
    assert len(failure.earlier) == retries, "the traceback of every attempt is kept"
    assert all("KeyError" in each.error.traceback for each in (*failure.earlier, failure))


@pytest.mark.slow
def test_attempts_of_several_jobs_are_told_in_one_outcome(write: Write, tmp_path: Path) -> None:
    directory = write(Recorder(tmp_path, bombs=((0, "fail"),)), error_retries=1)
    for _ in range(2):
        assert run_node(directory, "0") == ExitCode.FAILED
    outcome = replay(directory, enumerated(CHAINS, EDGES))[0]
    assert [each.attempt for each in (*outcome.earlier, outcome)] == [1, 2, 3, 4]


def test_a_repeatable_error_is_not_repeated(write: Write, tmp_path: Path) -> None:
    work = Recorder(tmp_path, bombs=((0, "repeatable_error"),))
    assert run_node(write(work), "0") == 20
    assert work.attempts(0) == 1


def test_want_of_memory_is_told_to_the_batch_system(write: Write, tmp_path: Path) -> None:
    work = Recorder(tmp_path, bombs=((0, "raise_memory_error"),))
    assert run_node(write(work), "0") == ExitCode.OUT_OF_MEMORY
    assert work.attempts(0) == 1


@pytest.mark.slow
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


@pytest.mark.slow
def test_a_failure_names_the_command_that_runs_it_again(write: Write, tmp_path: Path) -> None:
    work = Recorder(tmp_path, bombs=((0, "fail_until_defused"),))
    directory = write(work, error_retries=1)
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

    monkeypatch.setattr("pipetask.batch.executor.write_index", fail)
    with pytest.raises(PipetaskError, match=r"run cannot be written \(No space left on device\)"):
        write()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("room", [1_000, 9_000, 20_000])
def test_wherever_room_ends_nothing_is_left(write: Write, tmp_path: Path, room: int) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, limits[1]))
    try:
        with pytest.raises(PipetaskError, match=r"run cannot be written \(.+\): make room"):
            write(counts={"a": 2000}, edges=[], bundle_size=1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
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
        (
            lambda path: (path / "run.json").write_text('{"version": 99}'),
            "of version 99, and this pipetask reads version 2",
        ),
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


@pytest.mark.parametrize("command", ["status", "cancel", "restart", "report", "run-node"])
@pytest.mark.parametrize(
    ("system", "said"),
    [
        ("nonesuch", "which is not installed here: install the package that has it"),
        ("no_such.package:System", "which cannot be imported here (No module named 'no_such')"),
        ("in-process", "is no BatchSystem: install the package that has it"),
    ],
)
def test_a_batch_system_that_is_missing_is_named_in_one_line(
    write: Write, command: str, system: str, said: str
) -> None:
    path = write().path
    content = json.loads((path / "run.json").read_text())
    (path / "run.json").write_text(json.dumps({**content, "batch_system": system}))
    done = run_here(command, str(path), *(["0"] if command == "run-node" else []))
    assert done.code != 0
    assert done.err.count("\n") == 1
    assert f"Run directory {path} needs the batch system '{system}'" in done.err
    assert said in done.err
