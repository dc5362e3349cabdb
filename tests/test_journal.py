"""The journal of a run on a machine: what is written is read, whatever has happened to run or file."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import pickle
import shutil
import signal
import time
import uuid
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from conftest import Repository, run_pipetask, start_pipetask
from forked import run_forked
from pipetask.batch.outcomes import AttemptTails, AttemptWriter
from pipetask.batch.status import NodeState, RunPhase
from pipetask.executors.activity import Activity, RunningQuantum
from pipetask.executors.stop import StopRequest
from pipetask.graph.enumeration import EnumeratedGraph
from pipetask.journal import places, sink
from pipetask.journal.facts import RunBegin, RunEnd
from pipetask.journal.reader import JournalReader
from pipetask.journal.records import FIRST_LINE, Started, first, last, packed, plain_loads
from pipetask.journal.replay import replay
from pipetask.journal.sink import JournalFacts, JournalSink
from pipetask.journal.starts import noting_starts
from pipetask.monitor.local import LocalWatch
from pipetask.observe.facts.attempts import WORDS, Attempts
from pipetask.observe.sink import Sink
from pipetask.observe.summary import OutcomeCollector, RunSummary
from pipetask.outcome import QuantumError, QuantumOutcome, Status, Transaction, Usage
from pipetask.testing import MockPipeline, enumerated
from pipetask.testing.plain_runs import wait_until

ERROR = QuantumError("ValueError", "no good", "Traceback …")
OUTCOMES = [
    QuantumOutcome(0, Status.SUCCEEDED, 100.0, 101.0, "host", 7, Usage(1.0)),
    QuantumOutcome(1, Status.FAILED, 101.0, 103.0, "host", 8, error=ERROR, attempt=2),
    QuantumOutcome(2, Status.BLOCKED, blocked_by=1),
]


def graph_of_four() -> EnumeratedGraph:
    graph = enumerated({"isr": 2, "warp": 2}, [(0, 2), (1, 2)])
    for _ in graph:
        pass
    return graph


def summary_of(graph: EnumeratedGraph, outcomes: list[QuantumOutcome]) -> RunSummary:
    collected = OutcomeCollector(graph, None)
    for outcome in outcomes:
        collected.note(outcome)
    with contextlib.closing(StopRequest()) as stop:
        return collected.summary(stop)


def written(folder: Path, outcomes: list[QuantumOutcome] = OUTCOMES) -> Path:
    """Write the journal of a run of four quanta that has ended."""
    graph, journal = graph_of_four(), JournalSink(folder, JournalFacts(output_run="u/run", resume="go on"))
    journal.begin(graph, {"isr": 2, "warp": 2}, Activity())
    for outcome in outcomes:
        journal.note(outcome)
    journal.end(summary_of(graph, outcomes))
    return journal.path


def has_begun(journal: Path) -> bool:
    """Return whether there is a journal with a whole head."""
    return journal.exists() and first(journal) is not None


def without_end(journal: Path) -> None:
    """Cut off the last record, as if the run had been killed."""
    end = last(journal)
    assert end is not None
    os.truncate(journal, journal.stat().st_size - len(packed(end)))


def test_what_is_written_is_read(tmp_path: Path) -> None:
    reader = JournalReader(written(tmp_path))
    pairs = list(reader.news())
    assert [outcome for _, outcome in pairs] == OUTCOMES
    assert [quantum.id for quantum, _ in pairs] == [0, 1, 2]
    graph = graph_of_four()
    for quantum, _ in pairs:
        assert quantum.label == graph.label(quantum.id)
        assert quantum.data_id == graph.data_id(quantum.id)
        assert quantum.quantum_id == graph.quantum_id(quantum.id)
        assert quantum.describe() == graph.describe(quantum.id)
    assert reader.begin is not None
    assert reader.begin.output_run == "u/run"
    assert reader.begin.pid == os.getpid()
    assert reader.begin.labels == {"isr": 2, "warp": 2}
    assert reader.end is not None
    assert reader.end.outcome == "failed"
    assert reader.end.counts == {"succeeded": 1, "failed": 1, "blocked": 1}
    assert not list(reader.news())


def test_transactions_are_in_the_journal_once(tmp_path: Path) -> None:
    graph, activity, journal = graph_of_four(), Activity(), JournalSink(tmp_path)
    transactions = [Transaction(1000.0, 1001.0, 3, 12)]
    activity.transactions = transactions
    journal.begin(graph, {"isr": 2, "warp": 2}, activity)
    reader = JournalReader(journal.path)
    wait_until(journal.path.exists, "there is a journal")
    wait_until(lambda: not list(reader.news()) and bool(reader.transactions), "it has the transaction")
    transactions.append(Transaction(1002.0, 1003.0, 1, 2, succeeded=False))
    journal.end(summary_of(graph, []))
    list(reader.news())
    assert reader.transactions == transactions
    assert list(replay(JournalReader(journal.path), []).transactions) == transactions


def test_what_runs_is_in_the_journal_while_it_runs(tmp_path: Path) -> None:
    graph, activity, journal = graph_of_four(), Activity(), JournalSink(tmp_path)
    running = [RunningQuantum(3, 1000.0, os.getpid(), 2)]
    activity.report_with(lambda: running)
    journal.begin(graph, {"isr": 2, "warp": 2}, activity)
    watch = LocalWatch(journal.path)
    wait_until(journal.path.exists, "there is a journal")
    wait_until(lambda: bool(watch.look().running), "what runs is in it")
    (seen,) = watch.look().running
    assert (seen.label, seen.data_id, seen.start, seen.attempt) == ("warp", {"number": 3}, 1000.0, 2)
    assert seen.memory is not None
    assert seen.memory > 1_000_000
    assert watch.look().phase is RunPhase.RUNNING
    running.clear()
    journal.note(replace(OUTCOMES[0], id=3))
    wait_until(lambda: not watch.look().running, "what has ended is in it")
    assert watch.look().status.counts["warp"] == {
        NodeState.DONE: 1,
        NodeState.WAITING: 1,
        NodeState.RUNNING: 0,
    }
    journal.end(summary_of(graph, []))


@pytest.mark.slow
def test_wherever_a_journal_is_cut_off_what_is_there_is_told(tmp_path: Path) -> None:
    journal = written(tmp_path / "whole")
    content, head = journal.read_bytes(), first(journal)
    assert head is not None
    (cut_off := tmp_path / "cut" / "1.journal").parent.mkdir()
    told = []
    for size in range(len(content) + 1):
        cut_off.write_bytes(content[:size])
        view = LocalWatch(cut_off).look()
        json.dumps(view.json())
        told.append(
            sum(counts[NodeState.DONE] + counts[NodeState.FAILED] for counts in view.status.counts.values())
        )
        assert (first(cut_off) is None) is (size < len(FIRST_LINE) + len(packed(head)))
        end = last(cut_off)
        assert (end is not None and end.get("record") == "end") is (size == len(content))
    assert told == sorted(told), "a longer journal says no less"
    assert set(told) == {0, 1, 2}
    assert view.phase is RunPhase.FAILED


def test_a_report_is_made_of_any_beginning_of_a_journal(tmp_path: Path) -> None:
    journal = written(tmp_path / "whole")
    head = first(journal)
    assert head is not None
    rest = journal.read_bytes()[len(FIRST_LINE) + len(packed(head)) :]
    content = FIRST_LINE + packed(head | {"process": "1"}) + rest
    (cut_off := tmp_path / "cut" / "1.journal").parent.mkdir()
    seen = set()
    for size in [*range(0, len(content), 7), len(content)]:
        cut_off.write_bytes(content[:size])
        os.utime(cut_off, (1000.0, 1000.0))
        summary = replay(JournalReader(cut_off), [])
        seen.add(len(summary.outcomes))
        assert summary.exit_code == 1
        assert (summary.error is None) is (size == len(content)), "otherwise it ended without a word"
    assert seen == {0, 1, 2, 3}


class Ids(Sink):
    """Notes which quantum blocks which, by label and data ID."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str | None]] = []

    def begin(self, graph: EnumeratedGraph, totals: dict[str, int], activity: Activity) -> None:
        self._graph = graph

    def note(self, outcome: QuantumOutcome) -> None:
        root = None if outcome.blocked_by is None else self._graph.describe(outcome.blocked_by)
        self.seen.append((self._graph.describe(outcome.id), root))


