"""The schema of the summary: real summaries of every kind of run keep to it, and it says all that the guide says."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import fields
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from lsst.pipe.base.quantum_reports import Report

from forked import run_forked
from pipetask.batch.run_directory import RunDirectory
from pipetask.executors.stop import StopRequest
from pipetask.observe.summary import OutcomeCollector
from pipetask.observe.summary_file import SummarySink
from pipetask.outcome import Kind, QuantumError, QuantumOutcome, Status, Usage
from pipetask.testing import MockPipeline, enumerated

from conftest import Repository, run_pipetask  # isort: skip

SCHEMA = json.loads(files("pipetask").joinpath("config", "summary.schema.json").read_bytes())
GUIDE = Path(__file__).parents[1] / "doc/guide/running.md"


def check(content: Any) -> dict[str, Any]:
    """Check a summary, and return it."""
    errors = [f"{error.json_path}: {error.message}" for error in VALIDATOR.iter_errors(content)]
    assert errors == []
    assert len(content["quanta"]) == len(content["quantaReports"])
    Report.model_validate(content)
    found: dict[str, Any] = content
    return found


VALIDATOR = Draft202012Validator(SCHEMA)


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    assert list(VALIDATOR.iter_errors({}))


def test_the_schema_knows_all_words() -> None:
    definitions = SCHEMA["$defs"]
    assert definitions["outcome"]["enum"] == [status.value for status in Status]
    assert {status.lsst for status in Status} <= set(definitions["lsstStatus"]["enum"])
    measures = [re.sub(r"_(.)", lambda match: match[1].upper(), field.name) for field in fields(Usage)]
    assert list(definitions["usage"]["properties"]) == measures
    assert set(Report.model_fields) <= SCHEMA["properties"].keys()


def test_the_guide_has_all_fields() -> None:
    text = GUIDE.read_text().partition("## The summary file")[2].partition("\n## ")[0]
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    in_guide = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    shown = (SCHEMA, *(SCHEMA["$defs"][name] for name in ("quantumReport", "quantum")))
    assert in_guide == {name for part in shown for name in part["properties"]}


@pytest.mark.slow
def test_summaries_of_runs_keep_to_it(make_repository: Callable[..., Repository], tmp_path: Path) -> None:
    failing = {"fail_condition": "exposure = 0 AND detector = 1"}
    repository = make_repository(MockPipeline(configs={"characterize": failing}))
    path = tmp_path / "summary.json"

    def summary(code: int, *more: str) -> dict[str, Any]:
        finished = run_forked(*repository.arguments("--summary", str(path), *more))
        assert finished.code == code, finished.err
        return check(json.loads(path.read_text()))

    assert summary(0, "--mode", "dry-run")["counts"]["isr"] == {"planned": 4}
    assert summary(0, "--init-only")["quanta"] == []
    written = ("--extend-run", "--mode", "condor", "--no-submit", "--run-dir", str(tmp_path / "run"))
    assert summary(0, *written)["counts"]["isr"] == {"written": 4}
    assert summary(1, "--extend-run", "--error-retries", "1", "--take-over")["outcome"] == "failed"
    again = summary(1, "--extend-run")
    assert again["counts"]["isr"] == {"skipped": 4}
    assert again["counts"]["gather"] == {"skipped": 1, "blocked": 1}


@pytest.mark.slow
def test_summaries_without_a_registry_and_of_batch_runs_keep_to_it(
    make_repository: Callable[..., Repository], tmp_path: Path
) -> None:
    repository, path = make_repository(name="one"), tmp_path / "summary.json"
    place = (str(repository.root), str(repository.graph))
    assert run_forked("pre-exec-init-qbb", *place).code == 0
    assert run_forked("run-qbb", *place, "--summary", str(path)).code == 0
    assert check(json.loads(path.read_text()))["counts"]["isr"] == {"succeeded": 4}
    other = make_repository(name="two")
    words = ("--mode", "condor", "--no-submit", "--run-dir", str(tmp_path / "run"))
    assert run_forked(*other.arguments(*words)).code == 0
    directory = RunDirectory(tmp_path / "run")
    with directory.index() as index:
        nodes = [node.name for node in index.nodes()]
    assert run_forked("run-node", str(tmp_path / "run"), nodes[0]).code == 0
    assert run_forked("run-node", str(tmp_path / "run"), "final").code == 1
    assert check(json.loads(directory.summary.read_text()))["outcome"] == "failed"


@pytest.mark.slow
def test_a_summary_of_quanta_that_took_too_long_keeps_to_it(
    make_repository: Callable[..., Repository], tmp_path: Path
) -> None:
    repository = make_repository(MockPipeline(1, 2, configs={"isr": {"sleep": 1000.0}}))
    path = tmp_path / "summary.json"
    finished = run_pipetask(*repository.arguments("--summary", str(path), "-j", "2", "--timeout", "0.5"))
    assert finished.code == 1
    content = check(json.loads(path.read_text()))
    assert (content["status"], content["counts"]["isr"]) == ("timeout", {"timed-out": 2})


texts = st.text(max_size=20)
times = st.floats(0, 4e9)
errors = st.builds(QuantumError, texts, texts, texts, st.none() | st.integers(0, 255))
usages = st.builds(Usage, *[st.none() | st.integers(0, 2**50)] * len(fields(Usage)))


@st.composite
def outcomes(draw: st.DrawFn, id: int = 0, attempts: int = 3) -> QuantumOutcome:
    """Make an outcome with any combination of fields, and with earlier attempts."""
    status = draw(st.sampled_from(Status))
    earlier = tuple(draw(outcomes(id, 0)) for _ in range(draw(st.integers(0, attempts)))) if attempts else ()
    return QuantumOutcome(
        id,
        status,
        draw(st.none() | times),
        draw(st.none() | times),
        host=draw(st.none() | texts),
        pid=draw(st.none() | st.integers(1, 2**22)),
        usage=draw(st.none() | usages),
        error=draw(errors) if status.kind is Kind.FAILED else None,
        signal=draw(st.none() | st.integers(1, 64)),
        exit_code=draw(st.none() | st.integers(0, 255)),
        blocked_by=0 if status is Status.BLOCKED else None,
        caveats=draw(st.integers(0, 127)),
        reason=draw(st.none() | texts),
        log=draw(st.none() | texts),
        attempt=len(earlier) + 1,
        earlier=earlier,
    )


class Header:
    command, timestamp, inputs, output, output_run = "build", None, ["in"], "u/out", "u/out/run"


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(st.tuples(*(outcomes(id) for id in range(3))), st.booleans(), st.none() | st.integers(1, 15))
def test_any_summary_keeps_to_it(
    ended: tuple[QuantumOutcome, ...], goes_on: bool, signal: int | None
) -> None:
    graph = enumerated({"isr": 3})
    for _ in graph:
        pass
    collector, stop = OutcomeCollector(graph, Header), StopRequest()
    for outcome in ended:
        assert collector.note(outcome)
    if signal is not None:
        stop.ask("interrupted", signal=signal)
    summary = collector.summary(stop, goes_on=goes_on, unregistered=signal or 0)
    stop.close()
    content = {
        name: value if not hasattr(value, "__next__") else list(value)
        for name, value in SummarySink(["pipetask"]).fields(summary)
    }
    check(json.loads(json.dumps(content, default=str)))
