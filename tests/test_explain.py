"""`pipetask log` and `pipetask explain`: one quantum of a run, whatever has become of it."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import Repository, run_pipetask, start_pipetask
from in_process import run_here
from pipetask.batch.outcomes import AttemptWriter
from pipetask.batch.run_directory import RunDirectory
from pipetask.batch.status import Hold, NodeState, RunPhase
from pipetask.batch.system import Snapshot
from pipetask.errors import PipetaskError, UsageError
from pipetask.journal.places import journals_in
from pipetask.journal.reader import JournaledQuantum
from pipetask.journal.records import Started
from pipetask.monitor.book import BatchBook, LocalBook
from pipetask.monitor.explain import explain
from pipetask.monitor.local import LocalWatch
from pipetask.monitor.quantum_log import find_log
from pipetask.monitor.selection import QuantumSelection
from pipetask.outcome import QuantumError, QuantumOutcome, Status
from pipetask.testing import MockPipeline
from pipetask.testing.local_batch.journal import Journal, acquire
from pipetask.testing.plain_runs import wait_until
from test_batch_runs import Write, write  # noqa: F401  a fixture
from test_journal import with_clock_back, written
from watch_samples import EXAMPLES

QUANTA = [
    JournaledQuantum(id, label, {"exposure": exposure, "detector": id % 2}, uuid.UUID(int=id << 96))
    for id, (label, exposure) in enumerate([("isr", 1), ("isr", 1), ("isr", 2), ("warp", 1)])
]


@pytest.mark.parametrize(
    ("words", "ids"),
    [
        (["isr", "exposure=1", "detector=0"], [0]),
        (["isr", "exposure=1,detector=1"], [1]),
        (["isr", "exposure='2'"], [2]),
        (["warp"], [3]),
        (["isr"], [0, 1, 2]),
        (["00000002-0000-0000-0000-000000000000"], [2]),
        (["00000003"], [3]),
        (["isr", "exposure=9"], []),
    ],
)
def test_a_quantum_is_meant_by_its_label_and_data_id_or_by_its_uuid(words: list[str], ids: list[int]) -> None:
    selection = QuantumSelection.parse(words)
    assert [each.id for each in QUANTA if selection.matches(each)] == ids


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["irs"], "run has no label 'irs': did you mean 'isr'?"),
        (["isr", "exposure=9"], "no quantum of isr has exposure=9; there are 1, 2."),
        (["isr", "visit=9"], "Data IDs of isr have no 'visit': they have exposure, detector."),
        (["isr", "exposure=2", "detector=1"], "no quantum has all of these values"),
        (["ffffffff"], "No quantum of run has the UUID ffffffff."),
    ],
)
def test_what_is_not_there_is_said_with_what_comes_closest(words: list[str], said: str) -> None:
    selection = QuantumSelection.parse(words)
    assert not [each for each in QUANTA if selection.matches(each)]
    assert said in str(selection.refuse("run", QUANTA, ["isr", "warp"]))


def test_what_means_several_quanta_is_refused() -> None:
    with pytest.raises(
        UsageError, match=r"isr can mean 3 quanta: isr \(exposure=1, detector=0\); .*Name more"
    ):
        QuantumSelection.parse(["isr"]).only(QUANTA[:3])
    with pytest.raises(UsageError, match=r"00000000 can mean 3 quanta: .*Name more of the UUID"):
        QuantumSelection.parse(["00000000"]).only(QUANTA[:3])
    with pytest.raises(UsageError, match="'exposure' is no part of a data ID"):
        QuantumSelection.parse(["isr", "exposure"])


# Runs on this machine.


def test_what_a_journal_says_before_it_was_cut_off_is_explained(tmp_path: Path) -> None:
    content = written(tmp_path / "whole").read_bytes()
    (cut_off := tmp_path / "cut" / "1.journal").parent.mkdir()
    states = set()
    for size in range(len(content) + 1):
        cut_off.write_bytes(content[:size])
        book = LocalBook(cut_off)
        for quantum in book.quanta():
            states.add(explain(book, book.known(quantum)).state)
    assert states == {"succeeded", "failed", "blocked"}


def test_a_clock_that_jumps_back_is_no_matter_to_explain(tmp_path: Path) -> None:
    book = LocalBook(with_clock_back(tmp_path))
    explained = [explain(book, book.known(quantum)) for quantum in book.quanta()]
    assert [each.state for each in explained] == ["succeeded", "succeeded", "running"]
    assert all(each.reasons for each in explained)


@pytest.fixture(scope="module")
def failed_run(
    repository_template: Callable[[MockPipeline], Path], tmp_path_factory: pytest.TempPathFactory
) -> str:
    """A run in which isr has failed on one detector of one exposure; its journal."""
    root = tmp_path_factory.mktemp("failed") / "repo"
    template = repository_template(
        MockPipeline(configs={"isr": {"fail_condition": "detector=1 AND exposure=1"}})
    )
    shutil.copytree(template, root)
    journal = str(root.parent / "journal")
    repository = Repository(root, root / "graph.qg")
    assert run_pipetask(*repository.arguments("--journal", journal)).code == 1
    return journal


@pytest.mark.slow
def test_a_failure_is_explained(failed_run: str) -> None:
    done = run_here("explain", failed_run, "isr", "detector=1", "exposure=1")
    assert done.code == 0
    lines = done.out.splitlines()
    assert lines[0] == "isr (instrument='Mock', detector=1, exposure=1): failed"
    assert "It failed: ValueError: Simulated failure" in done.out
    assert "raw (instrument='Mock', detector=1, exposure=1): there before the run" in done.out
    assert "post_isr (instrument='Mock', detector=1, exposure=1): used by characterize blocked" in done.out


def test_what_is_blocked_is_explained_down_to_the_root(failed_run: str) -> None:
    content = json.loads(run_here("explain", failed_run, "gather", "exposure=1", "--json").out)
    assert content["state"] == "blocked"
    because, log, between = content["reasons"]
    assert because.startswith(
        "It was not run, because isr (instrument='Mock', detector=1, exposure=1) failed: ValueError: "
    )
    assert log.startswith("The log of that: ")
    assert between == "Between them: characterize (instrument='Mock', detector=1, exposure=1)"
    (calibrated,) = content["reads"]
    assert calibrated["quanta"] == {"characterize succeeded": 1, "characterize blocked": 1}


def test_the_sample_in_the_guide_is_current(failed_run: str) -> None:
    """To change it, copy what this shows, and run ``python doc/_extensions/embed.py``."""
    command = "pipetask explain u/out gather exposure=1"
    text = run_here("explain", failed_run, *command.split()[3:]).out
    text = re.sub(r"UUID \S+", "UUID 01a21694-03ed-7462-a47c-1c49469feaf0", text)
    text = text.replace(str(Path(failed_run).parent / "repo"), "/repo")
    assert (EXAMPLES / "explain.txt").read_text() == f"$ {command}\n{text}"


def test_a_success_is_explained(failed_run: str) -> None:
    content = json.loads(run_here("explain", failed_run, "gather", "exposure=0", "--json").out)
    assert content["state"] == "succeeded"
    assert content["reasons"][0].startswith(
        "It ran, because it was selected and its outputs were not there yet"
    )
    quantum_id = content["quantumId"]
    assert json.loads(run_here("explain", failed_run, quantum_id, "--json").out) == content


def test_all_failures_are_explained(failed_run: str) -> None:
    content = json.loads(run_here("explain", failed_run, "--failed", "--json").out)
    assert [each["state"] for each in content] == ["failed"]


def test_what_is_not_in_the_graph_is_said(failed_run: str) -> None:
    done = run_here("explain", failed_run, "isr", "detector=7")
    assert done.code == 1
    assert "no quantum of isr has detector=7; there are 0, 1." in done.line
    assert run_here("explain", failed_run).code == 2
    assert run_here("log", failed_run, "isr", "--failed").code == 2


def test_a_stored_log_is_printed_with_the_traceback_of_a_failure(failed_run: str) -> None:
    done = run_here("log", failed_run, "isr", "detector=1", "exposure=1")
    assert done.code == 0
    assert "INFO lsst.pipe.base.single_quantum_executor: Preparing execution of quantum" in done.out
    assert "Traceback (most recent call last):" in done.out
    assert "ValueError: Simulated failure" in done.out.splitlines()[-1]
    assert run_here("log", failed_run, "--failed").out == done.out


def test_a_log_is_printed_as_json(failed_run: str) -> None:
    content = json.loads(run_here("log", failed_run, "gather", "exposure=0", "--json").out)
    assert content["dataId"] == {"instrument": "Mock", "exposure": 0}
    assert all(record["message"] for record in content["records"])
    blocked = run_here("log", failed_run, "gather", "exposure=1")
    assert blocked.code == 1
    assert "gather (instrument='Mock', exposure=1) has no log: it is blocked." in blocked.line


def test_without_the_graph_what_the_journal_knows_is_told(failed_run: str) -> None:
    graph = Path(failed_run).parent / "repo" / "graph.qg"
    hidden = graph.rename(graph.with_name("hidden.qg"))
    try:
        content = json.loads(run_here("explain", failed_run, "gather", "exposure=1", "--json").out)
        report = run_here("report", failed_run)
        log = run_here("log", failed_run, "gather", "exposure=0")
        blocked = run_here("log", failed_run, "gather", "exposure=1")
    finally:
        hidden.rename(graph)
    assert content["state"] == "blocked"
    assert content["reasons"][0].startswith("It was not run, because isr ")
    assert content["unknown"] == f"The graph {graph} is gone."
    assert report.code == 1
    assert "failed: 7 succeeded, 1 failed, 2 blocked" in report.err
    assert "/gather_log/" in log.err
    assert "Preparing execution of quantum for label=gather" in log.out
    assert blocked.line.endswith(f"has no log: it is blocked. The graph {graph} is gone.")


@pytest.mark.slow
def test_what_runs_is_explained_and_its_log_is_read(
    make_repository: Callable[..., Repository], tmp_path: Path
) -> None:
    repository = make_repository(MockPipeline(1, 2, configs={"isr": {"sleep": 600.0}}))
    folder = str(tmp_path / "journal")
    process = start_pipetask(*repository.arguments("-j", "2", "--journal", folder))
    quantum = ("isr", "detector=1")

    def has_begun() -> bool:
        found = journals_in(Path(folder))
        return bool(found) and len(LocalWatch(found[0]).look().running) == 2

    wait_until(has_begun, "both run")
    content = json.loads(run_here("explain", folder, *quantum, "--json").out)
    assert content["state"] == "running"
    waiting = json.loads(run_here("explain", folder, "gather", "--json").out)
    assert waiting["state"] == "waiting"
    assert waiting["reasons"][0].startswith("It waits for 2 of the 2 quanta that it needs: characterize ")
    wait_until(
        lambda: "Mocking execution of task 'isr'" in run_here("log", folder, *quantum).out, "the log is there"
    )
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    content = json.loads(run_here("explain", folder, *quantum, "--json").out)
    assert content["state"] == "lost"
    assert content["reasons"][0].endswith("then the run ended without a word.")
    assert json.loads(run_here("explain", folder, "gather", "--json").out)["state"] == "not started"
    log = run_here("log", folder, *quantum)
    assert log.code == 1
    assert "what it had logged is lost" in log.line


# Batch runs.


@pytest.fixture
def batch_book(write: Write) -> BatchBook:  # noqa: F811
    directory: RunDirectory = write()
    writer = AttemptWriter(directory.outcomes, 0, "host", None)
    writer.outcome(
        QuantumOutcome(0, Status.FAILED, 1.0, 2.0, error=QuantumError("ValueError", "bad", "trace"))
    )
    writer.outcome(QuantumOutcome(1, Status.BLOCKED, blocked_by=0))
    writer.started(Started(2, 1, 20.0, "elsewhere", 7))
    return BatchBook(directory)


def test_quanta_of_batch_runs_are_known_by_their_nodes(batch_book: BatchBook) -> None:
    assert [each.quantum.id for each in batch_book.failed()] == [0]
    by_id = {each.id: batch_book.known(each) for each in batch_book.quanta()}
    assert by_id[1].outcome is not None
    assert by_id[1].outcome.blocked_by == 0
    assert by_id[2].started == Started(2, 1, 20.0, "elsewhere", 7)
    assert by_id[3].outcome is None
    assert by_id[0].node is not None
    explained = run_here("explain", str(batch_book.directory.path), str(by_id[1].quantum.quantum_id))
    assert explained.code == 0
    assert f"It was not run, because {by_id[0].quantum.describe()} failed: ValueError: bad" in explained.out


def test_an_attempt_that_was_killed_runs_nothing_once_there_is_another(write: Write) -> None:  # noqa: F811
    directory: RunDirectory = write()
    killed = AttemptWriter(directory.outcomes, 0, "host", None)
    killed.started(Started(0, 1, 10.0, "elsewhere", 7))
    again = AttemptWriter(directory.outcomes, 0, "host", None)
    again.outcome(QuantumOutcome(0, Status.FAILED, 1.0, 2.0, error=QuantumError("E", "bad", "trace")))
    book = BatchBook(directory)
    known = next(each for each in map(book.known, book.quanta()) if each.quantum.id == 0)
    assert known.started is None
    assert known.state == "failed"


def test_nothing_runs_or_waits_in_a_run_that_was_cancelled(batch_book: BatchBook) -> None:
    directory = batch_book.directory
    states = [explain(batch_book, batch_book.known(each)).state for each in batch_book.quanta()]
    assert states == ["failed", "blocked", "running", *["waiting"] * 4]
    journal = Journal(directory.path)
    journal.note(run="running", done=[])
    journal.note(run="cancelled")
    book = BatchBook(directory)
    states = [explain(book, book.known(each)).state for each in book.quanta()]
    assert states == ["failed", "blocked", "lost", *["not started"] * 4]


@pytest.mark.parametrize(
    ("event", "said"),
    [
        ({}, "Its job (node {node}) is not in the queue yet: it comes after those of other nodes."),
        ({"state": "idle"}, "Its job (node {node}) is in the queue of the local batch system, and has no machine yet."),
        ({"state": "running"}, "Its job (node {node}) runs on there, and has not come to it, or has just started it."),
        ({"state": "failed"}, "Its job (node {node}) has ended without having run it; it is run again by a restart."),
        ({"state": "failed", "why": "no quota"}, "Its job (node {node}) never got into the queue: no quota"),
        ({"state": "blocked"}, "Its job (node {node}) will not run, because one that it needs has failed."),
    ],
)  # fmt: skip
def test_what_waits_is_explained_by_its_job(write: Write, event: dict[str, str], said: str) -> None:  # noqa: F811
    directory: RunDirectory = write()
    node = BatchBook(directory).known(next(BatchBook(directory).quanta())).node
    assert node is not None
    journal = Journal(directory.path)
    journal.note(run="running", done=[])
    if event:
        journal.note(node=node, **event)
    if event.get("state") == "running":
        AttemptWriter(directory.outcomes, 0, "there", None)
    with acquire(journal.lock):  # as long as there is a process that runs nodes, the run goes on
        book = BatchBook(directory)
        explained = explain(book, book.known(next(book.quanta())))
    assert explained.state == "waiting"
    assert explained.reasons[-1] == said.format(node=node)


def test_a_held_job_is_explained_with_the_reason(batch_book: BatchBook) -> None:
    known = next(each for each in map(batch_book.known, batch_book.quanta()) if each.quantum.id == 3)
    assert known.node is not None
    common = {"phase": RunPhase.HELD, "states": {known.node: NodeState.HELD}}
    said = []
    for passes in (False, True):
        hold = Hold(known.node, "the disk is full", 0, 0, passes)
        batch_book.__dict__["snapshot"] = Snapshot(holds=[hold], **common)
        said.append(explain(batch_book, known).reasons[-1])
    batch_book.__dict__["snapshot"] = Snapshot(phase=RunPhase.RUNNING, states={}, disconnected=[known.node])
    said.append(explain(batch_book, known).reasons[-1])
    assert said == [
        f"Its job (node {known.node}) is held by the local batch system: the disk is full",
        f"Its job (node {known.node}) is held for a while by the local batch system: the disk is full",
        f"Its job (node {known.node}) waits for a machine on host that does not answer.",
    ]


def test_before_it_is_submitted_a_run_says_how_that_is_done(write: Write) -> None:  # noqa: F811
    book = BatchBook(write())
    explained = explain(book, book.known(next(book.quanta())))
    assert explained.reasons[-1].startswith("The run has not been submitted: pipetask restart ")


def test_the_output_of_a_job_is_the_log_of_what_it_has_lost(batch_book: BatchBook) -> None:
    known = next(each for each in map(batch_book.known, batch_book.quanta()) if each.quantum.id == 3)
    with pytest.raises(PipetaskError, match="has no log: it has not ended"):
        find_log(batch_book, known)
    logs = batch_book.directory.path / "logs"
    (logs / f"{known.node}.17.err").write_text("the job was killed\n")
    assert find_log(batch_book, known).text == "the job was killed\n"