def test_sinks_are_told_of_a_journal_without_the_graph(tmp_path: Path) -> None:
    ids, graph = Ids(), graph_of_four()
    summary = replay(JournalReader(written(tmp_path)), [ids])
    assert ids.seen == [
        (graph.describe(0), None),
        (graph.describe(1), None),
        (graph.describe(2), graph.describe(1)),
    ]
    assert summary.counts == summary_of(graph, OUTCOMES).counts
    assert [error.error for error in summary.failed] == [ERROR]


def test_only_plain_values_are_unpickled() -> None:
    assert plain_loads(pickle.dumps({"a": [1, "b", b"c", None, 1.5, (True,)]})) == {
        "a": [1, "b", b"c", None, 1.5, (True,)]
    }
    with pytest.raises(pickle.UnpicklingError, match="no plain value"):
        plain_loads(pickle.dumps(uuid.UUID(int=1)))


def test_the_process_decides_whether_a_run_lives(tmp_path: Path) -> None:
    journal = written(tmp_path)
    without_end(journal)
    assert LocalWatch(journal).look().phase is RunPhase.RUNNING, "this process lives"
    head = first(journal)
    assert head is not None
    for changed in ({"process": "1"}, {"boot": "another"}, {"pid": 2**22 + 1}):
        journal.write_bytes(FIRST_LINE + packed(head | changed))
        view = LocalWatch(journal).look()
        assert view.phase is RunPhase.DIED
        assert view.status.notes[0].startswith("ended without a word at ")
        assert view.status.notes[1] == "resume with: go on"
    journal.write_bytes(FIRST_LINE + packed(head | {"host": "elsewhere"}))
    assert LocalWatch(journal).look().phase is RunPhase.RUNNING, "it was written to just now"
    os.utime(journal, (time.time() - 3600,) * 2)
    assert LocalWatch(journal).look().phase is RunPhase.DIED


