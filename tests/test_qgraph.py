"""``pipetask qgraph``: side by side with LSST's command, and what only ours does."""

from __future__ import annotations

import inspect
import json
import re
import shutil
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from astropy.table import Table
from lsst.daf.butler import Butler, CollectionType
from lsst.pipe.base import QuantumGraph
from lsst.pipe.base.quantum_graph_builder import QuantumGraphBuilder

from forked import run_forked
from graph_dump import comparable_graph, known_datasets, timeless
from in_process import run_here
from peer import peer_session
from pipetask.errors import PipetaskError
from pipetask.graph.components import read_graph, write_graph
from pipetask.graph_building import EmptyGraphError, build_graph
from pipetask.options.collections import OutputOptions
from pipetask.options.graph import GraphBuildOptions, GraphSelection
from pipetask.options.pipeline import PipelineOptions
from pipetask.pipeline.build import build_pipeline
from repository_dump import read_files, read_registry
from toy_pipelines import shape_folder

from conftest import Finished  # isort: skip

pytestmark = pytest.mark.usefixtures("speaks_of_flags")

FAILED = "exposure = 1 AND detector = 0"
HALF_DONE = "exposures, half done"


@dataclass(frozen=True)
class Shape:
    """A repository and a pipeline for it, which tests only read."""

    folder: Path

    @property
    def repo(self) -> Path:
        return self.folder / "repo"

    @property
    def graph(self) -> Path:
        """A graph, which has been built."""
        path = self.folder / "graph.qg"
        if not path.exists():
            finished = run_here(*self.building("-o", "u/new", "--output-run", "u/new/1", "-q", str(path)))
            assert finished.code == 0, finished.err
        return path

    def building(self, *more: str) -> list[str]:
        pipeline = ["-p", str(self.folder / "pipeline.yaml")]
        more = tuple(each.replace("FOLDER", str(self.folder)) for each in more)
        return ["qgraph", "-b", str(self.repo), *pipeline, "-i", "input_chain", *more]

    def reading(self, *more: str) -> list[str]:
        return ["qgraph", "-b", str(self.repo), "-g", str(self.graph), *more]


Shapes = Callable[[str], Shape]
Command = Callable[..., Finished]


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shapes]:
    """Make each repository once; at the end, it has to be as it was made."""
    made: dict[str, tuple[Shape, object]] = {}

    def shape(name: str) -> Shape:
        if name not in made:
            folder = tmp_path_factory.mktemp("shape")
            start = shape_folder("exposures" if name == HALF_DONE else name, tmp_path_factory)
            shutil.copytree(start, folder, dirs_exist_ok=True)
            if name == HALF_DONE:
                execute_half(folder)
            write_tables(folder)
            made[name] = (Shape(folder), content(folder))
        return made[name][0]

    yield shape
    for one, before in made.values():
        assert content(one.folder) == before


def content(folder: Path) -> object:
    return read_registry(folder / "repo"), read_files(folder / "repo")


def execute_half(folder: Path) -> None:
    """Execute the graph, with a failure, so that there is something to skip, to extend and to replace."""
    command = ["run", "-b", str(folder / "repo"), "-p", str(folder / "pipeline.yaml"), "-i", "input_chain"]
    where = ["-o", "u/out", "--output-run", "u/out/1", "--register-dataset-types"]
    finished = run_forked(*command, *where, "-c", f"characterize:fail_condition={FAILED}")
    assert "8 succeeded, 1 failed, 1 blocked" in finished.err


def write_tables(folder: Path) -> None:
    data_ids = {"instrument": ["Cam1", "Cam1"], "visit": [1, 2], "detector": [2, 3]}
    Table(data_ids).write(folder / "data_ids.ecsv", overwrite=True)
    Table({"skymap": ["SkyMap1"], "tract": [0]}).write(folder / "tracts.csv", overwrite=True)
    Table({"skymap": ["SkyMap1"], "tarct": [0]}).write(folder / "misspelt.csv", overwrite=True)
    Table({"visit": [1]}).write(folder / "visits.csv", overwrite=True)
    (folder / "no_table.ecsv").write_text("just text")
    (folder / "retained.yaml").write_text("- '*_summary'")


