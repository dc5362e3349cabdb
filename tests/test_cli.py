"""The command line itself: help, hints, the summary file, the dry run."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
from lsst.pipe.base.quantum_reports import Report

from forked import run_forked
from peer import find_peer, run_peer
from pipetask.cli import cli
from pipetask.cli.catalog import COMMANDS
from pipetask.cli.command import command_for
from pipetask.testing import MockPipeline
from repository_dump import read_files, read_registry

from conftest import Finished, Repository, environment, run_pipetask  # isort: skip

HEAVY = {"lsst", "numpy", "rich", "astropy", "networkx", "sqlalchemy", "multiprocessing", "yaml"}
OPTIONS = [
    parameter for parameter in command_for(COMMANDS["run"]).params if isinstance(parameter, click.Option)
]


# Help.


def modules_after(*arguments: str) -> tuple[Finished, set[str]]:
    """Run the command in a new interpreter; return what it printed, and the packages that it imported."""
    code = (
        "import sys; from pipetask.cli import main; code = main(sys.argv[1:]);"
        "print(*{name.partition('.')[0] for name in sys.modules}, file=sys.stderr); sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        env=environment(),
        check=False,
    )
    return Finished(done.returncode, done.stdout, "", 0.0), set(done.stderr.split())


@pytest.mark.parametrize("flag", ["--help", "-h"])
@pytest.mark.parametrize("before", [[], ["run"]], ids=["pipetask", "run"])
def test_help_is_printed_and_imports_nothing_heavy(before: list[str], flag: str) -> None:
    finished, packages = modules_after(*before, flag)
    assert finished.code == 0
    assert finished.out.startswith(f"Usage: {' '.join(['pipetask', *before])} ")
    assert "click" in packages, "packages are found"
    assert not HEAVY & packages


def test_help_names_the_commands_and_what_comes_before_them() -> None:
    out = run_pipetask("--help").out
    for name in cli.list_commands(click.Context(cli)):
        assert re.search(rf"^ +{name} +\w", out, re.MULTILINE), f"{name} has no description"
    for option in ("--log-level", "--long-log", "--log-file", "--log-tty", "--log-label", "--version"):
        assert option in out


@pytest.fixture(scope="module")
def run_help() -> str:
    finished = run_pipetask("run", "--help")
    assert finished.code == 0
    return finished.out


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.opts[-1])
def test_options_of_run_are_described_with_their_defaults(option: click.Option, run_help: str) -> None:
    assert option.help
    words = "".join(run_help.split())  # lines break at hyphens too
    for name in [*option.opts, *option.secondary_opts]:
        assert name in words
    help_text = "".join(option.help.split())
    assert help_text in words
    if not option.is_flag and option.default and isinstance(option.default, str | int | float):
        assert f"[default:{option.default}" in words[words.index(help_text) :]


def test_version() -> None:
    from importlib.metadata import version

    finished = run_pipetask("--version")
    assert finished.code == 0
    assert version("pipetask") in finished.out


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["rum"], "'run'"),
        (["run", "--exted-run"], "--extend-run"),
        (["run", "--replace_run"], "--replace-run"),
        (["run", "--proceses", "2"], "--processes"),
        (["run", "--prune-replaced", "purged"], "purge"),
        (["--log-leve", "DEBUG", "run"], "--log-level"),
        (["run"], "--butler-config"),
        (["run", "-b", "repo"], "--qgraph"),
        (["run", "-b", "repo", "-g", "graph.qg", "more"], "more"),
        (["--log-level", "LOUD", "run"], "LOUD"),
        (["--log-label", "key", "run"], "KEY=VALUE"),
    ],
)
def test_one_line_helps_with_what_is_mistyped(arguments: list[str], hint: str) -> None:
    finished = run_pipetask(*arguments)
    assert finished.code == 2
    assert finished.out == ""
    line = finished.line
    assert line.startswith("pipetask")
    assert hint in line


# The summary file.

FAILING = MockPipeline(configs={"characterize": {"fail_condition": "exposure = 0 AND detector = 1"}})


@pytest.fixture
def failing(make_repository: Callable[..., Repository]) -> Repository:
    return make_repository(FAILING)


WAYS = {"-j 1": (run_forked, ()), "-j 2": (run_pipetask, ("-j", "2"))}


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_summary_is_a_report_and_more(way: str, failing: Repository, tmp_path: Path) -> None:
    run, more = WAYS[way]
    path = tmp_path / "summary.json"
    finished = run(*failing.arguments("--summary", str(path), *more))
    assert finished.code == 1
    content = json.loads(path.read_text())
    report = Report.model_validate(content)
    assert report.status.value == "failure"
    assert len(report.quantaReports) == 10
    assert all(quantum.quantumId is not None for quantum in report.quantaReports)
    quanta = content["quanta"]
    outcomes = sorted(quantum["outcome"] for quantum in quanta)
    assert outcomes == ["blocked", "failed"] + ["succeeded"] * 8
    ran = [quantum for quantum in quanta if quantum["outcome"] != "blocked"]
    for quantum in ran:
        assert content["start"] <= quantum["start"] <= quantum["end"] <= content["end"]
        assert quantum["usage"]["peakMemory"] > 1e6
        assert quantum["usage"]["cpuSeconds"] > 0
        assert quantum["pid"]
        assert quantum["host"]
    (failed,) = [quantum for quantum in quanta if quantum["outcome"] == "failed"]
    (blocked,) = [quantum for quantum in quanta if quantum["outcome"] == "blocked"]
    assert blocked["blockedBy"] == failed["quantumId"]
    assert "Traceback" in failed["traceback"]
    assert Path(failed["log"]).is_file()
    assert content["counts"]["characterize"] == {"succeeded": 3, "failed": 1}
    assert content["exitCode"] == 1


def comparable_summary(path: Path) -> dict[str, Any]:
    """Return what a report says about graph and quanta, without the commands that were run."""
    report = Report.model_validate(json.loads(path.read_text()))
    quanta = {
        (quantum.taskLabel, *sorted(quantum.dataId.items())): (quantum.status, quantum.exceptionInfo)
        for quantum in report.quantaReports
    }
    assert len(quanta) == len(report.quantaReports)
    return {"graph": report.qgraphSummary.model_dump(), "status": report.status, "quanta": quanta}


@pytest.mark.parametrize("pipeline", [MockPipeline(), FAILING], ids=["well", "failing"])
@pytest.mark.peer
def test_summary_says_what_the_peers_says(
    pipeline: MockPipeline, make_repository: Callable[..., Repository], tmp_path: Path
) -> None:
    find_peer()
    ours, theirs = make_repository(pipeline, "ours"), make_repository(pipeline, "theirs")
    finished = run_forked(*ours.arguments("--summary", str(tmp_path / "ours.json")))
    peer_finished = run_peer(*theirs.arguments("--summary", str(tmp_path / "theirs.json")))
    assert finished.code == peer_finished.code
    expected = comparable_summary(tmp_path / "theirs.json")
    assert len(expected["quanta"]) == 10
    assert comparable_summary(tmp_path / "ours.json") == expected


# The dry run.


def dry_run(repository: Repository, *more: str) -> list[str]:
    """Return the lines of a dry run; check that it touches nothing."""
    before = read_registry(repository.root), read_files(repository.root)
    finished = run_forked(*repository.arguments("--mode", "dry-run", *more))
    assert finished.code == 0, finished.err
    assert (read_registry(repository.root), read_files(repository.root)) == before
    return finished.out.splitlines()


def read_plan(repository: Repository, folder: Path, *more: str) -> list[dict[str, Any]]:
    assert dry_run(repository, "--plan", str(folder / "plan.json"), *more) == []
    return [json.loads(line) for line in (folder / "plan.json").read_text().splitlines()]


def test_dry_run_prints_the_order_and_touches_nothing(repository: Repository) -> None:
    lines = dry_run(repository)
    assert [line.split()[0] for line in lines] == [str(id) for id in range(10)]
    assert re.fullmatch(r"0 +run isr \(instrument='Mock', detector=0, exposure=0\)", lines[0])
    gather = next(line for line in lines if "gather" in line)
    assert re.search(r"after \d+, \d+$", gather)


def test_dry_run_says_what_the_run_itself_would_refuse_or_warn_of(repository: Repository) -> None:
    words = ("run", "-b", str(repository.root), "-g", str(repository.graph), "-i", "input_chain")
    words += ("--mode", "dry-run")
    refused = run_forked(*words, "-o", "u/out")
    assert refused.code == 0
    assert "The run itself would be refused: Dataset types of the graph are not registered" in refused.err
    assert "add --register-dataset-types" in refused.err
    assert run_forked(*words, "-o", "u/out", "--register-dataset-types", "--init-only").line == (
        "pipetask: --init-only writes to the repository, and a dry run does not: leave one of them out."
    )
    assert run_forked(*repository.arguments("--init-only")).code == 0
    assert "pipetask:" not in run_forked(*repository.arguments("--extend-run", "--mode", "dry-run")).err
    misspelt = run_forked(*words, "-o", "u/ouy", "--register-dataset-types", "--extend-run")
    assert "'u/out/run' is not in 'u/ouy': it is added to it when the graph is executed." in misspelt.err


def test_plan_is_a_json_object_a_line(repository: Repository, tmp_path: Path) -> None:
    plan = read_plan(repository, tmp_path)
    assert [row["id"] for row in plan] == list(range(10))
    assert all(prerequisite < row["id"] for row in plan for prerequisite in row["prerequisites"])
    assert {row["action"] for row in plan} == {"run"}
    assert len({row["quantumId"] for row in plan}) == 10
    assert plan[0] | {"quantumId": ""} == {
        "id": 0,
        "label": "isr",
        "dataId": {"instrument": "Mock", "detector": 0, "exposure": 0},
        "quantumId": "",
        "action": "run",
        "prerequisites": [],
    }


@pytest.mark.slow
def test_quanta_start_in_the_order_of_the_plan(repository: Repository, tmp_path: Path) -> None:
    plan = read_plan(repository, tmp_path)
    assert run_forked(*repository.arguments("--summary", str(tmp_path / "summary.json"))).code == 0
    quanta = json.loads((tmp_path / "summary.json").read_text())["quanta"]
    started = sorted(quanta, key=lambda quantum: quantum["start"])
    assert [quantum["quantumId"] for quantum in started] == [row["quantumId"] for row in plan]


@pytest.mark.slow
def test_dry_run_says_what_is_done_already(failing: Repository, tmp_path: Path) -> None:
    assert run_forked(*failing.arguments()).code == 1
    plan = read_plan(failing, tmp_path, "--extend-run")
    left = [(row["label"], row["dataId"].get("detector")) for row in plan if row["action"] == "run"]
    assert left == [("characterize", 1), ("gather", None)]
    skipped = [row for row in plan if row["action"] == "skip"]
    assert len(skipped) == 8
    assert all("metadata" in row["reason"] for row in skipped)
    lines = dry_run(failing, "--extend-run")
    assert [line.split()[1] for line in lines] == [row["action"] for row in plan]


def test_dry_run_of_some_quanta(repository: Repository, tmp_path: Path) -> None:
    wanted = [row["quantumId"] for row in read_plan(repository, tmp_path)][2:4]
    plan = read_plan(repository, tmp_path, "--qgraph-node-id", ",".join(wanted))
    assert [row["quantumId"] for row in plan] == wanted