def with_clock_back(folder: Path) -> Path:
    """Write the journal of a run that goes on, and whose clock was set back several times."""
    later = time.time() + 5000
    outcomes = [
        QuantumOutcome(0, Status.SUCCEEDED, later, later - 4000, "host", 7),
        QuantumOutcome(1, Status.SUCCEEDED, later - 9000, later - 9001, "host", 7),
    ]
    journal = written(folder, outcomes)
    without_end(journal)
    head = first(journal)
    assert head is not None
    content = journal.read_bytes()
    rest = content[len(FIRST_LINE) + len(packed(head)) :]
    name = {"label": 1, "data": [2], "quantum": graph_of_four().quantum_id(2).bytes}
    started = Started(2, 1, later, "host", 1).to_record() | name
    registered = {"record": "registered", **asdict(Transaction(later - 3000, later - 3001, 2, 5))}
    journal.write_bytes(
        FIRST_LINE + packed(head | {"start": later}) + rest + packed(started) + packed(registered)
    )
    return journal


def test_a_clock_that_jumps_back_is_no_reason_to_fail(tmp_path: Path) -> None:
    journal = with_clock_back(tmp_path)
    view = LocalWatch(journal).look()
    assert view.phase is RunPhase.RUNNING
    assert view.status.rate is None or view.status.rate > 0
    assert view.status.seconds_left is None or view.status.seconds_left >= 0
    assert [each.seconds(view.now) for each in view.running] == [0.0]
    assert replay(JournalReader(journal), []).counts["isr"] == {Status.SUCCEEDED: 2}


def test_two_runs_in_one_folder_have_a_journal_each(tmp_path: Path) -> None:
    graph = graph_of_four()
    sinks = [JournalSink(tmp_path) for _ in range(2)]
    for each in sinks:
        each.begin(graph, {"isr": 2, "warp": 2}, Activity())
    sinks[0].note(OUTCOMES[0])
    sinks[1].note(OUTCOMES[1])
    for each in sinks:
        each.end(summary_of(graph, []))
    assert places.journals_in(tmp_path) == [each.path for each in sinks]
    views = [LocalWatch(each.path).look() for each in sinks]
    assert [view.n_failures for view in views] == [0, 1]
    assert f"this is one of 2 runs with a journal in {tmp_path}" in views[1].status.notes