@pytest.fixture(scope="module")
def peer() -> Iterator[Command]:
    with peer_session() as run:
        yield run


# Side by side: graphs that are built.


@dataclass(frozen=True)
class Case:
    """Arguments for both commands."""

    shape: str
    arguments: tuple[str, ...]
    quanta: int = 0
    """How many there have to be; 0 means that both commands fail."""


SKY = "instrument = 'Cam1' AND skymap = 'SkyMap1'"
MOCK = ("-o", "u/new", "--mock", "--unmocked-dataset-types", "raw,dome_flat")
EDITS = ("--delete", "measure", "-c", "detect:int_value=3", "-c", "warp:str_value=x")
TABLES = ("--data-id-table", "FOLDER/data_ids.ecsv", "--data-id-table", "FOLDER/tracts.csv")

CASES = {
    "records": Case("sky", ("-o", "u/new", "--qgraph-datastore-records"), 30),
    "run": Case("rc2", ("--output-run", "u/run"), 6),
    "query": Case("sky", ("-o", "u/new", "-d", f"{SKY} AND visit = 1 AND detector IN (1, 2)"), 11),
    "query by glob": Case(
        "ci_hsc", ("-o", "u/new", "--output-run", "u/new/1", "-d", "GLOB(physical_filter, '*-R')"), 29
    ),
    "query that none satisfies": Case("sky", ("-o", "u/new", "-d", f"{SKY} AND visit = 77")),
    "tables": Case("sky", ("-o", "u/new", *TABLES), 10),
    "no constraint, some tasks": Case(
        "sky", ("-o", "u/new", "--dataset-query-constraint", "off", "--select-tasks", "<=warp"), 18
    ),
    "one constraint, edits": Case("sky", ("-o", "u/new", "--dataset-query-constraint", "image", *EDITS), 28),
    "mock that fails": Case(
        "real", (*MOCK, "--mock-failure", "flatten:lsst.pipe.base.NoWorkFound:visit = 1:3 GB"), 18
    ),
    "another run": Case(HALF_DONE, ("-o", "u/out"), 10),
    "skip what is done": Case(HALF_DONE, ("-o", "u/new", "--skip-existing-in", "u/out"), 2),
    "skip what is in a new run": Case(HALF_DONE, ("-o", "u/out", "--skip-existing"), 10),
    "extend": Case(HALF_DONE, ("-o", "u/out", "--extend-run", "--clobber-outputs"), 2),
    "extend without chain": Case(
        HALF_DONE, ("--output-run", "u/out/1", "--extend-run", "--clobber-outputs"), 2
    ),
    "extend what failed": Case(HALF_DONE, ("-o", "u/out", "--extend-run")),
    "extend what is done": Case(
        HALF_DONE, ("-o", "u/out", "--extend-run", "-d", "instrument = 'Mock' AND exposure = 0")
    ),
    "replace": Case(HALF_DONE, ("-o", "u/out", "--replace-run", "--prune-replaced", "purge"), 10),
    "rebase what fits": Case(HALF_DONE, ("-o", "u/out", "--rebase"), 10),
    "other inputs": Case(HALF_DONE, ("-o", "u/out", "-i", "u/out/1")),
}


@pytest.mark.parametrize("name", CASES)
def test_graph_and_summary_are_the_peers(name: str, shapes: Shapes, peer: Command, tmp_path: Path) -> None:
    case = CASES[name]
    shape = shapes(case.shape)
    arguments = shape.building(*case.arguments)
    codes = {}
    for who, run in (("ours", run_here), ("theirs", peer)):
        files = ["-q", str(tmp_path / f"{who}.qg"), "--summary", str(tmp_path / f"{who}.json")]
        codes[who] = (finished := run(*arguments, *files)).code
        assert (finished.code == 0) == bool(case.quanta), finished.err
    if not case.quanta:
        assert not list(tmp_path.glob("ours.*"))
        return
    known = known_datasets(shape.repo)
    graph = comparable_graph(tmp_path / "ours.qg", known)
    assert graph["counts"][0] == case.quanta
    assert graph == comparable_graph(tmp_path / "theirs.qg", known)
    assert summary(tmp_path / "ours.json") == summary(tmp_path / "theirs.json")


