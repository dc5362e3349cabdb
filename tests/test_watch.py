"""Watching runs from another process: one view for runs on a machine and for batch runs."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import time
import uuid
from collections import Counter
from pathlib import Path

import pytest
from rich.console import Console

from conftest import run_pipetask, start_pipetask
from gated_work import GatedWork
from in_process import run_here
from pipetask.batch.outcomes import AttemptWriter
from pipetask.batch.run_directory import RunDirectory
from pipetask.batch.status import NodeState, RunPhase, RunStatus
from pipetask.cli.watch import _Page
from pipetask.errors import PipetaskError
from pipetask.executors.activity import Activity
from pipetask.journal.facts import RunBegin, RunEnd
from pipetask.journal.places import default_folder, new_journal, note_batch_run
from pipetask.journal.records import FIRST_LINE, Started, packed
from pipetask.journal.sink import JournalSink
from pipetask.monitor.batch import BatchWatch
from pipetask.monitor.display import MOST_RUNNING, run_display
from pipetask.monitor.find import find_run
from pipetask.monitor.listing import recent_runs
from pipetask.monitor.view import FailedQuantum, RunningNow, RunView
from pipetask.outcome import QuantumError, QuantumOutcome, Status
from pipetask.testing import enumerated
from pipetask.testing.local_batch.journal import Journal
from pipetask.testing.plain_runs import wait_until
from terminals import Terminal, lines_of
from test_batch_runs import Write, write  # noqa: F401  a fixture
from test_journal import summary_of
from watch_samples import EXAMPLES, samples

NOW = 1_000_000.0


def running(number: int, seconds: float, usual: float | None = None) -> RunningNow:
    data_id = {"instrument": "LSSTCam", "exposure": 2_026_010_100_000 + number, "detector": number}
    return RunningNow(
        "isr", data_id, uuid.UUID(int=number), NOW - seconds, "node", 7000 + number, 1, 2**30, usual
    )


def view(*quanta: RunningNow, failures: tuple[FailedQuantum, ...] = ()) -> RunView:
    counts = {"isr": Counter({NodeState.RUNNING: len(quanta), NodeState.WAITING: 3})}
    return RunView(
        "u/run",
        "/journal",
        RunStatus(RunPhase.RUNNING, counts, Counter(), rate=2.0, seconds_left=90.0),
        start=NOW - 60,
        host="node",
        pid=1,
        running=quanta,
        failures=failures,
        n_failures=len(failures),
        now=NOW,
    )


def shown(what: RunView, width: int) -> list[str]:
    out = io.StringIO()
    Console(file=out, width=width, force_terminal=False).print(run_display(what))
    return [line.rstrip() for line in out.getvalue().splitlines()]


def test_the_slowest_quanta_are_shown_first() -> None:
    lines = shown(view(running(1, 100), running(2, 10, 2.0), running(3, 30, 10.0)), 200)
    (first,) = (number for number, line in enumerate(lines) if line.startswith("3 running now"))
    assert [line.partition("detector=")[2][:1] for line in lines[first + 1 : first + 4]] == ["2", "3", "1"]
    assert lines[first].split() == ["3", "running", "now", "for", "usually", "memory", "process"]
    assert lines[first + 1].split()[-5:] == ["10s", "2s", "1", "GiB", "node:7002"]


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_numbers_are_never_cut_whatever_the_width(width: int) -> None:
    lines = shown(view(*(running(number, 4000.0, 12.0) for number in range(30))), width)
    assert max(map(len, lines)) <= width
    rows = [line for line in lines if line.startswith("isr (")]
    assert len(rows) == MOST_RUNNING
    assert all("1h06m" in row for row in rows)
    if width >= 80:
        assert all("1 GiB" in row for row in rows)
    assert f"… and {30 - MOST_RUNNING} more; --json has all" in lines


def test_hostile_text_is_shown_and_not_obeyed() -> None:
    bad = FailedQuantum("a\x1b[31m", {"b": "\x07[red]"}, uuid.UUID(int=1), "failed", "[bold]x[/bold]", NOW)
    text = "\n".join(shown(view(failures=(bad,)), 200))
    assert "\x1b" not in text
    assert "\x07" not in text
    assert "[bold]x[/bold]" in text
    assert "[red]" in text


def test_samples_in_the_guide_are_current() -> None:
    for name, text in samples().items():
        assert (EXAMPLES / name).read_text() == text, "run: python tests/watch_samples.py"


# Runs with a journal.


def journal_of_a_run(
    name: str, *outcomes: QuantumOutcome, end: RunEnd | None = None, **facts: object
) -> Path:
    """Write the journal of a run into the state folder."""
    begin = RunBegin.here(
        time.time(), output_run=name, labels={"isr": 3}, dimensions=[["number"]], resume="go on", **facts
    )
    journal = new_journal(default_folder())
    journal.parent.mkdir(parents=True, exist_ok=True)
    records = [begin.to_record()]
    for each in outcomes:
        error = {"type_name": "ValueError", "message": "no good", "traceback": ""}
        record = {"id": each.id, "status": each.status.value, "start": each.start, "end": each.end}
        failed = {"error": error} if each.status is Status.FAILED else {}
        records.append(
            record | failed | {"label": 0, "data": [each.id], "quantum": uuid.UUID(int=each.id).bytes}
        )
    records += [end.to_record()] if end else []
    journal.write_bytes(FIRST_LINE + b"".join(map(packed, records)))
    return journal


DONE = QuantumOutcome(0, Status.SUCCEEDED, 1.0, 2.0)
FAILED = QuantumOutcome(1, Status.FAILED, 2.0, 3.0)


def test_recent_runs_are_listed_newest_first() -> None:
    journal_of_a_run("u/one", end=RunEnd(end=5.0, outcome="succeeded", counts={"succeeded": 3}))
    journal_of_a_run("u/two", DONE, FAILED)
    journal_of_a_run("u/three", DONE).write_bytes(b"no journal at all\n")
    found = list(recent_runs(9))
    assert [each.phase for each in found] == [None, RunPhase.RUNNING, RunPhase.SUCCEEDED]
    assert [(each.name, each.done, each.failed) for each in found[1:]] == [("u/two", 1, 1), ("u/one", 3, 0)]
    listed = run_here("watch")
    assert listed.code == 0
    lines = listed.out.splitlines()
    assert lines[0].split() == ["began", "state", "done", "failed", "took", "run"]
    assert "unreadable" in lines[1]
    assert lines[2].split()[2:5] == ["running", "1/3", "1"]
    assert lines[3].split()[2:4] == ["succeeded", "3/3"]
    assert [each["name"] for each in json.loads(run_here("watch", "--json").out)[1:]] == ["u/two", "u/one"]


def test_a_run_is_found_by_its_output_run_or_collection() -> None:
    run = journal_of_a_run("u/run/20260101T000000Z", options={"output": "u/chain"})
    for name in ("u/run/20260101T000000Z", "u/run", "u/chain"):
        assert find_run(name) == run
    with pytest.raises(PipetaskError, match="'u/cha' is no run"):
        find_run("u/cha")


def test_without_runs_the_folder_is_named(state_folder: Path) -> None:
    assert run_here("watch").out == f"No run has left a journal in {state_folder}/pipetask/runs.\n"


def test_failures_are_shown_and_how_to_go_on() -> None:
    end = RunEnd(end=time.time(), outcome="failed", counts={"succeeded": 1, "failed": 1, "blocked": 1})
    journal_of_a_run("u/run/20260101T000000Z", DONE, FAILED, end=end)
    assert run_here("watch", "u/ru").code == 1
    done = run_here("watch", "u/run")
    assert done.code == RunPhase.FAILED.exit_code
    assert "isr (number=1) failed: ValueError: no good" in done.out
    assert "resume with: go on" in done.out
    content = json.loads(run_here("watch", "u/run/20260101T000000Z", "--json").out)
    assert content["failures"][0]["dataId"] == {"number": 1}
    assert content["numberOfFailures"] == 1
    assert content["resume"] == "go on"


def test_a_run_without_a_word_is_told_as_such() -> None:
    journal = journal_of_a_run("u/run", DONE)
    content = journal.read_bytes()
    dead = RunBegin.here(time.time(), labels={"isr": 3}, dimensions=[["number"]], output_run="u/run")
    journal.write_bytes(FIRST_LINE + packed(dead.to_record() | {"process": "1"}) + content[-20:])
    done = run_here("watch", "u/run", "--once")
    assert done.code == RunPhase.DIED.exit_code
    assert "ended without a word at " in done.out


def test_a_run_that_is_starting_is_not_taken_for_none(tmp_path: Path) -> None:
    done = run_here("watch", str(tmp_path), "--once")
    assert (done.code, done.line) == (
        1,
        f"pipetask: '{tmp_path}' has no journal yet: its run is starting, or has another folder.",
    )
    (tmp_path / "1.journal").touch()
    assert "starting: its journal has no record yet" in run_here("watch", str(tmp_path), "--once").out


def test_a_run_is_waited_for_while_it_starts(tmp_path: Path) -> None:
    terminal = Terminal("watch", str(tmp_path), "--interval", "0.1", width=200)
    terminal.read_until("its run is starting")
    graph = enumerated({"isr": 1}, [])
    for _ in graph:
        pass
    sink, outcome = JournalSink(tmp_path), QuantumOutcome(0, Status.SUCCEEDED, 1.0, 2.0)
    sink.begin(graph, {"isr": 1}, Activity())
    sink.note(outcome)
    sink.end(summary_of(graph, [outcome]))
    text = terminal.read_until(None)
    assert terminal.close() == 0
    assert "succeeded" in text


@pytest.mark.slow
def test_a_terminal_shows_a_run_until_it_ends(tmp_path: Path) -> None:
    graph, activity = enumerated({"isr": 2}, []), Activity()
    for _ in graph:
        pass
    sink = JournalSink(tmp_path)
    sink.begin(graph, {"isr": 2}, activity)
    sink.note(QuantumOutcome(0, Status.SUCCEEDED, 1.0, 2.0))
    terminal = Terminal("watch", str(tmp_path), "--interval", "0.1", width=60)
    text = terminal.read_until("1 waiting, 1 done")
    sink.note(QuantumOutcome(1, Status.FAILED, 1.0, 2.0, error=QuantumError("E", "bad", "")))
    text += terminal.read_until("E: bad")
    sink.end(summary_of(graph, [QuantumOutcome(1, Status.FAILED)]))
    text += terminal.read_until(None)
    code = terminal.close()
    assert "failed: quanta 1 done, 1 failed" in text
    assert code == RunPhase.FAILED.exit_code
    assert max(map(len, lines_of(text))) <= 60


def test_the_page_is_written_and_loaded_again_while_a_run_goes_on(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    journal = journal_of_a_run("u/run", DONE, FAILED)
    _Page(journal, str(page)).update(goes_on=True)
    text = page.read_text()
    assert 'http-equiv="refresh"' in text
    assert "no good" in text
    with journal.open("ab") as file:
        counts = {"succeeded": 1, "failed": 1, "cancelled": 1}
        file.write(packed(RunEnd(end=time.time(), outcome="failed", counts=counts).to_record()))
    assert run_here("watch", "u/run", "--html", str(page)).code == RunPhase.FAILED.exit_code
    assert 'http-equiv="refresh"' not in page.read_text()
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]


# Batch runs.


def test_a_batch_run_is_watched_like_any_other(write: Write) -> None:  # noqa: F811
    directory = write()
    writer = AttemptWriter(directory.outcomes, 0, "host", None)
    writer.outcome(QuantumOutcome(0, Status.SUCCEEDED, 10.0, 12.0, "host", 5))
    writer.outcome(
        QuantumOutcome(1, Status.FAILED, 12.0, 13.0, error=QuantumError("ValueError", "no good", ""))
    )
    writer.started(Started(2, 1, 20.0, os.uname().nodename, os.getpid()))
    watch = BatchWatch(directory)
    seen = watch.look()
    assert seen.place == str(directory.path)
    (now,) = seen.running
    assert now.label in directory.facts.labels
    assert now.start == 20.0
    assert now.memory is not None
    assert [(each.status, each.what) for each in seen.failures] == [("failed", "ValueError: no good")]
    json.dumps(seen.json())
    assert any(line.startswith("1 running now") for line in shown(seen, 100))
    writer.outcome(QuantumOutcome(2, Status.SUCCEEDED, 20.0, 21.0))
    writer.end(1)
    assert watch.look().running == []
    assert watch.look().resume == f"pipetask restart {directory.path}"


def test_what_ran_in_an_attempt_that_was_killed_runs_no_more(write: Write) -> None:  # noqa: F811
    directory = write()
    killed = AttemptWriter(directory.outcomes, 0, "host", None)
    killed.started(Started(0, 1, 10.0, "host", 5))
    watch = BatchWatch(directory)
    assert [each.start for each in watch.look().running] == [10.0]
    again = AttemptWriter(directory.outcomes, 0, "host", None)
    assert watch.look().running == []
    again.outcome(QuantumOutcome(0, Status.SUCCEEDED, 20.0, 21.0))
    again.started(Started(1, 1, 22.0, "host", 6))
    assert [each.start for each in watch.look().running] == [22.0]
    again.end(1)
    assert watch.look().running == []


def test_batch_runs_are_found_by_their_output_run(write: Write) -> None:  # noqa: F811
    directory = write()
    note_batch_run(directory.path)
    (listed,) = recent_runs(9)
    assert (listed.name, listed.place) == (directory.facts.output_run, str(directory.path))
    assert (listed.phase, listed.total) == (RunPhase.WRITTEN, sum(directory.facts.labels.values()))
    found = find_run(directory.facts.output_run)
    assert isinstance(found, RunDirectory)
    assert found.path == directory.path
    (directory.path / "run.json").unlink()
    assert list(recent_runs(9)) == []


def test_a_batch_run_is_listed_with_when_it_began_and_ended(write: Write) -> None:  # noqa: F811
    directory = write()
    note_batch_run(directory.path)
    writer = AttemptWriter(directory.outcomes, 0, "host", None)
    (path,) = directory.outcomes.rglob("*.outcomes")
    writer.outcome(QuantumOutcome(0, Status.FAILED, 10.0, 12.0, error=QuantumError("E", "bad", "")))
    writer.end(1)
    os.utime(path, (0.0, 4e9))
    journal = Journal(directory.path)
    journal.note(run="running", done=[])
    journal.note(node="a_b-0", state="failed")
    (listed,) = recent_runs(9)
    assert (listed.phase, listed.end) == (RunPhase.CANCELLED, 4e9), "nothing drives it"
    assert (listed.done, listed.failed, listed.total) == (0, 1, sum(directory.facts.labels.values()))
    assert listed.start is not None
    assert 0 < time.time() - listed.start < 600, "when the first attempt began"


@pytest.mark.slow
def test_a_job_tells_what_it_runs(write: Write, tmp_path: Path) -> None:  # noqa: F811
    directory = write(GatedWork(tmp_path / "gate"))
    job = start_pipetask("run-node", str(directory.path), "0")
    watch = BatchWatch(directory)
    wait_until(lambda: bool(watch.look().running), "the job tells what it runs")
    (now,) = watch.look().running
    assert now.label in directory.facts.labels
    assert (now.host, now.pid) == (os.uname().nodename, job.pid)
    assert abs(now.start - time.time()) < 600
    (tmp_path / "gate").touch()
    _, err = job.communicate()
    assert job.returncode == 0, err
    assert watch.look().running == []


def test_watch_needs_none_of_the_slow_packages(tmp_path: Path) -> None:
    journal_of_a_run("u/run", DONE, end=RunEnd(end=5.0, outcome="succeeded", counts={"succeeded": 3}))
    code = "import sys; from pipetask.cli import main; main(['watch', 'u/run']); assert 'lsst' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    assert run_pipetask("watch", "u/other").line.startswith("pipetask: 'u/other' is no run")