@pytest.mark.parametrize("fault", ["full", "removed", "no-folder"])
def test_a_journal_that_cannot_be_written_is_told_once(
    tmp_path: Path, fault: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    if fault == "full":
        create = sink._Writer.create

        def create_full(writer: sink._Writer, head: RunBegin) -> None:
            create(writer, head)
            os.dup2(os.open("/dev/full", os.O_WRONLY), writer._file)
            monkeypatch.setattr(sink._Writer, "_check", lambda writer: None)

        monkeypatch.setattr(sink._Writer, "create", create_full)
    if fault == "no-folder":
        (tmp_path / "file").write_text("")
    folder = tmp_path / ("file" if fault == "no-folder" else "folder")
    graph, journal = graph_of_four(), JournalSink(folder)
    with caplog.at_level(logging.WARNING):
        journal.begin(graph, {"isr": 2, "warp": 2}, Activity())
        if fault == "removed":
            wait_until(lambda: has_begun(journal.path), "the journal has begun")
            shutil.rmtree(folder)
        for outcome in OUTCOMES * 10:
            journal.note(outcome)
        journal.end(summary_of(graph, OUTCOMES))
    (told,) = caplog.messages
    assert f"The journal {journal.path} cannot be written" in told
    assert "The run itself is not affected." in told
    assert journal._thread is not None
    assert not journal._thread.is_alive()


def test_a_file_that_has_taken_the_number_of_the_journal_is_left_alone(tmp_path: Path) -> None:
    """As after a task in the same process has closed all descriptors."""
    graph, journal = graph_of_four(), JournalSink(tmp_path / "folder")
    journal.begin(graph, {"isr": 2, "warp": 2}, Activity())
    wait_until(lambda: has_begun(journal.path), "the journal has begun")
    assert journal._writer is not None
    with (tmp_path / "other").open("wb") as other:
        os.dup2(other.fileno(), journal._writer._file)
    taken = journal._writer._file
    for outcome in OUTCOMES:
        journal.note(outcome)
    journal.end(summary_of(graph, OUTCOMES))
    assert (tmp_path / "other").read_bytes() == b""
    os.close(taken)  # it is still open: it was not the journal's to close
    assert [outcome for _, outcome in JournalReader(journal.path).news()] == OUTCOMES


def test_only_journals_of_old_runs_are_removed(state_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "MOST_RUNS", 3)
    runs, now = places.runs_folder(), time.time()
    assert runs.is_relative_to(state_folder)
    ages = [100 * 86400, 30 * 86400, 7200, 3000, 7200, 10]
    for number, age in enumerate(ages):
        journal = runs / f"2026010{number}-000000-1" / "1.journal"
        journal.parent.mkdir(parents=True)
        journal.write_text("")
        os.utime(journal, (now - age,) * 2)
    (other := runs / "mine").mkdir()
    os.utime(other, (0, 0))
    places.remove_old(runs / "20260105-000000-1")
    left = sorted(path.name[:8] for path in runs.iterdir())
    assert left == ["20260103", "20260104", "20260105", "mine"], (
        "one that is written to stays, whatever its rank"
    )
    assert len(list(places.recent_runs())) == 3


def test_also_what_is_noted_of_old_batch_runs_is_removed(tmp_path: Path) -> None:
    old = places.runs_folder() / "20260101-000000-1"
    old.mkdir(parents=True)
    (old / "run_directory").write_text(str(tmp_path))
    os.utime(old, (0, 0))
    places.note_batch_run(tmp_path)
    (left,) = places.runs_folder().iterdir()
    assert (left / "run_directory").read_text() == str(tmp_path)
    assert left != old


# Jobs of batch runs.


def test_jobs_note_what_they_have_started(tmp_path: Path) -> None:
    tails, writer = AttemptTails(tmp_path), AttemptWriter(tmp_path, 3, "host", None)
    writer.started(Started(5, 1, 100.0, "host", 7))
    list(tails.news())
    (attempt,) = tails.running()
    assert attempt.running == {5: Started(5, 1, 100.0, "host", 7)}
    writer.outcome(QuantumOutcome(5, Status.SUCCEEDED))
    writer.started(Started(5, 1, 100.0, "host", 7))  # it was seen running just before it ended
    list(tails.news())
    assert attempt.running == {}
    writer.end(0)


def test_starts_are_noted_once_for_each_attempt() -> None:
    activity, noted = Activity(), []
    running = [RunningQuantum(1, 100.0, 7)]
    activity.report_with(lambda: running)
    with noting_starts(activity, noted.append):
        wait_until(lambda: len(noted) == 1, "a start is noted")
        running[:] = [RunningQuantum(1, 200.0, 7, 2), RunningQuantum(2)]
        wait_until(lambda: len(noted) == 3, "two more are noted")
    assert [(each.id, each.attempt) for each in noted] == [(1, 1), (1, 2), (2, 1)]
    assert noted[1].start == 200.0
    assert noted[2].start > 1e9, "when it was first seen"


# The command.


@pytest.fixture
def ended(repository: Repository, tmp_path: Path) -> tuple[Repository, Path]:
    """A run that has succeeded, and the folder of its journal."""
    folder = tmp_path / "journal"
    done = run_forked(*repository.arguments("--journal", str(folder)))
    assert done.code == 0, done.err
    return repository, folder


@pytest.mark.slow
def test_status_and_report_read_the_journal_of_a_run(ended: tuple[Repository, Path]) -> None:
    _, folder = ended
    status = run_forked("status", str(folder), "--json")
    assert status.code == 0
    content = json.loads(status.out)
    assert content["phase"] == "succeeded"
    assert content["quanta"] == {"isr": {"done": 4}, "characterize": {"done": 4}, "gather": {"done": 2}}
    report = run_forked("report", str(folder))
    assert report.code == 0
    assert "succeeded: 10 succeeded in " in report.err


@pytest.mark.slow
def test_a_run_is_found_by_its_output_run(repository: Repository, state_folder: Path) -> None:
    done = run_pipetask(*repository.arguments())
    assert done.code == 0, done.err
    assert len(list(state_folder.rglob("*.journal"))) == 1
    status = run_pipetask("status", "u/out/run")
    assert status.code == 0
    assert "succeeded: quanta 10 done" in status.out
    wrong = run_pipetask("status", "u/out/other")
    assert wrong.code == 1
    assert "'u/out/other' is no run: name a run directory" in wrong.line


@pytest.mark.slow
def test_no_journal_is_written_if_none_is_wanted(repository: Repository, state_folder: Path) -> None:
    assert run_forked(*repository.arguments("--no-journal")).code == 0
    assert not state_folder.exists()


@pytest.mark.slow
def test_a_folder_that_cannot_have_a_journal_is_refused(repository: Repository) -> None:
    refused = run_forked(*repository.arguments("--journal", str(repository.graph)))
    assert refused.code == 2
    assert f"--journal {repository.graph}: " in refused.line


@pytest.mark.slow
def test_what_is_known_of_a_run_whose_process_was_killed(
    make_repository: Callable[..., Repository], tmp_path: Path
) -> None:
    repository = make_repository(MockPipeline(1, 2, configs={"isr": {"sleep": 600.0}}))
    folder = tmp_path / "journal"
    process = start_pipetask(*repository.arguments("-j", "2", "--journal", str(folder)))

    def running() -> int:
        found = places.journals_in(folder)
        return len(LocalWatch(found[0]).look().running) if found else 0

    wait_until(lambda: running() == 2, "two quanta run")
    status = run_forked("status", str(folder))
    assert status.code == RunPhase.RUNNING.exit_code
    assert "running: quanta 3 waiting, 2 running" in status.out
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    status = run_forked("status", str(folder))
    assert status.code == RunPhase.DIED.exit_code == 7
    assert "ended without a word at " in status.out
    assert "resume with: " in status.out
    assert "--extend-run" in status.out
    report = run_forked("report", str(folder))
    assert report.code == 1
    assert "The run ended without a word at " in report.err
    assert "failed: 5 cancelled" in report.err
    summary = replay(JournalReader(places.journals_in(folder)[0]), [])
    attempts = Attempts.of(summary.graph, summary.outcomes)
    assert [WORDS[status] for status in attempts.status] == ["cancelled"] * 2, "what ran has a bar"
    assert summary.start < attempts.start.min() <= attempts.end.max() <= summary.end


def test_facts_of_a_later_version_are_read_as_far_as_they_are_known() -> None:
    assert RunEnd.from_record({"record": "end", "outcome": "succeeded", "colour": "red"}) == RunEnd(
        outcome="succeeded"
    )