def summary(path: Path) -> object:
    content = json.loads(timeless(path.read_text()))
    for part, times in ((content, ["cmdLine"]), (content["qgraphSummary"], ["cmdLine", "creationUTC"])):
        for name in times:
            assert part.pop(name)
    return content


def test_drawings_are_the_peers(shapes: Shapes, peer: Command, tmp_path: Path) -> None:
    arguments = shapes("rc2").building("-o", "u/new", "--output-run", "u/new/1")
    for who, run in (("ours", run_here), ("theirs", peer)):
        drawings = [
            "--qgraph-dot",
            str(tmp_path / f"{who}.dot"),
            "--qgraph-mermaid",
            str(tmp_path / f"{who}.mmd"),
        ]
        assert run(*arguments, *drawings).code == 0
    for language in ("dot", "mmd"):
        ours, theirs = (without_ids(tmp_path / f"{who}.{language}") for who in ("ours", "theirs"))
        assert "calibrate" in "".join(ours)
        assert ours == theirs


def without_ids(path: Path) -> list[str]:
    """Return the lines of a drawing, whose order depends on IDs that are made up."""
    return sorted(re.sub(r"[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}", "ID", path.read_text()).splitlines())


# Side by side: graphs that are read.


@pytest.mark.parametrize("some", [False, True], ids=["all quanta", "some"])
@pytest.mark.parametrize("extension", [".qg", ".qgraph"])
def test_graph_that_is_read_is_the_peers(
    extension: str, some: bool, shapes: Shapes, peer: Command, tmp_path: Path
) -> None:
    shape = shapes("rc2")
    graph = tmp_path / f"copy{extension}"
    write_graph(read_graph(str(shape.graph)), str(graph))
    ids = [str(id) for id in read_graph(str(graph)).quantum_datasets][1:3]
    chosen = [each for id in ids for each in ("--qgraph-node-id", id)] if some else []
    for who, run in (("ours", run_here), ("theirs", peer)):
        arguments = ["qgraph", "-b", str(shape.repo), "-g", str(graph), *chosen]
        finished = run(*arguments, "--summary", str(tmp_path / f"{who}.json"))
        assert finished.code == 0, finished.err
    assert summary(tmp_path / "ours.json") == summary(tmp_path / "theirs.json")
    assert sum(counts(tmp_path / "ours.json").values()) == (2 if some else 6)


def counts(path: Path) -> dict[str, int]:
    tasks = json.loads(path.read_text())["qgraphSummary"]["qgraphTaskSummaries"]
    return {label: task["numQuanta"] for label, task in tasks.items()}


# What LSST's command cannot do, or does otherwise.


@pytest.mark.slow
def test_part_of_a_graph_can_be_saved_and_executed(shapes: Shapes, tmp_path: Path) -> None:
    """LSST's command cannot write what it has read."""
    shape, part = shapes("rc2"), tmp_path / "part.qg"
    quanta = read_graph(str(shape.graph)).quantum_datasets
    chosen = [id for id, quantum in quanta.items() if quantum.task_label == "calibrate"]
    ids = ",".join(map(str, chosen))
    finished = run_here(*shape.reading("--qgraph-node-id", ids, "-q", str(part)))
    assert finished.code == 0, finished.err
    assert re.search(r"calibrate +2$", finished.err, re.MULTILINE)
    assert set(read_graph(str(part)).quantum_datasets) == set(chosen)
    repo = shutil.copytree(shape.repo, tmp_path / "repo")
    finished = run_forked("run", "-b", str(repo), "-g", str(part), "--register-dataset-types")
    assert finished.code == 0, finished.err
    assert "2 succeeded" in finished.err


@pytest.mark.slow
def test_the_quantum_that_a_graph_does_not_have_is_named(shapes: Shapes) -> None:
    graph, unknown = str(shapes("rc2").graph), uuid.UUID(int=1)
    chosen = frozenset({*read_graph(graph).quantum_datasets, unknown})
    with pytest.raises(PipetaskError, match=f"has no quantum {unknown}: check --qgraph-node-id"):
        read_graph(graph, GraphSelection(quantum_ids=chosen))


