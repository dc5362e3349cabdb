"""Every status has its meaning wherever one is asked for."""

from __future__ import annotations

import io
import pickle
from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace

import pytest
from lsst.pipe.base.quantum_reports import ExecutionStatus, Report
from rich.console import Console

from pipetask.batch.exit_codes import FINAL_CODES
from pipetask.batch.node import _exit_code
from pipetask.batch.status import NodeState
from pipetask.batch.walltime import Walltime
from pipetask.executors.activity import Activity
from pipetask.executors.frontier import Frontier
from pipetask.executors.retries import RetryRule
from pipetask.executors.stop import StopRequest
from pipetask.monitor.local import _state
from pipetask.observe.report import _STYLES, print_report
from pipetask.observe.summary_file import SummarySink
from pipetask.observe.tally import Tally
from pipetask.observe.verdict import STATUS_ORDER
from pipetask.outcome import Kind, QuantumError, QuantumOutcome, Status
from pipetask.runner.failure import describe_exception
from pipetask.testing import enumerated

from conftest import TESTS  # isort: skip
from test_observe import summarize  # isort: skip

OF_ALL = pytest.mark.parametrize("status", Status, ids=str)


@OF_ALL
def test_a_status_has_a_column_a_colour_and_a_verdict(status: Status) -> None:
    """A new one has these by its kind."""
    assert status.value in {kind_of_column.value for kind_of_column in STATUS_ORDER}
    assert _STYLES[status.kind]
    summary = summarize([QuantumOutcome(0, status)])
    text = io.StringIO()
    print_report(Console(file=text, width=200), summary, str)
    assert status.value in text.getvalue().splitlines()[0].split(), "the table's heading"
    assert f"1 {status.value} in" in text.getvalue()
    assert summary.exit_code == (0 if status.kind in (Kind.DONE, Kind.HANDED_ON) else 1)
    assert summary.failed == ([QuantumOutcome(0, status)] if status.kind is Kind.FAILED else [])


@OF_ALL
def test_a_status_counts_once_in_the_display(status: Status) -> None:
    graph = enumerated({"task": 1})
    list(graph)
    tally = Tally(graph, {"task": 1}, Activity())
    tally.count(QuantumOutcome(0, status))
    (row,) = tally.rows()
    assert row.done + row.failed + row.blocked + row.cancelled == 1
    assert row.cancelled == (status is Status.CANCELLED)
    assert (_state(status) is NodeState.CANCELLED) == (status is Status.CANCELLED), "in pipetask status"
    assert row.left == 0


@OF_ALL
def test_lsst_has_a_word_for_it(status: Status) -> None:
    """And no quantum that has not ended well is one that has."""
    assert (ExecutionStatus(status.lsst) is ExecutionStatus.SUCCESS) == (status.kind is Kind.DONE)


@OF_ALL
def test_a_summary_says_so_to_lsst_and_in_our_own_word(status: Status) -> None:
    summary = summarize([QuantumOutcome(0, status)])
    header = SimpleNamespace(command="", timestamp=None, inputs=[], output=None, output_run="run")
    content = {
        name: list(value) if isinstance(value, Iterator) else value
        for name, value in SummarySink(["pipetask"]).fields(replace(summary, header=header))
    }
    assert Report.model_validate(content).quantaReports[0].status.value == status.lsst
    assert (content["status"] == "success") == status.unblocks
    assert content["quanta"][0]["outcome"] == status.value
    assert content["counts"] == {"isr": {status.value: 1}}


@OF_ALL
def test_a_node_exits_with_zero_only_if_all_went_well(status: Status) -> None:
    """And a batch system tries again what may pass by itself."""
    stop = StopRequest()
    code = _exit_code([QuantumOutcome(0, status)], stop, Walltime(None, [], []), out_of_memory=False)
    stop.close()
    assert (code == 0) == status.unblocks
    assert (code not in FINAL_CODES) == status.transient


@OF_ALL
def test_another_attempt_is_made_only_after_failures(status: Status) -> None:
    rule = RetryRule(retries=1, error_retries=1, timeouts=True)
    error = QuantumError("ValueError", "", "") if status is Status.FAILED else None
    assert (rule.delay_before_next([QuantumOutcome(0, status, error=error)]) is not None) == status.is_failure


@OF_ALL
def test_what_stays_when_a_job_begins_again(status: Status) -> None:
    """All that is done, and what would fail again; not what was killed, interrupted or blocked."""
    assert status.is_final == (status.unblocks or (status.is_failure and not status.transient))
    assert not (status.transient and not status.is_failure)


@OF_ALL
def test_the_guide_explains_it(status: Status) -> None:
    guide = (TESTS.parent / "doc/guide/running.md").read_text()
    (line,) = (line for line in guide.splitlines() if line.startswith(f"| `{status.value}` |"))
    assert line.split("|")[3].split(",")[0].strip() == ("yes" if status.unblocks else "no")


@pytest.mark.parametrize("kind", Kind, ids=str)
def test_no_status_can_be_a_success_to_lsst_that_is_none(kind: Kind) -> None:
    """`Status` itself refuses a member whose kind and word do not agree."""
    with pytest.raises(ValueError, match="to LSST exactly what is done is a success"):
        Status.__new_member__(Status, "new", kind, "failure" if kind is Kind.DONE else "success")


@pytest.mark.parametrize("word", ["", "success", "SUCCEEDED"])
def test_an_unknown_word_is_no_status(word: str) -> None:
    with pytest.raises(ValueError, match="no status is called"):
        Status.from_word(word)
    wire = list(QuantumOutcome(0, Status.SUCCEEDED).to_wire())
    assert wire[1] == "succeeded", "so a position cannot be taken for another status"
    with pytest.raises(KeyError):
        QuantumOutcome.from_wire((0, word, *wire[2:]))


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
