"""The timeline as Chrome trace events: the rules of the format, and that it has what happened."""

from __future__ import annotations

import gzip
import io
import json
from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

from browser import Browser
from forked import run_forked
from made_runs import make_run
from pipetask.batch.node import run_node
from pipetask.batch.run_directory import RunDirectory
from pipetask.executors.stop import StopRequest
from pipetask.observe.facts.run import RunFacts
from pipetask.observe.summary import OutcomeCollector
from pipetask.observe.trace import write_trace
from pipetask.outcome import QuantumError, QuantumOutcome, Status, Transaction
from pipetask.testing import enumerated
from test_facts import Made, attempts_of, runs, several

from conftest import Repository  # isort: skip

Event = dict[str, Any]


def check_format(content: Any) -> list[Event]:
    """Check everything that "Trace Event Format" and Perfetto's importer ask of these kinds of events."""
    events: list[Event] = content["traceEvents"]
    assert content["displayTimeUnit"] in ("ms", "ns")
    assert Counter(event["ph"] for event in events).keys() <= set("MXsf")
    for event in events:
        assert all(type(event[key]) is int and event[key] >= 0 for key in ("pid", "tid"))
        assert type(event["name"]) is str
        assert event["name"]
    named = defaultdict(set)
    for event in (each for each in events if each["ph"] == "M"):
        assert event["name"] in ("process_name", "thread_name", "thread_sort_index")
        named[event["name"]].add((event["pid"], event["tid"]))
    slices = [event for event in events if event["ph"] == "X"]
    threads = {(event["pid"], event["tid"]) for event in slices}
    assert threads <= named["thread_name"]
    assert {pid for pid, _ in threads} <= {pid for pid, _ in named["process_name"]}
    assert len({tid for _, tid in threads}) == len(threads), "a thread has one number in the whole trace"
    check_slices(slices)
    check_arrows([event for event in events if event["ph"] in "sf"], slices)
    return slices


def check_slices(slices: list[Event]) -> None:
    """Times are whole microseconds, and nothing overlaps in a thread."""
    ends: dict[int, int] = {}
    for event in sorted(slices, key=lambda each: each["ts"]):
        assert type(event["ts"]) is type(event["dur"]) is int
        assert event["ts"] >= max(0, ends.get(event["tid"], 0))
        assert event["dur"] > 0
        ends[event["tid"]] = event["ts"] + event["dur"]


def check_arrows(arrows: list[Event], slices: list[Event]) -> None:
    """Each has a beginning and an end, in this order of time, and each of both lies inside a slice."""
    by_id = defaultdict(list)
    for event in arrows:
        by_id[event["id"]].append(event)
        inside = [
            s for s in slices if s["tid"] == event["tid"] and s["ts"] <= event["ts"] < s["ts"] + s["dur"]
        ]
        assert len(inside) == 1
    for begin, end in by_id.values():
        assert (begin["ph"], end["ph"], end["bp"]) == ("s", "f", "e")
        assert (begin["name"], begin["cat"]) == (end["name"], end["cat"])
        assert begin["ts"] <= end["ts"]


def trace_of(made: Made) -> tuple[RunFacts, Any]:
    facts, out = RunFacts.of(made.summary()), io.StringIO()
    write_trace(facts, out)
    return facts, json.loads(out.getvalue())


@given(runs)
@several
def test_a_trace_has_all_attempts_and_both_paths(made: Made) -> None:
    facts, content = trace_of(made)
    slices = check_format(content)
    expected = Counter(
        (made.graph.label(each.id), str(made.graph.quantum_id(each.id)), each.attempt, each.status.value)
        for each in attempts_of(made)
    )
    assert expected == Counter(
        (s["name"], s["args"]["quantumId"], s["args"]["attempt"], s["cat"]) for s in slices
    )
    errors = {s["args"]["error"] for s in slices if "error" in s["args"]}
    assert errors == {f"ValueError: bad {o.id}" for o in attempts_of(made) if o.error}
    arrows = Counter(event["name"] for event in content["traceEvents"] if event["ph"] == "s")
    ran = {each.id for each in attempts_of(made)}
    chain = [p for p in facts.longest_chain.positions if made.graph.id(p) in ran]
    expected_arrows = [max(0, len(facts.chain_of_waits) - 1), max(0, len(chain) - 1)]
    found = [arrows["waits"], arrows["longest chain"]]
    if all(each.end > each.start for each in attempts_of(made)):  # type: ignore[operator]
        assert found == expected_arrows
    else:  # what took no time gets a microsecond, and then no arrow may fit
        assert all(ours <= theirs for ours, theirs in zip(found, expected_arrows, strict=True))


