"""What one sees: progress, report, exit codes."""

from __future__ import annotations

import io
import os
import pty
import select
import subprocess
import sys
import time
from functools import partial

import pytest
from rich.console import Console

from pipetask.errors import RegistrationError
from pipetask.executors.activity import Activity
from pipetask.executors.stop import StopRequest
from pipetask.graph.enumeration import EnumeratedGraph
from pipetask.observe.progress import LineProgress, progress_line
from pipetask.observe.progress_table import ProgressTable
from pipetask.observe.report import debug_command, print_report
from pipetask.observe.summary import OutcomeCollector, RunSummary
from pipetask.observe.tally import Tally
from pipetask.outcome import QuantumError, QuantumOutcome, Status, StoredOutputs, Usage
from pipetask.testing import MockPipeline, enumerated

from conftest import Repository, environment  # isort: skip

OK = Status.SUCCEEDED


def graph_of_six() -> EnumeratedGraph:
    graph = enumerated({"isr": 4, "gather": 2}, [(0, 4), (1, 4), (2, 5), (3, 5)])
    for _ in graph:
        pass
    return graph


def failed(id: int, code: int | None = None, message: str = "bad") -> QuantumOutcome:
    return QuantumOutcome(
        id, Status.FAILED, 1.0, 2.0, error=QuantumError("ValueError", message, "Traceback", code)
    )


def summarize(outcomes: list[QuantumOutcome], **options: object) -> RunSummary:
    sink = OutcomeCollector(graph_of_six(), header=None)
    for outcome in outcomes:
        sink.note(outcome)
    stop = StopRequest()
    if number := options.pop("signal", None):
        stop.ask("interrupted", signal=number)
    summary = sink.summary(stop, **options)  # type: ignore[arg-type]
    stop.close()
    return summary


@pytest.mark.parametrize(
    ("outcomes", "options", "code", "status"),
    [
        (
            [QuantumOutcome(0, OK), QuantumOutcome(1, Status.NO_WORK), QuantumOutcome(2, Status.SKIPPED)],
            {},
            0,
            "succeeded",
        ),
        ([QuantumOutcome(0, OK), failed(1)], {}, 1, "failed"),
        ([failed(1, 20)], {}, 1, "failed"),
        ([failed(1, 20)], {"fail_fast": True}, 20, "failed"),
        ([failed(1, 20), failed(0, 21)], {"fail_fast": True}, 21, "failed"),
        ([QuantumOutcome(0, Status.KILLED, signal=9)], {}, 1, "failed"),
        ([QuantumOutcome(0, Status.TIMED_OUT)], {}, 1, "failed"),
        ([QuantumOutcome(0, OK)], {"error": RegistrationError("no")}, 1, "failed"),
        ([QuantumOutcome(0, OK)], {"unregistered": 1}, 1, "failed"),
        ([QuantumOutcome(0, OK), QuantumOutcome(1, Status.CANCELLED)], {"signal": 2}, 130, "cancelled"),
        ([failed(0, 21)], {"signal": 15}, 143, "cancelled"),
        ([QuantumOutcome(0, Status.CANCELLED)], {}, 1, "failed"),
    ],
)
def test_exit_codes(outcomes: list[QuantumOutcome], options: dict, code: int, status: str) -> None:
    summary = summarize(outcomes, **options)
    assert (summary.exit_code, summary.status) == (code, status)


def report(summary: RunSummary) -> str:
    text = io.StringIO()
    print_report(Console(file=text, width=200), summary, partial(debug_command, "my repo", "graph.qg"))
    return text.getvalue()


def test_the_report_names_failures_and_how_to_run_them_alone() -> None:
    blocked = QuantumOutcome(2, Status.BLOCKED, blocked_by=0)
    text = report(summarize([failed(0, message="first\nsecond"), QuantumOutcome(1, OK), blocked]))
    assert "isr (number=0) failed" in text
    assert "ValueError: first (+1 lines)" in text
    assert "blocks 1 quantum that needs it" in text
    quantum_id = graph_of_six().quantum_id(0)
    assert f"pipetask run -b 'my repo' -g graph.qg --qgraph-node-id {quantum_id}" in text
    assert "1 succeeded, 1 failed, 1 blocked" in text


def test_the_report_does_not_flood_the_terminal() -> None:
    sink = OutcomeCollector(graph := enumerated({"isr": 100}), header=None)
    for quantum in graph:
        sink.note(failed(quantum.id, message=chr(0x4E00 + quantum.id) * 10_000))
    stop = StopRequest()
    text = report(sink.summary(stop))
    stop.close()
    assert "… and 80 more failures" in text
    assert len(text) < 100_000


def test_markup_in_messages_is_text() -> None:
    assert "[red]not markup[/red]" in report(summarize([failed(0, message="[red]not markup[/red]")]))


def test_a_debug_command_survives_a_shell() -> None:
    command = debug_command("it's here", "a b.qg", "id")
    words = subprocess.run(
        ["bash", "-c", f"printf '%s\\n' {command}"], capture_output=True, text=True, check=True
    )
    assert "it's here" in words.stdout.splitlines()
    assert "a b.qg" in words.stdout.splitlines()


