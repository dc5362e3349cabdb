"""Runs side by side: numbers, changes, tables of any width, exit codes, and what is remembered."""

from __future__ import annotations

import io
import json
import math
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from forked import run_forked
from pipetask.batch.node import run_node
from pipetask.batch.run_directory import RunDirectory
from pipetask.executors.stop import StopRequest
from pipetask.monitor.past import past_batch_run, past_run
from pipetask.observe.history import summaries
from pipetask.observe.history.changes import History
from pipetask.observe.history.page import history_page
from pipetask.observe.history.past_run import Ended, LabelNumbers, PastRun, Spread
from pipetask.observe.history.summaries import read_summary
from pipetask.observe.history.table import HistoryTable
from pipetask.observe.page.markup import shown
from pipetask.observe.summary import OutcomeCollector
from pipetask.observe.summary_file import SummaryFile
from pipetask.outcome import QuantumOutcome, Status, Usage
from pipetask.testing import MockPipeline, enumerated
from test_summary_schema import Header

from conftest import Repository  # isort: skip

values = st.floats(0, 1e6)


def quantile(numbers: Sequence[float], fraction: float) -> float:
    """Return a quantile by linear interpolation, independently of numpy."""
    numbers = sorted(numbers)
    place = fraction * (len(numbers) - 1)
    low, high = math.floor(place), math.ceil(place)
    return numbers[low] + (place - low) * (numbers[high] - numbers[low])


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["isr", "cal"]), st.sampled_from(Status), st.none() | values, st.none() | values
        )
    )
)
def test_numbers_are_those_of_the_quanta(rows: list[tuple[str, Status, float | None, float | None]]) -> None:
    run = PastRun.of("a", 1.0, 5.0, "failed", (Ended(*row) for row in rows))
    assert run.quanta == len(rows)
    assert run.failed == sum(status.is_failure for _, status, *_ in rows)
    assert set(run.labels) == {label for label, *_ in rows}
    for label, numbers in run.labels.items():
        mine = [row[2:] for row in rows if row[0] == label and row[1] is Status.SUCCEEDED]
        for index, spread in enumerate((numbers.seconds, numbers.memory)):
            known = [each[index] for each in mine if each[index] is not None]
            if not known:
                assert spread is None
                continue
            assert spread is not None
            assert spread.median == pytest.approx(quantile(known, 0.5))  # type: ignore[arg-type]
            assert spread.p95 == pytest.approx(quantile(known, 0.95))  # type: ignore[arg-type]
    assert PastRun.from_json(json.loads(json.dumps(run.json()))) == run


def some_run(name: str, start: float, seconds: float = 10.0, failed: int = 0, **medians: float) -> PastRun:
    labels = {
        label: LabelNumbers(10, failed, Spread(median, 2 * median), Spread(1e8, 1e8))
        for label, median in medians.items()
    }
    return PastRun(name, start, start + seconds, "failed" if failed else "succeeded", labels)


def test_a_change_is_against_the_run_before_in_time() -> None:
    history = History([some_run("new", 200, isr=1.3), some_run("old", 100, isr=1.0)])
    assert [run.name for run in history.runs] == ["old", "new"]
    assert [change.percent for change in history.measures(0, "isr")] == [None] * 4
    assert [round(c.percent or 0) for c in history.measures(1, "isr")] == [30, 30, 0, 0]
    assert list(history.worse()) == ["isr: median time +30 %", "isr: 95 % time +30 %"]


@pytest.mark.parametrize(
    ("new", "worse"),
    [
        (some_run("b", 200, isr=1.19), []),
        (some_run("b", 200, isr=0.5), []),
        (some_run("b", 200, seconds=13, isr=1.0), ["duration +30 %"]),
        (some_run("b", 200, failed=1, isr=1.0), ["isr: 1 failed, 0 before"]),
        (some_run("b", 200, cal=7.0), []),
        (some_run("b", 200), []),
    ],
)
def test_only_what_is_worse_is_told(new: PastRun, worse: list[str]) -> None:
    assert list(History([some_run("a", 100, isr=1.0), new]).worse()) == worse


def test_only_the_last_run_counts() -> None:
    runs = [some_run(str(n), n, isr=median) for n, median in enumerate((1.0, 2.0, 2.0))]
    assert list(History(runs).worse()) == []
    assert list(History(runs[:2], threshold=150).worse()) == []
    assert list(History(runs[:1]).worse()) == []
    assert list(History([]).worse()) == []


LONG = "a/very/long/place/with/the/summaries/of/all/nights/"


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_tables_fit_and_no_number_is_cut(width: int) -> None:
    runs = [
        some_run(
            f"{LONG}{n}.json", n * 1e5, seconds=5000 * (1 + n), isr=n + 1.0, a_label_that_is_rather_long=3.0
        )
        for n in range(3)
    ]
    out = io.StringIO()
    Console(file=out, width=width).print(HistoryTable(History(runs)))
    lines = [line.rstrip() for line in out.getvalue().splitlines()]
    assert max(map(len, lines)) <= width
    text = "\n".join(lines)
    for number in ("2h46m", "+100 %!", "2 s", "3 s", "+50 %!"):
        assert number in text
    assert text.count("0.json") == text.count("2.json") == 3, "the ends of names stay"
    assert ("95 % memory" in text) is (width == 200)
    assert text.isascii()