@given(runs)
@several
def test_times_are_those_of_the_attempts(made: Made) -> None:
    facts, content = trace_of(made)
    found = {
        (s["args"]["quantumId"], s["args"]["attempt"]): (s["ts"] / 1e6, s["dur"] / 1e6)
        for s in check_format(content)
    }
    expected = {
        (str(made.graph.quantum_id(o.id)), o.attempt): (o.start - facts.begin, o.end - o.start)  # type: ignore[operator]
        for o in attempts_of(made)
    }
    assert found.keys() == expected.keys()
    for key, times in found.items():
        assert times == pytest.approx(expected[key], abs=1e-4)


def test_both_paths_are_arrows() -> None:
    """Two lanes; 0 → 2 → 3 is the longest chain, and 3 waited for 2, which waited for 1 in its lane."""
    graph = enumerated({"isr": 4}, [(0, 2), (2, 3)])
    for _ in graph:
        pass
    times = {0: (0.0, 5.0, 1), 1: (0.0, 6.0, 2), 2: (6.5, 8.0, 2), 3: (8.0, 9.0, 1)}
    outcomes = [
        QuantumOutcome(graph.id(p), Status.SUCCEEDED, start, end, "a", pid)
        for p, (start, end, pid) in times.items()
    ]
    _, content = trace_of(Made(graph, [], outcomes, 2))
    slices = check_format(content)
    ids = {(s["tid"], s["ts"]): s["args"]["quantumId"] for s in slices}
    arrows = [e for e in content["traceEvents"] if e["ph"] == "f"]
    ends = [(e["name"], ids[e["tid"], e["ts"]]) for e in arrows]
    two, three = (str(graph.structure.quantum_id(p)) for p in (2, 3))
    assert ends == [("longest chain", two), ("longest chain", three), ("waits", two), ("waits", three)]


def made_of(*outcomes: QuantumOutcome, label: str = "isr") -> Made:
    graph = enumerated({label: len(outcomes)})
    for _ in graph:
        pass
    return Made(graph, [], list(outcomes), 1)


def test_transactions_have_a_process_of_their_own() -> None:
    made = made_of(QuantumOutcome(0, Status.SUCCEEDED, 1000.0, 1010.0, "a", 7))
    transactions = [
        Transaction(1002.0, 1003.0, 3, 12),
        Transaction(1002.5, 1004.0, 1, 2, succeeded=False),  # the clock was set back
        Transaction(1010.5, 1011.0, 5, 7),  # after the end of a batch run
    ]
    summary, out = replace(made.summary(), transactions=transactions), io.StringIO()
    write_trace(RunFacts.of(summary), out)
    content = json.loads(out.getvalue())
    first, *registered = check_format(content)
    assert [(s["ts"], s["dur"], s["cat"], s["args"]) for s in registered] == [
        (2_000_000, 1_000_000, "registered", {"quanta": 3, "datasets": 12}),
        (3_000_000, 1_000_000, "failed", {"quanta": 1, "datasets": 2}),
    ]
    assert {s["pid"] for s in registered} == {first["pid"] + 1}


def test_a_clock_that_was_set_back_overlaps_nothing() -> None:
    times = [(1000.0, 1010.0), (1005.0, 1006.0), (900.0, 1020.0), (1005.5, 1030.0), (1010.0, 1010.0)]
    made = made_of(*(QuantumOutcome(n, Status.SUCCEEDED, *t, "a", 7) for n, t in enumerate(times)))
    _, content = trace_of(made)
    slices = check_format(content)
    assert len(slices) == 5
    assert sorted(s["dur"] for s in slices) == [1, 10**6, 10**7, 24_500_000, 120_000_000]


def test_a_run_in_which_nothing_ran_is_a_trace() -> None:
    _, content = trace_of(made_of(QuantumOutcome(0, Status.SKIPPED)))
    assert check_format(content) == []


def test_hostile_texts_are_texts() -> None:
    text = "</script>\x1b[31m\ud800\0\"'\\\n" + "x" * 10**6
    error = QuantumError("E", text, "")
    made = made_of(QuantumOutcome(0, Status.FAILED, 1.0, 2.0, text[:30], 1, error=error), label=text[:20])
    _, content = trace_of(made)
    (event,) = check_format(content)
    assert event["name"] == text[:20]
    assert event["args"]["error"].startswith("E: </script>")
    assert len(event["args"]["error"]) <= 1000


def read(path: Path) -> list[Event]:
    raw = path.read_bytes()
    return check_format(json.loads(gzip.decompress(raw) if path.suffix == ".gz" else raw))


