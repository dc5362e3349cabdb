"""``pipetask run`` without a graph: side by side with LSST's command, and what only ours does."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from lsst.daf.butler import Butler, DatasetType

from forked import run_forked
from graph_dump import timeless
from peer import comparable_registry, peer_session
from pipetask.graph.components import read_graph
from repository_dump import read_chain, read_collections, read_files, read_registry
from toy_pipelines import shape_folder

from conftest import Finished, run_pipetask  # isort: skip

Command = Callable[..., Finished]


@pytest.fixture(scope="module")
def peer() -> Iterator[Command]:
    with peer_session() as run:
        yield run


@pytest.fixture
def copy(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> Callable[..., Path]:
    """Return a function that makes a folder with a copy of a repository and its pipeline."""

    def make(shape: str = "exposures", name: str = "ours") -> Path:
        return Path(shutil.copytree(shape_folder(shape, tmp_path_factory), tmp_path / name))

    return make


def running(folder: Path, *more: str) -> list[str]:
    command = ["run", "-b", str(folder / "repo"), "-p", str(folder / "pipeline.yaml"), "-i", "input_chain"]
    return [*command, *more]


# Side by side.


@dataclass(frozen=True)
class Step:
    """One command, for both."""

    arguments: Sequence[str]
    code: int = 0
    summary: bool = False


@dataclass(frozen=True)
class Story:
    """Commands that follow each other on one repository."""

    steps: Sequence[Step]
    run: str
    """A run that exists afterwards, …"""

    counts: dict[str, int]
    """… with as many datasets of some types."""

    shape: str = "exposures"


OUT = ["-o", "u/out"]
ONE = [*OUT, "--output-run", "u/out/1"]
NEW = ["--register-dataset-types"]
SOME = ["-d", "exposure = 0"]
FAILING = ["-c", "characterize:fail_condition=exposure IN (1) AND detector IN (1)"]
ALL_DONE = {"isr_metadata": 4, "characterize_metadata": 4, "gather_metadata": 2, "exposure_summary": 2}
MOCK = ["--mock", "--unmocked-dataset-types", "raw,dome_flat"]

STORIES = {
    "a chain grows, and a run in it is replaced": Story(
        [
            Step([*OUT, *NEW, *SOME], summary=True),
            Step([*OUT, "--output-run", "u/out/2", "--no-versions"]),
            Step([*OUT, "--output-run", "u/out/3", "--replace-run", "--prune-replaced", "unstore"]),
        ],
        "u/out/3",
        ALL_DONE | {"packages": 1},
    ),
    "sky": Story(
        [Step(["--output-run", "u/run", *NEW, "--qgraph-datastore-records"])],
        "u/run",
        {"schema": 1, "sources": 8, "warped": 10, "coadd_image": 10, "table": 2, "packages": 1},
        "sky",
    ),
    "a run is extended, and skipped elsewhere": Story(
        [
            Step([*ONE, *NEW, *SOME]),
            Step(["-o", "u/new", "--output-run", "u/new/1", "--skip-existing-in", "u/out"]),
            Step([*OUT, "--extend-run"]),
            Step([*OUT, "--extend-run"], 1),
        ],
        "u/out/1",
        ALL_DONE,
    ),
    "failures": Story(
        [
            Step([*ONE, *NEW, *FAILING], 1),
            Step([*OUT, *FAILING, "--extend-run", "--clobber-outputs"], 1),
            Step([*OUT, "--extend-run", "--clobber-outputs"], 1),  # with another config
        ],
        "u/out/1",
        {"isr_metadata": 4, "characterize_metadata": 3, "characterize_log": 4, "exposure_summary": 1},
    ),
    "mocks": Story(
        [Step([*ONE, *NEW, *MOCK, "--mock-failure", "flatten:lsst.pipe.base.NoWorkFound:visit = 1"])],
        "u/out/1",
        {"_mock_image": 4, "_mock_flatten_metadata": 8, "_mock_summary": 1},
        "real",
    ),
}


@pytest.mark.parametrize("name", ["TypeError", "builtins.TypeError"])
def test_a_mock_raises_an_exception_that_is_built_in(name: str, copy: Callable[..., Path]) -> None:
    folder = copy("real")
    failure = ["--mock-failure", f"flatten:{name}:visit = 1"]
    finished = run_forked(*running(folder, *ONE, *NEW, *MOCK, *failure))
    assert finished.code == 1
    assert "TypeError: Simulated failure" in finished.err


@pytest.mark.parametrize("name", STORIES)
def test_repository_is_as_the_peer_leaves_it(name: str, copy: Callable[..., Path], peer: Command) -> None:
    story = STORIES[name]
    ours, theirs = copy(story.shape), copy(story.shape, "theirs")
    for step in story.steps:
        for folder, run in ((ours, run_forked), (theirs, peer)):
            more = ["--summary", str(folder / "summary.json")] if step.summary else []
            finished = run(*running(folder, *step.arguments, *more))
            assert finished.code == step.code, finished.err
        if step.summary:
            assert comparable_summary(ours) == comparable_summary(theirs)
    assert story.run in read_collections(ours / "repo")
    rows = [row for row in read_registry(ours / "repo")["dataset"] if row["run_id"] == story.run]
    assert {
        name: sum(row["dataset_type_id"] == name for row in rows) for name in story.counts
    } == story.counts
    assert comparable(ours) == comparable(theirs)


def comparable(folder: Path) -> tuple[list[str], set[str]]:
    """Return the rows of a registry, with names instead of IDs that are made up, and the names of files."""
    registry = comparable_registry(folder / "repo")
    names = {row["dataset_id"]: dataset_name(row) for row in registry["dataset_tags"]}
    lines = [f"{table} {row}" for table, rows in registry.items() for row in rows]
    named = (re.sub("|".join(names), lambda found: names[found[0]], line) for line in lines)
    return sorted(map(timeless, named)), {timeless(path) for path in read_files(folder / "repo")}


def dataset_name(tag: dict[str, Any]) -> str:
    return " ".join(str(value) for column, value in tag.items() if column != "dataset_id")


def comparable_summary(folder: Path) -> object:
    """Return what LSST's command writes, without times, IDs that are made up, and costs."""
    content = json.loads(timeless((folder / "summary.json").read_text()))
    graph = content["qgraphSummary"]
    assert graph.pop("cmdLine")
    assert graph.pop("creationUTC")
    quanta = [
        (each["taskLabel"], each["dataId"], each["status"], exception(each))
        for each in content["quantaReports"]
    ]
    return graph, content["status"], sorted(map(str, quanta))