def night(name: str, start: float, seconds: float, failed: int, isr: Spread, memory: Spread) -> PastRun:
    labels = {
        "isr": LabelNumbers(48, 0, isr, memory),
        "characterize": LabelNumbers(48, failed, Spread(33.1, 35.2), Spread(1.21e9, 1.4e9)),
    }
    return PastRun(name, start, start + seconds, "failed" if failed else "succeeded", labels)


def test_the_guide_shows_real_tables() -> None:
    """Except for the times of starting, which depend on the time zone."""
    megabyte = 1 << 20
    history = History(
        [
            night(
                "monday.json", 1795399200, 3130, 0, Spread(12.1, 14.0), Spread(812 * megabyte, 905 * megabyte)
            ),
            night(
                "tuesday.json",
                1795485600,
                4040,
                1,
                Spread(15.3, 16.0),
                Spread(810 * megabyte, 911 * megabyte),
            ),
        ]
    )
    out = io.StringIO()
    Console(file=out, width=1000).print(HistoryTable(history))
    ours = [line.rstrip() for line in out.getvalue().splitlines()]
    text = (Path(__file__).parents[1] / "doc/guide/reports.md").read_text()
    sample = text.partition("$ pipetask history")[2].partition("```")[0].splitlines()[1:]
    tables, worse = sample[: len(ours)], sample[len(ours) + 1]
    assert [line[:14] + line[30:] for line in tables[:3]] == [line[:14] + line[30:] for line in ours[:3]]
    assert tables[3:] == ours[3:]
    assert worse == f"worse in tuesday.json: {'; '.join(history.worse())}"


def write_run(path: Path, start: float, seconds: float, quanta: int = 10) -> None:
    graph = enumerated({"isr": quanta})
    for _ in graph:
        pass
    collector, stop = OutcomeCollector(graph, Header), StopRequest()
    for id in range(quanta):
        collector.note(
            QuantumOutcome(
                id, Status.SUCCEEDED, start + id, start + id + seconds, usage=Usage(seconds, None, 10**8)
            )
        )
    SummaryFile(str(path), ["pipetask"]).end(collector.summary(stop, elsewhere=True))
    stop.close()


def test_the_exit_code_says_whether_something_is_worse(tmp_path: Path) -> None:
    one, two = tmp_path / "one.json", tmp_path / "two.json"
    write_run(one, 1e9, 1.0)
    write_run(two, 2e9, 1.5)
    worse = run_forked("history", str(two), str(one))
    assert worse.code == 3
    assert worse.out.splitlines()[-1] == f"worse in {two}: isr: median time +50 %; isr: 95 % time +50 %"
    assert "\x1b" not in worse.out
    assert run_forked("history", str(one), str(two), "--threshold", "60").code == 0
    as_json = run_forked("history", str(one), str(two), "--json")
    assert as_json.code == 3
    content = json.loads(as_json.out)
    assert [run["name"] for run in content["runs"]] == [str(one), str(two)]
    median = content["runs"][1]["labels"]["isr"]["seconds"]["median"]
    assert median == {"value": 1.5, "percent": 50.0, "worse": True, "better": False}
    assert len(content["worse"]) == 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "is no run: name a summary file"),
        (b"", "is not the summary of a run"),
        (b"\xff\xfe", "is not the summary of a run"),
        (b"[]", "is not the summary of a run"),
        (b'{"qgraphSummary": {}, "quantaReports": []}', "is not the summary of a run"),
        (
            b'{"start": 1, "end": 2, "outcome": "x", "quanta": [{}], "quantaReports": []}',
            "is not the summary",
        ),
        (
            b'{"start": 1, "end": 2, "outcome": "x", "quanta": [1], "quantaReports": [1]}',
            "is not the summary",
        ),
    ],
)
def test_what_is_no_summary_is_one_line(content: bytes | None, message: str, tmp_path: Path) -> None:
    path = tmp_path / "summary.json"
    if content is not None:
        path.write_bytes(content)
    refused = run_forked("history", str(path))
    assert refused.code == 1
    assert message in refused.line
    assert str(path) in refused.line


def test_no_runs_and_other_folders_are_refused(tmp_path: Path) -> None:
    assert run_forked("history").code == 2
    refused = run_forked("history", str(tmp_path))
    assert refused.code == 1
    assert "is no run: name a summary file" in refused.line


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_numbers_of_large_summaries_are_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "summary.json"
    write_run(path, 1e9, 1.0)
    small = read_summary(path, "a")
    assert names_in(tmp_path) == ["summary.json"], "a small one is not"
    monkeypatch.setattr(summaries, "_LARGE", 0)
    assert read_summary(path, "a") == small
    beside = tmp_path / ".summary.json.numbers"
    known = json.loads(beside.read_text())
    known["run"]["outcome"] = "remembered"
    beside.write_text(json.dumps(known))
    again = read_summary(path, "b")
    assert (again.name, again.outcome) == ("b", "remembered")
    write_run(path, 1e9, 2.0, quanta=11)
    assert read_summary(path, "a").quanta == 11
    for broken in (b"", b"{}", b"[]", b"\xff", json.dumps({"key": known["key"], "run": {}}).encode()):
        beside.write_bytes(broken)
        assert read_summary(path, "a").quanta == 11


