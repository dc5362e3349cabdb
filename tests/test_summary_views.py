"""What a notebook shows of a run: short, whatever the size of the run, and as data where that is asked for."""

from __future__ import annotations

import ast
import inspect
import json
import re
from collections import Counter
from html.parser import HTMLParser
from itertools import pairwise

import pytest

import pipetask
from pipetask import (
    ExecutionContext,
    PipetaskError,
    QuantumError,
    QuantumOutcome,
    RunSummary,
    Status,
    StopRequest,
    Usage,
)
from pipetask.observe.summary import OutcomeCollector
from pipetask.outcome import StoredOutputs
from pipetask.testing import CallSpec, enumerated

from test_observe import failed, summarize  # isort: skip

OK = QuantumOutcome(1, Status.SUCCEEDED, 10.0, 12.5, "host", 7, Usage(wall_seconds=2.5, peak_memory=2**20))
BLOCKED = QuantumOutcome(2, Status.BLOCKED, blocked_by=0, reason="isr failed")


def large_summary(labels: int = 1, quanta: int = 100_000) -> RunSummary:
    graph = enumerated({f"task{number}": quanta for number in range(labels)})
    collected = OutcomeCollector(graph, header=None)
    error = QuantumError("ValueError", "bad <data> " * 100, "Traceback")
    for quantum in graph:
        status = Status.SUCCEEDED if quantum.id % 10 else Status.FAILED
        failure = error if status is Status.FAILED else None
        usage = Usage(wall_seconds=1.5, peak_memory=2**20)
        collected.note(QuantumOutcome(quantum.id, status, 1.0, 2.5, "host", 7, usage, failure))
    stop = StopRequest()
    summary = collected.summary(stop)
    stop.close()
    return summary


@pytest.fixture(scope="module")
def large() -> RunSummary:
    return large_summary()


def test_a_summary_is_a_short_table() -> None:
    summary = summarize([failed(0, message="one\ntwo"), OK, BLOCKED, QuantumOutcome(4, Status.SUCCEEDED)])
    first, *lines = repr(summary).splitlines()
    assert re.fullmatch(r"RunSummary: failed: 4 quanta in \d+\.\d s", first)
    assert lines[:4] == [
        "label   succeeded  failed  blocked",
        "isr             2       1        0",
        "gather          0       0        1",
        "all             2       1        1",
    ]
    assert lines[4:] == ["<1 outcome: 1 failed; the first: isr (number=0) failed: ValueError: one>"]


