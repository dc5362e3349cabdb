"""The page that explains a run: its numbers, and that text from outside is only text."""

from __future__ import annotations

import base64
import json
import os
import time
import uuid
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pipetask.observe.page
from forked import run_forked
from made_runs import BEGIN, Made, make_run
from page_reader import Page
from pipetask.batch.node import run_node
from pipetask.batch.run_directory import RunDirectory
from pipetask.executors.activity import Activity, RunningQuantum
from pipetask.graph.enumeration import EnumeratedGraph
from pipetask.graph.structure import GraphStructure
from pipetask.journal import sink
from pipetask.journal.reader import JournalReader
from pipetask.journal.records import FIRST_LINE, Started, first, packed
from pipetask.journal.replay import replay as replay_journal
from pipetask.journal.sink import JournalFacts, JournalSink
from pipetask.monitor.local import LocalWatch
from pipetask.observe.facts.run import RunFacts
from pipetask.observe.page.columns import UNKNOWN
from pipetask.observe.page.document import page_text
from pipetask.observe.page.markup import join, tag
from pipetask.observe.page.raster import WIDTH, paint
from pipetask.observe.page.sink import PageSink
from pipetask.observe.page.subject import Subject
from pipetask.observe.page.units import duration
from pipetask.observe.summary import RunSummary
from pipetask.observe.summary_file import SummaryFile
from pipetask.observe.trace import TraceFile
from pipetask.outcome import QuantumError, QuantumOutcome, Status, Transaction
from pipetask.testing import MockPipeline, enumerated
from pipetask.testing.plain_runs import wait_until
from test_journal import OUTCOMES, graph_of_four, summary_of, with_clock_back, written
from test_trace import check_format

from conftest import Repository  # isort: skip

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)> \" ' & <!-- ]]> \x00\x1b[31m \u202e \udce9 ☃"

HEADER = SimpleNamespace(command="make", timestamp=None, inputs=("in",), output="out", output_run="out/run")


def page_of(summary: RunSummary, slots: int | None = None, **options: object) -> Page:
    facts = RunFacts.of(summary, slots)
    subject = Subject(summary, facts, lambda id: f"run {id}", ["pipetask", "run"], **options)  # type: ignore[arg-type]
    return Page(page_text(subject))


def with_header(summary: RunSummary) -> RunSummary:
    object.__setattr__(summary, "header", HEADER)
    return summary


RUNS = st.builds(make_run, st.integers(0, 10**6), st.integers(1, 40), st.integers(1, 6))


@given(RUNS)
@settings(max_examples=25, deadline=None)
def test_numbers_are_those_of_the_summary(tmp_path_factory: pytest.TempPathFactory, made: Made) -> None:
    check_numbers(made.summary(), made.slots, tmp_path_factory.mktemp("summary"))


@given(RUNS, st.integers(0, 40))
@settings(max_examples=20, deadline=None)
def test_numbers_of_a_killed_run_and_of_the_run_that_goes_on(
    tmp_path_factory: pytest.TempPathFactory, made: Made, seconds: int
) -> None:
    folder, killed = tmp_path_factory.mktemp("killed"), BEGIN + seconds
    summary = replay_journal(JournalReader(journal_until(made, killed, folder / "1.journal")), [])
    check_numbers(summary, made.slots, folder)
    ended = {o.id: o.status for o in made.outcomes if (o.end or BEGIN) <= killed}
    running = {
        made.graph.quantum_id(o.id)
        for o in made.outcomes
        if any(a.start <= killed < a.end for a in (*o.earlier, o) if a.start)
    }
    # Without the graph, a journal knows only of quanta that have started or ended.
    assert summary.total == Counter(ended.values()) + Counter({Status.CANCELLED: len(running)})
    cancelled = [o for o in summary.outcomes if o.status is Status.CANCELLED]
    assert {summary.graph.quantum_id(o.id) for o in cancelled} == running
    assert all(o.start <= o.end == killed for o in cancelled), (
        "they have a bar until the run was last heard of"
    )

    done = {id for id, status in ended.items() if status.unblocks}
    rest = [QuantumOutcome(o.id, Status.SKIPPED) if o.id in done else o for o in made.outcomes]
    check_numbers(replace(made, outcomes=rest).summary(), made.slots, folder)