@pytest.mark.slow
@pytest.mark.parametrize("extension", [".qg", ".qgraph"])
def test_whole_graph_can_be_copied(extension: str, shapes: Shapes, tmp_path: Path) -> None:
    shape, copy = shapes("rc2"), tmp_path / f"copy{extension}"
    assert run_here(*shape.reading("-q", str(copy))).code == 0
    known = frozenset(read_graph(str(shape.graph)).quantum_datasets)
    whole, copied = (comparable_graph(path, known) for path in (shape.graph, copy))
    assert {**copied, "metadata": whole["metadata"]} == whole


def test_rebase_finds_new_inputs(shapes: Shapes, peer: Command, tmp_path: Path) -> None:
    """LSST's command looks for inputs where the chain led to before."""
    shape = shapes("exposures")
    repo = shutil.copytree(shape.repo, tmp_path / "repo")
    with Butler.from_config(str(repo), writeable=True) as butler:
        butler.collections.register("old")
        butler.collections.register("u/out/1")
        butler.collections.register("u/out", CollectionType.CHAINED)
        butler.collections.redefine_chain("u/out", ["u/out/1", "old"])
    command = ["qgraph", "-b", str(repo), *shape.building()[3:], "-o", "u/out", "--rebase"]
    assert peer(*command).code == 1
    graph = tmp_path / "graph.qg"
    finished = run_here(*command, "-q", str(graph))
    assert finished.code == 0, finished.err
    assert read_graph(str(graph)).header.inputs == ["u/out/1", "input_run", "old"]


def test_table_of_quanta_is_printed_beside_the_output(shapes: Shapes) -> None:
    finished = run_here(*shapes("rc2").reading())
    assert finished.code == 0
    assert finished.out == ""
    for label, count in (("calibrate", 2), ("warp", 2), ("coadd", 2), ("total", 6)):
        assert re.search(rf"^{label} +{count}$", finished.err, re.MULTILINE)


def test_showing_the_pipeline_ends_it(shapes: Shapes, tmp_path: Path) -> None:
    graph = tmp_path / "graph.qg"
    finished = run_here(*shapes("rc2").building("-o", "u/new", "-q", str(graph), "--show", "task-graph"))
    assert finished.code == 0
    assert "coadd" in finished.out
    assert "No quantum graph was built" in finished.err
    assert not graph.exists()


def test_pipeline_and_graph_are_shown(shapes: Shapes, tmp_path: Path) -> None:
    """Also, pipelines are written and drawn on the way."""
    files = ["-q", str(tmp_path / "graph.qg"), "-s", str(tmp_path / "pipeline.yaml")]
    files += ["--pipeline-dot", str(tmp_path / "pipeline.dot")]
    finished = run_here(
        *shapes("rc2").building("-o", "u/new", *files, "--show", "tasks", "--show", "workflow")
    )
    assert finished.code == 0, finished.err
    assert "Subtasks for task" in finished.out
    assert finished.out.count("Parent Quantum") == 4
    assert {path.name for path in tmp_path.iterdir()} == {"graph.qg", "pipeline.yaml", "pipeline.dot"}


def test_columns_of_fits_tables_are_text(shapes: Shapes, tmp_path: Path) -> None:
    table = tmp_path / "visits.fits"
    Table({"instrument": ["HSC"], "visit": [11690]}).write(table)
    graph = tmp_path / "graph.qg"
    finished = run_here(
        *shapes("rc2").building("-o", "u/new", "--data-id-table", str(table), "-q", str(graph))
    )
    assert finished.code == 0, finished.err
    assert read_graph(str(graph)).header.n_task_quanta == {"calibrate": 1, "warp": 1, "coadd": 1}