def some_tally() -> Tally:
    graph, activity = graph_of_six(), Activity()
    activity.report_with(lambda: [3])
    tally = Tally(graph, {"isr": 4, "gather": 2}, activity)
    for outcome in (
        QuantumOutcome(0, OK, 1.0, 2.0),
        failed(1),
        QuantumOutcome(2, Status.BLOCKED, blocked_by=1),
    ):
        tally.count(outcome)
    return tally


def table_of(tally: Tally) -> str:
    text = io.StringIO()
    Console(file=text, width=120).print(ProgressTable(tally))
    return text.getvalue()


def test_a_tally_counts_by_label() -> None:
    isr, gather = some_tally().rows()
    assert (isr.label, isr.total, isr.done, isr.failed, isr.left, isr.running) == ("isr", 4, 1, 1, 2, 1)
    assert (gather.total, gather.blocked, gather.left) == (2, 1, 1)
    whole = some_tally().sum([isr, gather])
    assert (whole.total, whole.done, whole.failed, whole.blocked, whole.running) == (6, 1, 1, 1, 1)
    assert isr.rate > 0
    assert isr.seconds_left is not None


def test_what_was_cancelled_is_not_blocked() -> None:
    tally = some_tally()
    assert "cancelled" not in progress_line(tally) + table_of(tally)
    for id in (3, 4, 5):
        tally.count(QuantumOutcome(id, Status.CANCELLED))
    gather = list(tally.rows())[1]
    assert (gather.blocked, gather.cancelled, gather.left) == (1, 1, 0)
    assert "1/6 quanta done (1 running, 1 failed, 1 blocked, 3 cancelled)" in progress_line(tally)
    headings, *rows = (line.split() for line in table_of(tally).splitlines())
    assert headings[3:6] == ["failed", "blocked", "cancelled"]
    assert rows[1][0] == "gather"
    assert rows[1][-3:] == ["0/2", "1", "1"]


def test_a_progress_line_has_the_facts() -> None:
    line = progress_line(some_tally())
    assert "1/6 quanta done (1 running, 1 failed, 1 blocked)" in line
    assert "isr 1/4 (1 running, 1 failed)" in line
    assert "gather 0/2 (1 blocked)" in line


def test_a_progress_table_has_a_row_for_each_label() -> None:
    rows = {line.split()[0]: line for line in table_of(some_tally()).splitlines() if line.strip()}
    assert set(rows) >= {"task", "isr", "gather", "all"}
    for heading in ("done", "running", "failed", "blocked", "rate", "left"):
        assert heading in rows["task"]
    assert "1/4" in rows["isr"]


def test_progress_lines_come_now_and_then() -> None:
    stream = io.StringIO()
    progress = LineProgress(stream, interval=0.05)
    progress.begin(graph_of_six(), {"isr": 4, "gather": 2}, Activity())
    progress.note(QuantumOutcome(0, OK, 1.0, 2.0))
    deadline = time.monotonic() + 20
    while "1/6" not in stream.getvalue():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    progress.end(summarize([]))
    lines = stream.getvalue()
    progress.note(QuantumOutcome(1, OK, 1.0, 2.0))
    assert stream.getvalue() == lines, "nothing more after the end"


@pytest.mark.parametrize(
    "outcome",
    [
        QuantumOutcome(7, OK, 1.0, 2.0, "host", 3, Usage(1.0, None, 4)),
        QuantumOutcome(7, Status.KILLED, signal=9, reason="why", log="/log"),
        QuantumOutcome(7, OK, outputs=StoredOutputs([], {"a": 1}, [])),
        failed(7, 20),
        QuantumOutcome(7, Status.BLOCKED, blocked_by=0, caveats=3),
    ],
)
def test_an_outcome_survives_the_wire(outcome: QuantumOutcome) -> None:
    assert QuantumOutcome.from_wire(outcome.to_wire()) == outcome


@pytest.mark.slow
def test_a_table_is_shown_on_a_terminal(make_repository: object) -> None:
    repository: Repository = make_repository(MockPipeline(1, 4, configs={"isr": {"sleep": 0.5}}))  # type: ignore[operator]
    primary, secondary = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "pipetask.cli", *repository.arguments("-j", "2")],
        stdin=secondary,
        stdout=secondary,
        stderr=secondary,
        env={**environment(), "TERM": "xterm-256color", "COLUMNS": "120"},
        start_new_session=True,
    )
    os.close(secondary)
    shown = b""
    while process.poll() is None or select.select([primary], [], [], 0.2)[0]:
        if select.select([primary], [], [], 0.2)[0]:
            try:
                shown += os.read(primary, 65536)
            except OSError:  # the other end was closed
                break
    os.close(primary)
    assert process.wait() == 0
    text = shown.decode()
    assert "━" in text, "a bar for each label while it runs"
    assert "elapsed" in text
    assert "succeeded: 9 succeeded" in text