def journal_until(made: Made, when: float, path: Path) -> Path:
    """Write the journal of a run that is killed at some time."""
    list(made.graph)
    structure = made.graph.structure
    totals = {label: n for label, n in zip(structure.labels, structure.counts, strict=True) if n}
    head = sink._head(made.graph, totals, JournalFacts(), BEGIN)
    writer = sink._Writer(path, made.graph, list(totals))
    writer.create(replace(head, process="1"))
    for outcome in made.outcomes:
        if (outcome.end or BEGIN) <= when:
            writer.write(list(writer.ended(deque([outcome]))))
            continue
        for each in (*outcome.earlier, outcome):
            if each.start is not None and each.end is not None and each.start <= when < each.end:
                started = Started(each.id, each.attempt, each.start, each.host, each.pid)
                writer.write([packed(started.to_record() | writer._names(each.id))])
    writer.close()
    os.utime(path, (when, when))
    return path


def check_numbers(summary: RunSummary, slots: int, folder: Path) -> None:
    """Check that a page has what the summary file has."""
    summary, path = with_header(summary), folder / "summary.json"
    SummaryFile(str(path), ["pipetask"]).end(summary)
    told = json.loads(path.read_text())
    page = page_of(summary, slots)
    check_counts(summary, told, page)
    facts, columns = page.data()
    words, position = facts["statuses"], summary.graph.position
    statuses = {position(q["id"]): q["outcome"] for q in told["quanta"]}
    assert {p: words[s] for p, s in enumerate(columns["quantumStatus"]) if s < len(words)} == statuses
    told_attempts = {
        (position(q["id"]), each["attempt"]): each
        for q in told["quanta"]
        for each in [*q.get("earlierAttempts", []), q]
        if "start" in each
    }
    assert len(columns["start"]) == len(told_attempts)
    lanes = np.searchsorted(np.cumsum(facts["laneSizes"]), np.arange(len(columns["start"])), "right")
    for i, key in enumerate(zip(columns["position"].tolist(), columns["number"].tolist(), strict=True)):
        each = told_attempts[key]
        assert words[columns["status"][i]] == each["outcome"]
        assert facts["begin"] + columns["start"][i] * facts["unit"] == pytest.approx(each["start"])
        assert columns["seconds"][i] * facts["unit"] == pytest.approx(each["end"] - each["start"])
        assert columns["pid"][i] == each["pid"]
        assert facts["lanes"][lanes[i]].split()[0] == each["host"]
        if memory := each.get("usage", {}).get("peakMemory"):
            assert columns["memory"][i] == pytest.approx(memory / 1024, rel=1e-3, abs=1)
        else:
            assert columns["memory"][i] in (0, UNKNOWN)
    failed = {position(q["id"]): f"run {q['quantumId']}" for q in told["quanta"] if words_fail(facts, q)}
    assert commands_of(facts, columns) == failed


def check_counts(summary: RunSummary, told: dict[str, Any], page: Page) -> None:
    heading, *rows = page.rows["tasks"]
    cells = {row[0]: dict(zip(heading[1:], row[1:], strict=True)) for row in rows}
    attempts = Counter[str]()
    for q in told["quanta"]:
        attempts[summary.graph.label(q["id"])] += sum(
            "start" in each for each in [*q.get("earlierAttempts", []), q]
        )
    for label, counts in told["counts"].items():
        shown = {name: int(cells[label][name] or 0) for name in heading[1 : heading.index("attempts")]}
        assert {name: n for name, n in shown.items() if n} == counts
        assert int(cells[label]["attempts"]) == attempts[label]


def words_fail(facts: dict[str, Any], quantum: dict[str, Any]) -> bool:
    return bool(facts["failures"][facts["statuses"].index(quantum["outcome"])])


def commands_of(facts: dict[str, Any], columns: dict[str, np.ndarray]) -> dict[int, str]:
    """Return the commands that run failed quanta alone, as the script of the page puts them together."""
    ids = np.array([columns[f"failedId{i}"] for i in range(4)]).astype(">u4").T
    return {
        int(position): str(uuid.UUID(bytes=id.tobytes())).join(facts["commands"][kind])
        for position, id, kind in zip(columns["failedPosition"], ids, columns["failedCommand"], strict=True)
    }


