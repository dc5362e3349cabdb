"""Every status has its meaning wherever one is asked for."""

from __future__ import annotations

import io
import pickle

import pytest
from lsst.pipe.base.quantum_reports import ExecutionStatus
from rich.console import Console

from pipetask.executors.activity import Activity
from pipetask.executors.frontier import Frontier
from pipetask.observe.report import print_report
from pipetask.observe.tally import Tally
from pipetask.outcome import Kind, QuantumOutcome, Status
from pipetask.runner.failure import describe_exception
from pipetask.testing import enumerated

from test_observe import summarize  # isort: skip

OF_ALL = pytest.mark.parametrize("status", Status, ids=str)


@OF_ALL
def test_a_status_has_a_column_a_colour_and_a_verdict(status: Status) -> None:
    summary = summarize([QuantumOutcome(0, status)])
    text = io.StringIO()
    print_report(Console(file=text, width=200), summary, str)
    assert status.value in text.getvalue().splitlines()[0].split(), "the table's heading"
    assert f"1 {status.value} in" in text.getvalue()
    assert summary.exit_code == (0 if status.kind in (Kind.DONE, Kind.HANDED_ON) else 1)
    assert summary.failures == ([QuantumOutcome(0, status)] if status.kind is Kind.FAILED else [])


@OF_ALL
def test_a_status_counts_once_in_the_display(status: Status) -> None:
    graph = enumerated({"task": 1})
    list(graph)
    tally = Tally(graph, {"task": 1}, Activity())
    tally.count(QuantumOutcome(0, status))
    (row,) = tally.rows()
    assert row.done + row.failed + row.blocked == 1
    assert row.left == 0


@OF_ALL
def test_lsst_has_a_word_for_it(status: Status) -> None:
    """And no quantum that has not ended well is one that has."""
    assert (ExecutionStatus(status.lsst) is ExecutionStatus.SUCCESS) == (status.kind is Kind.DONE)


@OF_ALL
def test_a_status_decides_what_becomes_of_dependents(status: Status) -> None:
    frontier = Frontier(enumerated({"a": 2}, [(0, 1)]))
    first = frontier.take()
    assert first is not None
    assert frontier.take() is None
    frontier.finish(QuantumOutcome(first.id, status))
    runs, blocked = frontier.take() is not None, bool(frontier.blocked())
    assert (runs, blocked) == (status.unblocks, not status.unblocks)


@OF_ALL
def test_a_status_survives_any_way_to_another_process(status: Status) -> None:
    outcome = QuantumOutcome(0, status)
    assert QuantumOutcome.from_wire(outcome.to_wire()) == outcome
    assert pickle.loads(pickle.dumps(status)) is status


class _LocalError(Exception):
    """Has no other name than that of this module."""


def test_a_class_is_called_by_its_public_name() -> None:
    from lsst.pipe.base import RepeatableQuantumError

    assert RepeatableQuantumError.__module__ == "lsst.pipe.base._status", "otherwise this tests nothing"
    assert (
        describe_exception(RepeatableQuantumError("no")).type_name == "lsst.pipe.base.RepeatableQuantumError"
    )
    assert describe_exception(ValueError("no")).type_name == "ValueError"
    assert describe_exception(_LocalError("no")).type_name == f"{__name__}._LocalError"
    liar = type("Liar", (Exception,), {"__module__": None})
    assert describe_exception(liar("no")).type_name == "Liar"