def exception(report: dict[str, Any]) -> str | None:
    return report["exceptionInfo"]["className"] if "exceptionInfo" in report else None


# What only ours does.


@pytest.mark.slow
def test_graph_goes_when_all_went_well(copy: Callable[..., Path], scratch: Path) -> None:
    finished = run_forked(*running(copy("rc2"), *ONE, *NEW))
    assert finished.code == 0, finished.err
    assert re.search(r"^calibrate +2$", finished.err, re.MULTILINE)
    assert "succeeded: 6 succeeded" in finished.err
    assert not list(scratch.iterdir())


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder in which temporary files are made."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("saved", [False, True], ids=["kept for the user", "saved by the user"])
def test_command_of_the_report_runs_a_failure_alone(
    saved: bool, copy: Callable[..., Path], scratch: Path, tmp_path: Path
) -> None:
    folder = copy("exposures")
    where = ["-q", str(tmp_path / "mine.qg")] if saved else []
    failing = ["-c", "gather:fail_condition=exposure = 1"]
    finished = run_forked(*running(folder, *ONE, *NEW, *failing, *where))
    assert finished.code == 1
    kept = [path.name for path in scratch.rglob("*.qg")]
    assert kept == ([] if saved else ["graph.qg"])
    assert ("The graph is kept as" in finished.err) is not saved
    (command,) = re.findall(r"run it alone: pipetask (.*) --pdb", finished.err)
    again = run_forked(*shlex.split(command))
    assert "gather (instrument='Mock', exposure=1) failed" in again.err
    assert "failed: 1 failed" in again.err
    last = shlex.split(finished.err.splitlines()[-1].removeprefix("go on: "))
    assert last[:2] == ["pipetask", "run"]
    (graph,) = re.findall(r"-g (\S+)", command)
    assert last[-4:] == ["-g", graph, "--extend-run", "--clobber-outputs"]
    going_on = run_forked(*last[1:])
    assert "1 failed" in going_on.err
    assert "skipped" in going_on.err


@pytest.mark.slow
def test_tasks_are_known_before_the_graph_is_built(
    copy: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIPETASK_NOTES", str(tmp_path))
    mode = ["--mode", "early_executor:EarlyExecutor", "-q", str(tmp_path / "graph.qg")]
    finished = run_forked(*running(copy("rc2"), *ONE, *NEW, *mode))
    assert finished.code == 0, finished.err
    before, after = (json.loads((tmp_path / f"{when}.json").read_text()) for when in ("before", "after"))
    assert len(before) > 1
    assert set(after) <= set(before)


@pytest.mark.slow
def test_many_workers_read_the_graph(copy: Callable[..., Path], tmp_path: Path) -> None:
    folder, graph = copy("rc2"), tmp_path / "graph.qg"
    finished = run_pipetask(*running(folder, *ONE, *NEW, "-j", "2", "-q", str(graph)))
    assert finished.code == 0, finished.err
    assert "succeeded: 6 succeeded" in finished.err
    assert read_graph(str(graph)).header.n_quanta == 6
    assert read_chain(folder / "repo", "u/out") == ["u/out/1", "input_run"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--mode", "dry-run"], "planned: 6 planned"),
        (["--show", "task-graph"], "No quantum graph was built"),
        (["--show", "workflow"], "Nothing was executed"),
    ],
    ids=["dry run", "show the pipeline", "show the graph"],
)
def test_nothing_is_executed(
    arguments: list[str], said: str, copy: Callable[..., Path], scratch: Path
) -> None:
    folder = copy("rc2")
    before = read_registry(folder / "repo"), read_files(folder / "repo")
    finished = run_forked(*running(folder, *ONE, *NEW, *arguments))
    assert finished.code == 0, finished.err
    assert said in finished.err
    assert (read_registry(folder / "repo"), read_files(folder / "repo")) == before
    assert not list(scratch.iterdir())