def test_transactions_are_shown() -> None:
    made = make_run(seed=5, size=20, slots=2)
    summary = made.summary()
    half = (summary.start + summary.end) / 2
    transactions = [
        Transaction(half, half + 1, 12, 30),
        Transaction(half + 1, half + 1.5, 2, 4, succeeded=False),
        Transaction(summary.end + 1, summary.end + 2, 1, 1),
    ]
    page = page_of(replace(summary, transactions=transactions))
    _, columns = page.data()
    assert columns["registeredQuanta"].tolist() == [12, 2]
    assert columns["registeredDatasets"].tolist() == [30, 4]
    assert columns["registeredFailed"].tolist() == [0, 1]
    assert (
        "30 datasets were registered in 2 transactions, beside the quanta: 1.5 s together, the longest 1 s"
        in page.shown
    )
    bare = page_of(summary)
    assert "transaction" not in bare.shown
    assert picture_height(page) > picture_height(bare), "there is a row for them without a script, too"


def picture_height(page: Page) -> int:
    (source,) = (each for each in page.addresses if each.startswith("data:image/png;base64,"))
    return int.from_bytes(base64.b64decode(source.partition(",")[2])[20:24], "big")


def hostile_run() -> RunSummary:
    structure = GraphStructure(
        [HOSTILE, "quiet"],
        [(HOSTILE,), ("visit",)],
        [2, 2],
        bytes(range(64)),
        [(HOSTILE,), ("b",), (42,), (-43,)],
        np.array([(0, 2), (1, 3)], dtype=np.int32),
    )
    graph = EnumeratedGraph(structure, enumerated({}).source)
    list(graph)
    error = QuantumError(f"some.{HOSTILE}", HOSTILE + "y" * 1_000_000, f"Traceback\n{HOSTILE}\n" * 5000)
    ids = [graph.id(position) for position in range(4)]
    outcomes = [
        QuantumOutcome(ids[0], Status.FAILED, 1.0, 2.0, HOSTILE, 7, None, error, log=f"/logs/{HOSTILE}"),
        QuantumOutcome(ids[1], Status.KILLED, 1.0, 2.5, HOSTILE, 8, None, reason=HOSTILE, log=HOSTILE),
        QuantumOutcome(ids[2], Status.BLOCKED, blocked_by=ids[0]),
        QuantumOutcome(ids[3], Status.SUCCEEDED, 2.5, 4.0, HOSTILE, 8),
    ]
    made = Made(graph, [], outcomes, 2)
    summary = made.summary()
    names = dict.fromkeys(("command", "output", "output_run"), HOSTILE)
    object.__setattr__(summary, "header", SimpleNamespace(timestamp=None, inputs=(HOSTILE,), **names))
    object.__setattr__(summary, "stopped", HOSTILE)
    return summary


def test_text_from_outside_is_shown_as_text() -> None:
    page = page_of(hostile_run())
    assert page.elements["script"] == 2
    assert page.elements["img"] == 1, "the timeline"
    assert not {name for name in page.attributes if name.startswith("on")}
    assert "alert(1)</script><img src=x onerror=alert(2)>" in page.shown
    assert not {"\x00", "\x1b", "\u202e", "\udce9"} & set(page.text)
    assert len(page.text) < 300_000, "a message of a megabyte is cut"
    page.text.encode()
    facts, _ = page.data()
    assert "<img src=x" in facts["labels"][0]["name"]
    assert all(each.startswith(("#", "data:image/png", "file:///logs/")) for each in page.addresses)


def test_no_address_leads_to_a_network() -> None:
    page = page_of(make_run(3, 30, 3).summary())
    assert all(each.startswith(("#", "data:image/png;base64,")) for each in page.addresses)
    assert "http:" not in page.text.replace("http://www.w3.org", "")
    assert "https:" not in page.text
    assert "default-src 'none'; script-src 'sha256-" in page.text


def test_script_and_style_are_small() -> None:
    folder = Path(pipetask.observe.page.__file__).parent
    assert sum(path.stat().st_size for path in folder.glob("page.*")) < 40_000


def test_a_run_without_quanta_and_one_that_only_skips_have_pages() -> None:
    empty = Made(enumerated({"isr": 0}), [], [], 1)
    assert "no quantum was run" in page_of(with_header(empty.summary())).shown
    graph = enumerated({"isr": 2}, [(0, 1)])
    list(graph)
    skipped = Made(graph, [(0, 1)], [QuantumOutcome(id, Status.SKIPPED) for id in (0, 1)], 1)
    page = page_of(skipped.summary())
    assert page.rows["tasks"][1][:2] == ["isr", "2"]
    assert "timeline" not in page.rows