def test_what_the_builder_says_is_logged(shapes: Shapes, tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    finished = run_here("--log-file", str(log), *shapes("rc2").building("-o", "u/new"))
    assert finished.code == 0
    assert "Generated 2 quanta for task calibrate" in log.read_text()


@pytest.mark.slow
def test_identifier_of_a_graph(shapes: Shapes, tmp_path: Path) -> None:
    shape, legacy = shapes("rc2"), tmp_path / "legacy.qgraph"
    finished = run_here(*shape.reading("--qgraph-id", "1", "-q", str(legacy)))
    assert finished.code == 0
    assert "--qgraph-id is not checked" in finished.err
    command = ["qgraph", "-b", str(shape.repo), "-g", str(legacy), "--qgraph-id"]
    assert run_here(*command, "1").code == 1
    assert run_here(*command, str(QuantumGraph.loadUri(str(legacy)).graphID)).code == 0


# Options of newer versions of pipe_base.

NEWER = "retained_dataset_types" in inspect.signature(QuantumGraphBuilder).parameters
RETAIN = ("--skip-existing-in", "u/out", "--retained-dataset-types", "FOLDER/retained.yaml")
ANCHOR = ("--prune-unanchored-quanta", "isr:gather", "--delete", "characterize")


@pytest.mark.slow
@pytest.mark.skipif(NEWER, reason="this pipe_base has them")
@pytest.mark.parametrize("arguments", [RETAIN, ANCHOR[:2]], ids=["retain", "anchor"])
def test_options_that_pipe_base_does_not_have_are_refused(arguments: tuple[str, ...], shapes: Shapes) -> None:
    finished = run_here(*shapes(HALF_DONE).building("-o", "u/new", *arguments))
    assert finished.code == 2
    assert "needs a newer lsst-pipe-base than" in finished.err


@pytest.mark.skipif(not NEWER, reason="this pipe_base does not have them")
@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (RETAIN, {"isr": 2, "characterize": 2, "gather": 1}),
        (ANCHOR[:2], {"isr": 4, "characterize": 4, "gather": 2}),
        (ANCHOR, {"gather": 0, "isr": 0}),
    ],
    ids=["retain", "anchored", "unanchored"],
)
def test_options_that_only_newer_pipe_base_has(
    arguments: tuple[str, ...], expected: dict[str, int], shapes: Shapes, tmp_path: Path
) -> None:
    graph = tmp_path / "graph.qg"
    finished = run_here(*shapes(HALF_DONE).building("-o", "u/new", *arguments, "-q", str(graph)))
    if not any(expected.values()):
        assert finished.code == 1
        return
    assert finished.code == 0, finished.err
    found = read_graph(str(graph)).header
    assert found.n_task_quanta == expected
    assert (found.metadata["retained_dataset_types"] is not None) == (arguments is RETAIN)


# Mistakes.


@dataclass(frozen=True)
class Mistake:
    """Arguments that cannot be right, and what has to be said."""

    arguments: tuple[str, ...]
    said: str
    code: int = 2
    shape: str = "rc2"


NEW = ("-o", "u/new")
LONG = "x" * 100_000