class Cells(HTMLParser):
    """Collects the texts of a table's cells."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.tags: Counter[str] = Counter()

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags[tag] += 1
        self.found += [""] if tag in ("td", "th") else []

    def handle_data(self, data: str) -> None:
        if self.found:
            self.found[-1] += data


def test_a_notebook_shows_a_table_with_nothing_from_outside_as_markup() -> None:
    summary = summarize([failed(0, message="<script>alert()</script>"), OK])
    for html in (summary._repr_html_(), summary.failed._repr_html_()):
        parser = Cells()
        parser.feed(html)
        assert parser.tags["table"] == 1
        assert parser.tags["script"] == 0
        assert "isr" in parser.found
    assert "ValueError: <script>alert()</script>" in parser.found
    assert "number=0" in parser.found, "the data ID"


def test_an_error_of_the_run_is_shown() -> None:
    summary = summarize([OK], error=PipetaskError("The disk is full."), unregistered=3)
    for text in (repr(summary), summary._repr_html_()):
        assert "The disk is full." in text
        assert "outputs of 3 quanta not registered" in text


@pytest.mark.slow
def test_no_text_grows_with_the_run(large: RunSummary) -> None:
    wide = large_summary(500, 1)
    context = ExecutionContext(large.graph, CallSpec(print), done=frozenset(range(100_000)))
    context.stop.close()
    outputs = StoredOutputs([("a", None, ())] * 10_000, {}, [])  # type: ignore[list-item]
    error = QuantumError("ValueError", "x" * 1_000_000, "y" * 1_000_000)
    outcome = QuantumOutcome(
        0, Status.FAILED, error=error, reason="z" * 10_000, outputs=outputs, earlier=(large.failed[0],) * 99
    )
    for value in (large, wide, large.outcomes, large.failed, context, outcome, error, outputs):
        assert 10 < len(repr(value)) < 3000, type(value)
    for shown in (large, wide, large.outcomes, large.failed):
        assert 10 < len(shown._repr_html_()) < 10_000
    assert "task499" not in repr(wide)
    assert "… 480 more" in repr(wide)


def test_an_outcome_says_what_is_known_of_it() -> None:
    assert repr(QuantumOutcome(3, Status.SUCCEEDED)) == "QuantumOutcome(3, Status.SUCCEEDED)"
    outcome = failed(1)
    outcome.earlier = (failed(1),)
    text = repr(outcome)
    assert "start=1.0, end=2.0, error=QuantumError('ValueError', 'bad'), earlier=<1 attempts>" in text


def test_what_failed_and_what_each_task_did() -> None:
    summary = summarize([BLOCKED, failed(0), OK, QuantumOutcome(4, Status.SUCCEEDED)])
    assert [outcome.id for outcome in summary.failed] == [0]
    by_label = {label: [outcome.id for outcome in found] for label, found in summary.by_label().items()}
    assert by_label == {"isr": [0, 1, 4], "gather": [2]}
    assert summary.by_label()["isr"].to_dicts()[0]["error_type"] == "ValueError"


def test_a_summary_as_plain_values() -> None:
    summary = summarize([failed(0), OK, BLOCKED], error=PipetaskError("no"))
    plain = json.loads(json.dumps(summary.to_dict()))
    assert plain["counts"] == {"isr": {"failed": 1, "succeeded": 1}, "gather": {"blocked": 1}}
    assert (plain["status"], plain["exit_code"], plain["error"]) == ("failed", 1, "no")
    bad, good, blocked = plain["quanta"]
    assert (bad["label"], bad["data_id"], bad["status"]) == ("isr", {"number": 0}, "failed")
    assert (bad["error_type"], bad["error"], bad["traceback"]) == ("ValueError", "bad", "Traceback")
    assert (good["wall_seconds"], good["peak_memory"], good["cpu_seconds"]) == (2.5, 2**20, None)
    assert (blocked["reason"], blocked["start"]) == ("isr failed", None)
    assert good["quantum_id"] == str(summary.graph.quantum_id(1))


def test_a_summary_as_an_astropy_table() -> None:
    table = summarize([failed(0), OK, BLOCKED]).to_table()
    assert list(table["label"]) == ["isr", "isr", "gather"]
    assert list(table["number"]) == [0, 1, 4], "a column for each dimension"
    assert list(table["status"]) == ["failed", "succeeded", "blocked"]
    assert (str(table["wall_seconds"].unit), str(table["peak_memory"].unit)) == ("s", "byte")
    assert table["peak_memory"].quantity[1].to("MiB").value == 1
    assert [bool(masked) for masked in table["peak_memory"].mask] == [True, False, True]
    assert table["error"][0] == "bad"
    assert "traceback" not in table.colnames
    assert len(summarize([]).to_table()) == 0


@pytest.mark.slow
def test_a_large_run_is_a_table_too(large: RunSummary) -> None:
    table = large.to_table()
    assert len(table) == 100_000
    assert (table["status"] == "failed").sum() == 10_000


@pytest.mark.parametrize(
    ("owner", "names", "unit"),
    [
        ("Usage", ["wall_seconds", "cpu_seconds"], "second"),
        ("Usage", ["peak_memory", "bytes_read", "bytes_written"], "bytes"),
        ("QuantumOutcome", ["start"], "seconds since 1970"),
        ("RunSummary", ["start", "end"], "seconds since 1970"),
    ],
)
def test_units_stand_where_a_value_is_described(owner: str, names: list[str], unit: str) -> None:
    tree = ast.parse(inspect.getsource(getattr(pipetask, owner)))
    body = tree.body[0].body  # type: ignore[attr-defined]
    described = {
        field.target.id: text.value.value
        for field, text in pairwise(body)
        if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr)
    }
    for name in names:
        assert unit in " ".join(described[name].split()).lower(), name