def test_requested_memory_is_compared() -> None:
    made = make_run(5, 30, 3)
    page = page_of(made.summary(), requested_memory={"isr": 2.0**30})
    row = next(row for row in page.rows["tasks"] if row[0] == "isr")
    peak = max(o.usage.peak_memory for o in made.outcomes if o.usage and made.graph.label(o.id) == "isr")
    assert row[-1].strip() == f"{100 * peak / 2**30:.3g} % of 1 GiB"


def test_failures_win_a_pixel() -> None:
    graph = enumerated({"isr": 1000})
    list(graph)
    outcomes = [QuantumOutcome(id, Status.SUCCEEDED, 10.0 * id, 10.0 * id + 10, "a", 1) for id in range(1000)]
    outcomes[500].status, outcomes[500].end = Status.FAILED, 5000.1
    summary = Made(graph, [], outcomes, 1).summary()
    facts = RunFacts.of(summary)
    picture = paint(facts.attempts, facts.begin, facts.end, 1, facts.attempts.lane, 1)
    assert picture.shape == (1, WIDTH)
    assert (picture == 2).sum() == 1
    assert picture[0, int(WIDTH * 5000 / 10000)] == 2


def test_markup_escapes_all_but_itself() -> None:
    assert join("a<b", tag("b", "c&d", title='"e"'), ["f", tag("br")]) == (
        'a&lt;b<b title="&quot;e&quot;">c&amp;d</b>f<br/>'
    )


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (2e-5, "< 1 ms"), (0.25, "0.25 s"), (99.94, "99.9 s"), (200, "3 min 20 s"), (3600, "1 h"),
     (7500, "2 h 5 min"), (273_600, "3 d 4 h"), (float("nan"), "")],
)  # fmt: skip
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_a_page_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "page.html"
    path.write_text("the page before")
    sink = PageSink(str(path), [], lambda _: str)
    summary = make_run(3, 30, 3).summary()
    monkeypatch.chdir(tmp_path.parent)
    outcomes = [QuantumOutcome(10**6, Status.FAILED, 1.0, 2.0)]
    broken = replace(summary, outcomes=outcomes)
    with pytest.raises(Exception, match="could not be written"):
        sink.end(broken)
    assert path.read_text() == "the page before"
    assert sink.files() == {}
    sink.end(summary)
    assert "<!DOCTYPE html>" in path.read_text()
    assert sink.files() == {"report": str(path)}
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.slow
def test_a_run_writes_a_page(make_repository: Callable[..., Repository], tmp_path: Path) -> None:
    repository = make_repository(MockPipeline(configs={"isr": {"fail_condition": "detector=1"}}))
    path, summary = tmp_path / "page.html", tmp_path / "summary.json"
    words = (
        "--html",
        str(path),
        "--summary",
        str(summary),
        "--on-end",
        f"echo $PIPETASK_REPORT > {tmp_path}/told",
    )
    finished = run_forked(*repository.arguments(*words))
    assert finished.code == 1, finished.err
    assert (tmp_path / "told").read_text() == f"{path}\n"
    page, told = Page(path.read_text()), json.loads(summary.read_text())
    failed = [q for q in told["quanta"] if q["outcome"] == "failed"]
    assert failed
    assert f"--qgraph-node-id {failed[0]['quantumId']}" in page.shown
    assert "Simulated failure" in page.shown
    assert "in _fail" in page.shown, "the traceback"
    assert ["html", str(path)] in page.rows["run"], "the options"
    again = run_forked(*repository.arguments(*words, "--extend-run", "--clobber-outputs"))
    assert again.code == 1
    page, told = Page(path.read_text()), json.loads(summary.read_text())
    heading, row, *_ = page.rows["tasks"]
    assert int(row[heading.index("skipped")]) == told["counts"]["isr"]["skipped"]


def test_an_impossible_place_is_refused_at_once(repository: Repository, tmp_path: Path) -> None:
    refused = run_forked(*repository.arguments("--html", str(tmp_path / "no" / "page.html")))
    assert refused.code == 2
    assert "--html" in refused.line
    assert "there is no folder" in refused.line
    refused = run_forked("report", str(repository.root), str(repository.graph), "--html", "page.html")
    assert "are for a run: give its run directory" in refused.line