@pytest.mark.slow
def test_graph_from_a_file_can_be_kept_and_shown(copy: Callable[..., Path], tmp_path: Path) -> None:
    folder, graph, again = copy("rc2"), tmp_path / "graph.qg", tmp_path / "copy.qg"
    assert run_forked(*running(folder, *ONE, "-q", str(graph), "--show", "workflow")).code == 0
    command = ["run", "-b", str(folder / "repo"), "-g", str(graph)]
    finished = run_forked(*command, "-q", str(again), "--qgraph-dot", str(tmp_path / "graph.dot"), *NEW)
    assert finished.code == 0, finished.err
    assert "succeeded: 6 succeeded" in finished.err
    assert read_graph(str(again)).header.n_quanta == 6
    assert (tmp_path / "graph.dot").exists()
    finished = run_forked(*command, "--show", "workflow")
    assert finished.out.count("Quantum ") > 6
    assert "Nothing was executed" in finished.err


MISTAKES = {
    "nothing to run": (["-b", "repo"], 2, "name one with --qgraph"),
    "both": (
        ["-b", "repo", "-g", "graph.qg", "-p", "pipeline.yaml"],
        2,
        "--pipeline is for building a graph",
    ),
    "query of a graph": (
        ["-b", "repo", "-g", "graph.qg", "-d", "visit = 1"],
        2,
        "--data-query is for building",
    ),
    "tasks of a graph": (["-b", "repo", "-g", "graph.qg", "--show", "tasks"], 2, "is about a pipeline"),
    "quanta of no graph": (["-b", "repo", "-p", "p.yaml", "--qgraph-node-id", "a"], 2, "UUID"),
    "no repository": (
        ["-b", "nope", "-p", "PIPELINE", "-i", "a", "-o", "b"],
        1,
        "There is no repository at nope",
    ),
    "no pipeline": (["-b", "REPO", "-p", "nope.yaml", "-i", "a", "-o", "b"], 2, "nope.yaml"),
    "no input": (["-b", "REPO", "-p", "PIPELINE", "-i", "input", "-o", "b"], 1, "no collection 'input'"),
    "no data": (
        ["-b", "REPO", "-p", "PIPELINE", "-i", "input_chain", "-o", "b", "-d", "visit = 7"],
        1,
        "The quantum graph is empty: no dataset of type 'raw_image'",
    ),
    "dataset types": (
        ["-b", "REPO", "-p", "PIPELINE", "-i", "input_chain", "-o", "b"],
        1,
        "add --register-dataset",
    ),
}


@pytest.mark.slow
def test_what_differs_of_a_dataset_type_is_named(copy: Callable[..., Path], scratch: Path) -> None:
    """pipe_base writes both definitions in full, with all implied dimensions."""
    folder = copy("rc2")
    with Butler.from_config(str(folder / "repo"), writeable=True) as butler:
        dimensions = butler.dimensions.conform(["skymap"])
        butler.registry.registerDatasetType(DatasetType("visit_image", dimensions, "StructuredDataDict"))
    finished = run_forked(*running(folder, *ONE, *NEW))
    assert finished.code == 1
    (line,) = finished.err.splitlines()
    assert "dataset type 'visit_image' has" in line
    assert "the dimensions skymap only in the repository" in line
    assert len(line) < 400


@pytest.mark.parametrize("name", MISTAKES)
def test_mistake_is_told_in_one_line(name: str, copy: Callable[..., Path], scratch: Path) -> None:
    arguments, code, said = MISTAKES[name]
    folder = copy("rc2")
    before = read_registry(folder / "repo"), read_files(folder / "repo")
    places = {"REPO": str(folder / "repo"), "PIPELINE": str(folder / "pipeline.yaml")}
    finished = run_forked("run", *(places.get(each, each) for each in arguments))
    assert finished.code == code, finished.err
    assert said in finished.err
    assert finished.err.splitlines()[-1].startswith("pipetask")
    assert (read_registry(folder / "repo"), read_files(folder / "repo")) == before
    assert not list(scratch.iterdir())