@pytest.mark.slow
def test_a_run_writes_one(repository: Repository, tmp_path: Path) -> None:
    path = tmp_path / "trace.json"
    assert run_forked(*repository.arguments("--trace", str(path))).code == 0
    slices = read(path)
    registered = [s for s in slices if s["name"] == "register"]
    assert sum(s["args"]["quanta"] for s in registered) == 10
    assert Counter(s["name"] for s in slices if s["name"] != "register") == {
        "isr": 4,
        "characterize": 4,
        "gather": 2,
    }
    assert {tuple(s["args"]["dataId"]) for s in slices if s["name"] == "gather"} == {
        ("instrument", "exposure")
    }
    refused = run_forked(*repository.arguments("--trace", str(tmp_path / "no" / "trace.json")))
    assert refused.code == 2
    assert "--trace" in refused.line


@pytest.mark.slow
def test_the_last_job_and_the_report_write_one(repository: Repository, tmp_path: Path) -> None:
    asked, path = tmp_path / "end" / "asked.json.gz", tmp_path / "run"
    asked.parent.mkdir()
    words = ("--mode", "condor", "--no-submit", "--run-dir", str(path), "--trace", str(asked))
    assert run_forked(*repository.arguments(*words)).code == 0
    directory = RunDirectory(path)
    with directory.index() as index:
        nodes = [node.name for node in index.nodes()]
    assert [run_node(directory, node) for node in nodes] == [0] * len(nodes)
    assert run_forked("report", str(path), "--trace", str(tmp_path / "now.json")).code in (0, 1)
    assert len(read(tmp_path / "now.json")) == 10
    assert not asked.exists()
    asked.parent.rmdir()
    final = run_forked("run-node", str(path), "final")
    assert final.code == 0, "outputs are registered"
    assert "--trace" in final.err
    asked.parent.mkdir()
    assert run_forked("run-node", str(path), "final").code == 0
    assert len(read(asked)) == 10


def test_a_trace_of_graphs_is_refused(repository: Repository) -> None:
    refused = run_forked("report", str(repository.root), str(repository.graph), "--trace", "t.json")
    assert refused.code == 2
    assert "--html and --trace are for a run" in refused.line


IMPORT = """
const [text, done] = arguments, address = "devtools://devtools/bundled/models/trace/trace.js";
(async () => {
  const {TraceModel} = await import(address).catch(() => ({}));
  if (!TraceModel?.Model?.createWithAllHandlers) return null;
  const model = TraceModel.Model.createWithAllHandlers();
  await model.parse(JSON.parse(text).traceEvents, {metadata: {}});
  const {Renderer, Meta} = model.parsedTrace(0).data;
  const entries = thread => thread.entries.map(each => [each.name, each.ts, each.dur]);
  return {
    names: [...Meta.threadsInProcess].flatMap(([pid, all]) => [...all].map(([tid, e]) => [pid, tid, e.args.name])),
    threads: [...Renderer.processes].flatMap(([pid, process]) =>
      [...process.threads].map(([tid, thread]) => [pid, tid, entries(thread), thread.tree.maxDepth])),
  };
})().then(done, error => done(String(error.stack)));
"""


@pytest.mark.slow
def test_the_importer_of_chromium_reads_it(browser: Browser) -> None:
    """It belongs to its panel "Performance": the only other reader of the format that can be had without a network."""
    made = make_run(seed=11, size=40, slots=4)
    summary, out = made.summary(), io.StringIO()
    transactions = [Transaction(summary.start + 1, summary.start + 2, 3, 9)]
    write_trace(RunFacts.of(replace(summary, transactions=transactions)), out)
    browser.driver.get("devtools://devtools/bundled/devtools_app.html")
    try:
        found = browser.driver.execute_async_script(IMPORT, out.getvalue())
    finally:
        browser.driver.get("about:blank")
        browser.complaints(), browser.requests()  # they are not those of a page
    if found is None:
        pytest.skip("this chromium has another importer")
    assert isinstance(found, dict), found
    events = json.loads(out.getvalue())["traceEvents"]
    names = [[e["pid"], e["tid"], e["args"]["name"]] for e in events if e["name"] == "thread_name"]
    assert sorted(found["names"]) == sorted(names)
    slices: dict[tuple[int, int], list[list[object]]] = defaultdict(list)
    for event in (each for each in events if each["ph"] == "X"):
        slices[event["pid"], event["tid"]].append([event["name"], event["ts"], event["dur"]])
    assert {(pid, tid): entries for pid, tid, entries, _ in found["threads"]} == slices
    assert {depth for *_, depth in found["threads"]} == {1}, "nothing is inside of something else"


def test_collected_outcomes_are_enough() -> None:
    graph = enumerated({"isr": 1})
    for _ in graph:
        pass
    collector, stop = OutcomeCollector(graph, None), StopRequest()
    collector.note(QuantumOutcome(0, Status.SUCCEEDED, 5.0, 6.0))
    facts = RunFacts.of(collector.summary(stop, elsewhere=True))
    stop.close()
    out = io.StringIO()
    write_trace(facts, out)
    (event,) = check_format(json.loads(out.getvalue()))
    assert (event["ts"], event["dur"]) == (0, 10**6)