@pytest.mark.slow
def test_a_batch_run_has_a_page_at_any_time_and_at_its_end(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "run"
    words = ("--mode", "condor", "--no-submit", "--run-dir", str(path), "--html", "page.html")
    assert run_forked(*repository.arguments(*words)).code == 0
    directory = RunDirectory(path)
    with directory.index() as index:
        first, *others = [node.name for node in index.nodes()]
    (tmp_path / "slot").write_text("Memory = 512\n")
    monkeypatch.setenv("_CONDOR_MACHINE_AD", str(tmp_path / "slot"))
    assert run_node(directory, first) == 0
    assert run_forked("report", str(path), "--html", str(tmp_path / "so_far.html")).code in (0, 1)
    page = Page((tmp_path / "so_far.html").read_text())
    assert {"succeeded", "written"} <= set(page.rows["tasks"][0])
    assert page.rows["tasks"][0][-1] == "of requested"
    assert page.rows["tasks"][1][-1].endswith(" % of 512 MiB")
    assert [run_node(directory, node) for node in others] == [0] * len(others)
    monkeypatch.chdir(tmp_path.parent)
    assert run_forked("run-node", str(path), "final").code == 0
    page = Page((tmp_path / "page.html").read_text())
    assert page.rows["tasks"][0][1] == "succeeded"
    assert "--mode condor" in page.shown, "the command that has written the run"


def replayed(journal: Path, page: Path, refresh: float | None = None) -> Page:
    sink = PageSink(str(page), ["pipetask"], lambda _: str, refresh=refresh)
    replay_journal(JournalReader(journal), [sink])
    assert sink.files() == {"report": str(page)}
    return Page(page.read_text())


def test_the_page_of_a_run_that_goes_on_has_what_runs(tmp_path: Path) -> None:
    graph, activity, journal = graph_of_four(), Activity(), JournalSink(tmp_path)
    activity.report_with(lambda: [RunningQuantum(3, time.time(), os.getpid(), 2)])
    journal.begin(graph, {"isr": 2, "warp": 2}, activity)
    journal.note(OUTCOMES[0])

    def is_written() -> bool:
        running = journal.path.exists() and LocalWatch(journal.path).look().running
        return bool(running) and bool(list(JournalReader(journal.path).news()))

    wait_until(is_written, "what runs is in the journal, and what has ended")
    page = replayed(journal.path, tmp_path / "page.html", refresh=5)
    assert '<meta http-equiv="refresh" content="5"/>' in page.text
    assert "running: 1 succeeded" in page.shown
    facts, columns = page.data()
    assert [facts["statuses"][s] for s in columns["status"]] == ["succeeded", "running"]
    assert columns["number"].tolist() == [1, 2]
    assert [row[0] for row in page.rows["tasks"][1:3]] == ["isr", "warp"]
    journal.end(summary_of(graph, []))
    assert "refresh" not in replayed(journal.path, tmp_path / "page.html", refresh=5).text


def test_a_clock_that_jumps_back_leaves_a_page_and_a_trace(tmp_path: Path) -> None:
    journal = with_clock_back(tmp_path)
    facts, columns = replayed(journal, tmp_path / "page.html").data()
    assert sorted(facts["statuses"][s] for s in columns["status"]) == ["running", "succeeded", "succeeded"]
    assert all(columns["start"] + columns["seconds"] <= round(facts["span"] / facts["unit"]) + 1)
    replay_journal(JournalReader(journal), [TraceFile(str(tmp_path / "trace.json"))])
    assert len(check_format(json.loads((tmp_path / "trace.json").read_text()))) >= 3
    content, head = journal.read_bytes(), first(journal)
    assert head is not None
    dead = packed(head | {"process": "1"})
    journal.write_bytes(FIRST_LINE + dead + content[len(FIRST_LINE) + len(packed(head)) :])
    os.utime(journal, (1000.0, 1000.0))  # before it began
    facts, columns = replayed(journal, tmp_path / "page.html").data()
    assert sorted(facts["statuses"][s] for s in columns["status"]) == ["cancelled", "succeeded", "succeeded"]


def test_any_beginning_of_a_journal_has_a_page(tmp_path: Path) -> None:
    content = written(tmp_path / "whole").read_bytes()
    (cut_off := tmp_path / "cut" / "1.journal").parent.mkdir()
    for size in [*range(0, len(content), 17), len(content)]:
        cut_off.write_bytes(content[:size])
        page = replayed(cut_off, tmp_path / "page.html")
    assert page.rows["tasks"][1][0] == "isr"
    assert "ValueError: no good" in page.shown