MISTAKES = {
    "condition without operator": Mistake((*NEW, "-d", "visit"), "'visit' is no condition"),
    "unfinished condition": Mistake((*NEW, "-d", "visit IN (1, 2"), "End of input reached"),
    "two statements": Mistake(
        (*NEW, "-d", "visit = 1; DROP TABLE visit"), "Unexpected character at position 9"
    ),
    "quotes": Mistake((*NEW, "-d", "instrument = 'it's'"), "Syntax error"),
    "unknown dimension": Mistake((*NEW, "-d", "visti = 1"), "did you mean 'visit'?"),
    "unknown column": Mistake((*NEW, "-d", "visit.exposure_tim > 1"), "did you mean 'exposure_time'?"),
    "wrong type": Mistake((*NEW, "-d", "visit = 'a'"), "Column types"),
    "dataset type in query": Mistake((*NEW, "-d", "nope.ingest_date > T'2020-01-01'"), "nope"),
    "very long query": Mistake((*NEW, "-d", LONG), "Unrecognized identifier"),
    "non-ASCII in query": Mistake((*NEW, "-d", "visit = 'é'\n"), "Column types"),
    "no data": Mistake((*NEW, "-d", "visit = 7"), "'raw_image' in input_run satisfies the data query", 1),
    "no such instrument": Mistake((*NEW, "-d", "instrument = 'Nope'"), "satisfies the data query", 1),
    "no such tract for a visit": Mistake(
        (*NEW, "-d", "visit = 11690 AND skymap = 'hsc_rings_v1' AND tract = 9615"),
        "satisfies the data query",
        1,
    ),
    "unknown input": Mistake((*NEW, "-i", "input_chian"), "did you mean 'input_chain'?", 1),
    "unknown input of odd letters": Mistake((*NEW, "-i", "../'\né"), "there is no collection", 1),
    "unknown skipped": Mistake(
        (*NEW, "--skip-existing-in", "u/aut"), "there is no collection 'u/aut'", 1, HALF_DONE
    ),
    "nothing said about outputs": Mistake((), "give --output"),
    "run outside": Mistake(("--output-run", "../../etc"), "cannot be used for a collection"),
    "run with a glob": Mistake(("--output-run", "u/*"), "cannot be used for a collection"),
    "run with a line break": Mistake(("--output-run", "u\nv"), "cannot be used for a collection"),
    "chain without a name": Mistake(("-o", "/", "--output-run", "u/new"), "cannot be used for a collection"),
    "chain that is a run": Mistake(("-o", "u/out/1"), "is of type RUN, not CHAINED", 1, HALF_DONE),
    "run that is a chain": Mistake(("--output-run", "u/out"), "of type CHAINED, not RUN", 1, HALF_DONE),
    "run that exists": Mistake(("--output-run", "u/out/1"), "add --extend-run", 1, HALF_DONE),
    "failed before": Mistake(("-o", "u/out", "--extend-run"), "add --clobber-outputs", 1, HALF_DONE),
    "nothing left": Mistake(
        ("-o", "u/out", "--extend-run", "-d", "exposure = 0"), "isr: 2 previously succeeded", 1, HALF_DONE
    ),
    "extend and replace": Mistake((*NEW, "--extend-run", "--replace-run"), "exclude each other"),
    "replace nothing": Mistake((*NEW, "--replace-run"), "--replace-run", 1),
    "prune nothing": Mistake((*NEW, "--prune-replaced", "purge"), "requires --replace-run"),
    "unknown constraint": Mistake(
        (*NEW, "--dataset-query-constraint", "raw_images"), "did you mean 'raw_image'?"
    ),
    "input that is not registered": Mistake(
        (*NEW, "--select-tasks", "coadd"), "no dataset type 'warped', which coadd reads", 1
    ),
    "misspelt input": Mistake(
        (*NEW, "-c", "flatten:connections.raw=rwa"), "which flatten reads: did you mean 'raw'?", 1, "real"
    ),
    "prerequisite that is not there": Mistake(
        (*NEW, "--mock", "--unmocked-dataset-types", "raw"),
        "--unmocked-dataset-types dome_flat takes",
        1,
        "real",
    ),
    "table that is not there": Mistake((*NEW, "--data-id-table", "nope.csv"), "there is no file nope.csv", 1),
    "table that is none": Mistake(
        (*NEW, "--data-id-table", "FOLDER/no_table.ecsv"), "cannot be read as a table", 1
    ),
    "column that is no dimension": Mistake(
        (*NEW, "--data-id-table", "FOLDER/misspelt.csv"), "did you mean 'tract'?"
    ),
    "table without an instrument": Mistake((*NEW, "--data-id-table", "FOLDER/visits.csv"), "instrument"),
    "failure without mocks": Mistake((*NEW, "--mock-failure", "warp::visit=1"), "goes with --mock"),
    "failure of no task": Mistake(
        (*NEW, "--mock", "--mock-failure", "wrap::visit=1"), "did you mean 'warp'?"
    ),
    "failure of no class": Mistake(
        (*NEW, "--mock", "--mock-failure", "warp:nope.Error:visit=1"), "--mock-failure of warp"
    ),
    "failure that is none": Mistake(
        (*NEW, "--mock", "--mock-failure", "warp:pathlib.Path:visit=1"), "pathlib.Path is no exception"
    ),
    "failure without condition": Mistake(
        (*NEW, "--mock", "--mock-failure", "warp::visit="), "--mock-failure of warp"
    ),
    "unmocked without mocks": Mistake((*NEW, "--unmocked-dataset-types", "raw"), "goes with --mock"),
    "unmocked output": Mistake(
        (*NEW, "--mock", "--unmocked-dataset-types", "image"), "--unmocked-dataset-types", shape="real"
    ),
    "nothing to retain": Mistake(
        (*NEW, "--retained-dataset-types", "r.yaml"), "goes with --skip-existing-in"
    ),
    "nothing in what is retained": Mistake(
        (*NEW, "--skip-existing", "--retained-dataset-types", "FOLDER/no_table.ecsv"),
        "is not a YAML list",
    ),
    "anchor that is no task": Mistake(
        (*NEW, "--prune-unanchored-quanta", "warp:coad"), "did you mean 'coadd'?"
    ),
    "pipeline and graph": Mistake((*NEW, "-g", "graph.qg"), "--pipeline is for building a graph"),
    "quanta of no graph": Mistake((*NEW, "--qgraph-node-id", str(uuid.UUID(int=1))), "goes with --qgraph"),
    "identifier of no graph": Mistake((*NEW, "--qgraph-id", "1"), "goes with --qgraph"),
    "graph of another format": Mistake((*NEW, "-q", "graph.yaml"), "must end in '.qg'"),
    "folder that is not there": Mistake((*NEW, "-q", "nope/graph.qg"), "nope"),
    "nothing to show": Mistake((*NEW, "--show", "grahp"), "did you mean 'graph'?"),
    "no tasks": Mistake((*NEW, "--select-tasks", "nope"), "nope"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistake_is_told_in_one_line(
    name: str, shapes: Shapes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mistake = MISTAKES[name]
    monkeypatch.chdir(tmp_path)
    finished = run_here(*shapes(mistake.shape).building(*mistake.arguments))
    assert finished.code == mistake.code, finished.err
    assert finished.err.startswith("pipetask")
    assert finished.err.count("\n") == 1
    assert mistake.said in finished.err
    assert len(finished.err) < 1000
    assert not list(tmp_path.iterdir())


def test_mistake_about_a_graph_that_is_read(shapes: Shapes) -> None:
    shape = shapes("rc2")
    for arguments, code, said in (
        (["-d", "visit = 1"], 2, "--data-query is for building a graph"),
        (["--mock"], 2, "--mock is for building a graph"),
        (["-c", "a:b=c"], 2, "is for building a graph"),
        (["--show", "tasks"], 2, "is about a pipeline"),
        (["--qgraph-node-id", str(uuid.UUID(int=1))], 1, "has no quantum"),
        (["--output-run", "input_run"], 1, "add --extend-run"),
    ):
        finished = run_here(*shape.reading(*arguments))
        assert finished.code == code, finished.err
        assert said in finished.err
        assert finished.err.count("\n") == 1
    finished = run_here(*shape.building("-o", "u/new")[:5], "-i", "nope*", "-o", "u/new")
    assert finished.code == 2
    assert "There are no collections to find inputs in" in finished.err
    finished = run_here("qgraph", "-b", str(shape.repo))
    assert finished.code == 2
    assert "--qgraph" in finished.err


# Without the command.


def test_graph_is_built_by_a_call(shapes: Shapes) -> None:
    shape = shapes("rc2")
    source = build_pipeline(PipelineOptions(pipeline=str(shape.folder / "pipeline.yaml")))
    outputs = OutputOptions(inputs=("input_chain",), output="u/new")
    components = build_graph(str(shape.repo), source, GraphBuildOptions(data_query="visit = 11690"), outputs)
    assert components.header.n_task_quanta == {"calibrate": 1, "warp": 1, "coadd": 1}
    assert re.fullmatch(r"u/new/\d{8}T\d{6}Z", components.header.output_run)
    with pytest.raises(EmptyGraphError):
        build_graph(str(shape.repo), source, GraphBuildOptions(data_query="visit = 7"), outputs)


def test_an_output_that_is_still_to_come_does_not_hide_what_is_done(shapes: Shapes) -> None:
    """pipe_base ignores all collections to skip in if one of them does not exist."""
    shape = shapes(HALF_DONE)
    source = build_pipeline(PipelineOptions(pipeline=str(shape.folder / "pipeline.yaml")))
    outputs = OutputOptions(inputs=("input_chain",), output="u/new")
    for skipped in (("u/out",), ("u/new", "u/out")):
        building = GraphBuildOptions(skip_existing_in=skipped)
        assert build_graph(str(shape.repo), source, building, outputs).header.n_quanta == 2, skipped
