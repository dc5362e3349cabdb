"""Which quanta are done, failed, blocked or lost, by what jobs have written down."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipetask.batch.exit_codes import ExitCode
from pipetask.batch.ledger import Ledger, UnfinishedNode
from pipetask.batch.outcomes import AttemptTails, AttemptWriter
from pipetask.batch.run_directory import RunDirectory
from pipetask.outcome import QuantumError, QuantumOutcome, Status
from pipetask.testing import CallSpec, enumerated
from test_batch_runs import write_run

S, F, B, C, K = Status.SUCCEEDED, Status.FAILED, Status.BLOCKED, Status.CANCELLED, Status.KILLED


@pytest.fixture
def directory(tmp_path: Path) -> RunDirectory:
    """Return a run of six quanta, three of them behind 1 and 2; node N has the quantum with id N."""
    graph = enumerated({"a": 3, "b": 3}, [(a, b) for a in (1, 2) for b in (3, 4, 5)])
    return write_run(tmp_path / "run", graph, CallSpec(print), bundle_size=1)


def attempt(
    directory: RunDirectory,
    number: int,
    *statuses: Status,
    code: int | None = 0,
    memory: int | None = None,
    lost: bool = False,
) -> None:
    writer = AttemptWriter(directory.outcomes, number, "host", memory, [number] if lost else ())
    for status in statuses:
        writer.outcome(QuantumOutcome(number, status))
    if code is not None:
        writer.end(code)


@pytest.mark.parametrize(
    ("statuses", "counts"),
    [((F, S), S), ((S, C), S), ((S, F), S), ((C, F), F), ((F, C), C), ((K, F), F), ((), None)],
)
def test_the_last_success_counts_or_else_the_last_attempt(
    directory: RunDirectory, statuses: tuple[Status, ...], counts: Status | None
) -> None:
    for status in statuses:
        attempt(directory, 3, status)
    record = Ledger(directory).node(3)
    outcome = record.counting.get(3)
    assert (outcome.status if outcome else None) is counts
    assert record.done == ({3} if counts is S else set())


@pytest.mark.parametrize(("statuses", "counts"), [((S,), S), ((F,), F), ((C, F), F), ((), None)])
def test_a_success_whose_files_were_lost_counts_no_more(
    directory: RunDirectory, statuses: tuple[Status, ...], counts: Status | None
) -> None:
    attempt(directory, 3, S)
    attempt(directory, 3, *statuses, lost=True)
    record = Ledger(directory).node(3)
    outcome = record.counting.get(3)
    assert (outcome.status if outcome else None) is counts
    told = list(record.outcomes())
    assert [each.status for each in told] == ([] if counts is None else [counts])
    assert [each.status for last in told for each in last.earlier] == ([S, *statuses[:-1]] if told else [])


def test_earlier_attempts_are_kept_with_the_outcome(directory: RunDirectory) -> None:
    for status in (K, F, S):
        attempt(directory, 3, status)
    (outcome,) = Ledger(directory).node(3).outcomes()
    assert [(each.attempt, each.status) for each in (*outcome.earlier, outcome)] == [(1, K), (2, F), (3, S)]


def test_what_has_no_outcome_is_blocked_by_what_failed_above_it_or_lost(directory: RunDirectory) -> None:
    attempt(directory, 1, F, code=ExitCode.FAILED)
    attempt(directory, 2, code=None)  # killed before its quantum ended
    ledger = Ledger(directory)
    missing = {v.node.number: (dict(v.blocked), list(v.lost)) for v in ledger.missing(ledger.statuses())}
    behind = {id: ({id: 1}, []) for id in (3, 4, 5)}
    assert missing == {0: ({}, [0]), 1: ({}, []), 2: ({}, [2])} | behind
    assert not ledger.all_done()


def test_a_restart_is_told_what_is_left_and_what_it_asked_for(directory: RunDirectory) -> None:
    attempt(directory, 0, S)
    attempt(directory, 1, K, code=ExitCode.OUT_OF_MEMORY, memory=100)
    attempt(directory, 1, code=None, memory=200)
    rest = Ledger(directory).remainder()
    assert rest.done == ["a-0"]
    assert rest.left[0] == UnfinishedNode("a-1", ("a",), (), 1, 2, 200, None)
    assert [node.name for node in rest.left[1:]] == ["a-2", "b-3", "b-4", "b-5"]
    assert {(node.memory, node.exit_code) for node in rest.left[1:]} == {(0, None)}


def test_all_is_done_when_every_quantum_has_succeeded_once(directory: RunDirectory) -> None:
    for number in range(6):
        assert not Ledger(directory).all_done()
        attempt(directory, number, S)
        attempt(directory, number, C)
    assert Ledger(directory).all_done()


def test_of_an_attempt_that_has_ended_nothing_more_is_expected(directory: RunDirectory) -> None:
    tails = AttemptTails(directory.outcomes)
    attempt(directory, 0, S)
    assert [[o.status for o in news] for _, news in tails.news()] == [[S]]
    (path,) = directory.outcomes.rglob("000000-*")
    with path.open("ab") as file:
        file.write(b"more")
    assert list(tails.news()) == []
    assert tails.running() == []


def test_failures_stand_that_another_attempt_would_repeat(directory: RunDirectory) -> None:
    """What was killed, ran out of memory or was interrupted may end well, and so may what a person starts again."""
    for number, status in enumerate((F, K, C, Status.TIMED_OUT, S)):
        attempt(directory, number, status, code=ExitCode.FAILED)
    writer = AttemptWriter(directory.outcomes, 5, "host", None)
    writer.outcome(QuantumOutcome(5, F, error=QuantumError("builtins.MemoryError", "", "")))
    writer.end(ExitCode.OUT_OF_MEMORY)
    records = {record.number: record for record in Ledger(directory).nodes()}
    assert [number for number, record in records.items() if record.failures_since(0)] == [0, 3]
    first = records[0].attempts[0].began
    assert records[0].failures_since(first) == {}, "it was there before"
    attempt(directory, 0, F, code=ExitCode.FAILED)
    assert list(Ledger(directory).node(0).failures_since(first)) == [0]