def test_a_folder_that_is_not_writeable_is_no_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "summary.json"
    write_run(path, 1e9, 1.0)
    monkeypatch.setattr(summaries, "_LARGE", 0)
    (tmp_path / ".summary.json.numbers").mkdir()  # also root cannot replace it
    assert read_summary(path, "a").quanta == 10
    assert names_in(tmp_path) == [".summary.json.numbers", "summary.json"]


@pytest.mark.slow
def test_a_batch_run_is_read_before_and_after_its_end(
    make_repository: Callable[..., Repository], tmp_path: Path
) -> None:
    repository = make_repository(MockPipeline(configs={"characterize": {"fail_condition": "detector = 1"}}))
    words = ("--mode", "condor", "--no-submit", "--run-dir", str(tmp_path / "run"))
    assert run_forked(*repository.arguments(*words)).code == 0
    directory = RunDirectory(tmp_path / "run")
    written = past_batch_run(directory, "a")
    assert (written.quanta, written.seconds, written.outcome) == (10, 0.0, "written")
    with directory.index() as index:
        nodes = [node.name for node in index.nodes()]
    for node in nodes:
        run_node(directory, node)
    before = past_batch_run(directory, "a")
    assert {label: numbers.failed for label, numbers in before.labels.items()} == {
        "isr": 0,
        "characterize": 2,
        "gather": 0,
    }
    assert run_forked("run-node", str(tmp_path / "run"), "final").code == 1
    after = past_batch_run(directory, "a")
    assert (after.start, after.end, after.labels) == (before.start, before.end, before.labels)
    assert after.outcome == "failed"
    compared = run_forked("history", str(tmp_path / "run"), str(directory.summary))
    assert compared.code == 0, "a run is no worse than itself"
    assert compared.out.count("characterize") == 1


@pytest.mark.slow
def test_a_run_on_a_machine_is_read_from_its_journal(
    make_repository: Callable[..., Repository], tmp_path: Path
) -> None:
    repository = make_repository(MockPipeline(configs={"characterize": {"fail_condition": "detector = 1"}}))
    words = ("--journal", str(tmp_path / "journal"), "--summary", str(tmp_path / "summary.json"))
    assert run_forked(*repository.arguments(*words)).code == 1
    ours, theirs = past_run(str(tmp_path / "journal")), past_run(str(tmp_path / "summary.json"))
    assert ours.labels == theirs.labels
    assert (ours.outcome, ours.quanta, ours.failed) == ("failed", 10, 2)
    assert ours.seconds > 0
    (journal,) = (tmp_path / "journal").glob("*.journal")
    journal.write_bytes(journal.read_bytes()[:-30])
    cut = past_run(str(journal))
    assert cut.outcome == "died"
    assert cut.labels == ours.labels, "only its end is missing"


HOSTILE = "<script>alert(1)</script>\x1b[31m\"'&é\ud800"


def test_a_page_has_all_numbers_and_only_text(tmp_path: Path) -> None:
    runs = [some_run(f"{HOSTILE}{n}", n * 1e5, seconds=10.0 + 10 * n, **{HOSTILE: n + 1.0}) for n in range(3)]
    history = History(runs)
    text = history_page(history)
    root = ElementTree.fromstring(text.partition("\n")[2])
    assert not list(root.iter("script"))
    policy = next(meta for meta in root.iter("meta") if "content" in meta.attrib)
    assert "default-src 'none'" in policy.attrib["content"]
    assert "http" not in re.sub(r"http-equiv", "", text), "no address of anything"
    titles = ["".join(each.itertext()) for each in root.iter("h2")]
    assert titles == ["Runs", shown(HOSTILE)]
    cells = [["".join(cell.itertext()) for cell in row.iter("td")] for row in root.iter("tr")]
    rows = [row for row in cells if row]
    assert [row[2:4] for row in rows[:3]] == [["10 s", ""], ["20 s", "+100 % !"], ["30 s", "+50 % !"]]
    assert [row[4:6] for row in rows[3:]] == [["1 s", ""], ["2 s", "+100 % !"], ["3 s", "+50 % !"]]
    assert len(list(root.iter("svg"))) == 2
    assert len(list(root.iter("rect"))) == 4, "a square where something is worse"


def test_the_command_writes_the_page(tmp_path: Path) -> None:
    one = tmp_path / "one.json"
    write_run(one, 1e9, 1.0)
    done = run_forked("history", str(one), "--html", str(tmp_path / "page.html"))
    assert done.code == 0, done.err
    assert "isr" in done.out
    assert "Nothing is worse" in (tmp_path / "page.html").read_text()
    refused = run_forked("history", str(one), "--html", str(tmp_path / "no" / "page.html"))
    assert refused.code == 2
    assert "--html" in refused.line
