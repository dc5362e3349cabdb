"""`pipetask report` and `aggregate-reports` say what those of LSST say, of whatever has executed the graphs."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from lsst.daf.butler import Butler
from lsst.pipe.base.all_dimensions_quantum_graph_builder import AllDimensionsQuantumGraphBuilder

from forked import run_forked
from peer import peer_session, run_peer
from pipetask.graph.file import load_whole
from pipetask.options.commands.report import ReportCommand
from pipetask.repository.reports import report_on_attempts, report_on_graph
from pipetask.testing import MockPipeline
from repository_dump import read_files, read_registry

from conftest import Finished  # isort: skip

Run = Callable[..., Finished]


@pytest.fixture(scope="module")
def peer() -> Iterator[Run]:
    with peer_session() as run:
        yield run


# Repositories, each made once; reports do not change them.


def raising(where: str, exception: str = "builtins.ValueError") -> dict[str, dict[str, str]]:
    return {"characterize": {"fail_condition": where, "fail_exception": exception}}


FAILING = MockPipeline(configs=raising("exposure = 0 AND detector = 1"))


def execute(run: Run, root: Path, *more: str, graph: str = "graph.qg", code: int) -> None:
    command = ["run", "-b", str(root), "-g", str(root / graph), "-o", "u/out", "-i", "input_run"]
    finished = run(*command, "--register-dataset-types", *more)
    assert finished.code == code, finished.err


def well(root: Path) -> None:
    MockPipeline().make(root)
    execute(run_forked, root, code=0)


def failing(root: Path) -> None:
    FAILING.make(root)
    execute(run_forked, root, code=1)


def failing_with_full_butler(root: Path) -> None:
    FAILING.make(root)
    execute(run_forked, root, "--output-butler", "full", code=1)


def failing_in_the_peer(root: Path) -> None:
    FAILING.make(root)
    execute(run_peer, root, code=1)


def failing_often(root: Path) -> None:
    MockPipeline(exposures=3, configs=raising("exposure < 9")).make(root)
    execute(run_forked, root, code=1)


def with_caveats(root: Path) -> None:
    partial = raising("exposure = 0 AND detector = 1", "lsst.pipe.base.AnnotatedPartialOutputsError")
    no_work = {"isr": {"fail_condition": "detector = 0", "fail_exception": "lsst.pipe.base.NoWorkFound"}}
    MockPipeline(configs={**partial, **no_work}).make(root)
    execute(run_forked, root, "--no-raise-on-partial-outputs", code=0)


def legacy(root: Path) -> None:
    FAILING.make(root, run="u/out/forgotten")
    with Butler.from_config(str(root), writeable=True) as butler:
        FAILING.build_graph(butler, root / "graph.qgraph")
    execute(run_forked, root, graph="graph.qgraph", code=1)


def retried(root: Path) -> None:
    """Execute a graph, one of what failed in which some fails again, and one of the rest."""
    MockPipeline(exposures=3, configs=raising("detector = 1")).make(root, run="u/out/1")
    execute(run_forked, root, code=1)
    again = {"2": MockPipeline(exposures=3, configs=raising("exposure = 2")), "3": MockPipeline(exposures=3)}
    for number, pipeline in again.items():
        build_rest(root, pipeline, number)
        execute(run_forked, root, graph=f"graph{number}.qg", code=1 if number == "2" else 0)


def build_rest(root: Path, pipeline: MockPipeline, number: str) -> None:
    with Butler.from_config(str(root), writeable=True) as butler:
        whole = load_whole(str(pipeline.build_graph(butler, root / "whole.qg")))
        builder = AllDimensionsQuantumGraphBuilder(
            whole.pipeline_graph,
            butler,
            input_collections=["u/out"],
            output_run=f"u/out/{number}",
            skip_existing_in=["u/out"],
        )
        components = builder.finish(output="u/out", attach_datastore_records=True)
        components.header.inputs = ["input_chain"]
        components.write(root / f"graph{number}.qg")


MAKERS: dict[str, Callable[[Path], None]] = {
    make.__name__: make
    for make in (
        well,
        failing,
        failing_with_full_butler,
        failing_in_the_peer,
        failing_often,
        with_caveats,
        legacy,
        retried,
    )
}


@pytest.fixture(scope="module")
def repositories(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return a function that finds a repository, and makes it when it is asked for first."""
    made: dict[str, Path] = {}

    def repository(name: str) -> Path:
        if name not in made:
            made[name] = tmp_path_factory.mktemp("reports") / "repo"
            MAKERS[name](made[name])
        return made[name]

    return repository


# As LSST's command says it.


@dataclass(frozen=True)
class Case:
    """A report on a repository."""

    repository: str
    more: str = ""
    graphs: str = "graph.qg"
    in_order: bool = True
    """Whether the order of what the peer prints is always the same; it follows sets."""

    def arguments(self, root: Path, file: Path | None = None) -> list[str]:
        graphs = [str(root / name) for name in self.graphs.split()]
        output = ["--full-output-filename", str(file)] if file else []
        return ["report", str(root), *graphs, *self.more.split(), *output]


ATTEMPTS = "graph.qg graph2.qg graph3.qg"
PRINTED = {
    "well": Case("well"),
    "failing": Case("failing"),
    "failing often, briefly": Case("failing_often", "--brief", in_order=False),
    "executed by the peer": Case("failing_in_the_peer"),
    "legacy": Case("legacy", graphs="graph.qgraph"),
    "v2, failing": Case("failing", "--force-v2"),
    "v2, caveats": Case("with_caveats", "--force-v2"),
    "retried once": Case("retried", "--collections u/out/2,u/out/1", "graph.qg graph2.qg", in_order=False),
    "a picture": Case("failing", "--force-v2 --view-graph"),
}


def printed(text: str, in_order: bool) -> list[str]:
    """Return the lines of tables, without log messages, or the words if their order is not to be compared."""
    lines = [line for line in text.splitlines() if not line.startswith("lsst.")]
    return lines if in_order else sorted(word.strip("[]{},'\"-") for word in " ".join(lines).split())


@pytest.mark.parametrize("name", PRINTED)
def test_tables_are_the_peers(name: str, repositories: Callable[[str], Path], peer: Run) -> None:
    case = PRINTED[name]
    root = repositories(case.repository)
    before = read_registry(root), read_files(root)
    finished, peer_finished = run_forked(*case.arguments(root)), peer(*case.arguments(root))
    assert (finished.code, peer_finished.code) == (0, 0), finished.err + peer_finished.err
    assert "characterize" in finished.out
    assert printed(finished.out, case.in_order) == printed(peer_finished.err, case.in_order)
    assert finished.err == ""
    assert (read_registry(root), read_files(root)) == before


WRITTEN = {
    "failing": Case("failing_with_full_butler"),
    "failing often": Case("failing_often", "--no-logs"),
    "v2, without caveats, logs and qbb": Case(
        "with_caveats", "--force-v2 --read-caveats none --no-logs --no-use-qbb"
    ),
    "v2, all caveats": Case("with_caveats", "--force-v2 --read-caveats Exhaustive"),
    "v2, failing often": Case("failing_often", "--force-v2 -j 3"),
    "v2, legacy": Case("legacy", "--force-v2", graphs="graph.qgraph"),
    "v2, part of it": Case("failing", "--where instrument='Mock'AND(exposure=0)"),
    "retried": Case("retried", "--no-use-qbb -j 2", graphs=ATTEMPTS),
    "cursed": Case("retried", "--collections u/out --curse-failed-logs", graphs=ATTEMPTS),
}


@pytest.mark.parametrize("name", WRITTEN)
def test_files_hold_what_the_peers_hold(
    name: str, repositories: Callable[[str], Path], peer: Run, tmp_path: Path
) -> None:
    case = WRITTEN[name]
    root = repositories(case.repository)
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    finished, peer_finished = run_forked(*case.arguments(root, ours)), peer(*case.arguments(root, theirs))
    assert (finished.code, peer_finished.code) == (0, 0), finished.err + peer_finished.err
    assert printed(finished.out, in_order=True) == printed(peer_finished.err, in_order=True)
    assert comparable(ours) == comparable(theirs)


def comparable(path: Path) -> Any:
    """Return what a file holds; where pipe_base follows sets, the order of lists is not compared."""
    content = yaml.safe_load(path.read_text())
    assert content, path
    return in_order(content)


def in_order(value: Any) -> Any:
    match value:
        case dict():
            return {key: in_order(item) for key, item in value.items()}
        case list():
            return sorted((in_order(item) for item in value), key=repr)
        case _:
            return value


def test_reports_are_added_up_as_the_peer_does(
    repositories: Callable[[str], Path], peer: Run, tmp_path: Path
) -> None:
    files = []
    for name in ("failing", "with_caveats", "retried"):
        case = Case(name, "--force-v2", ATTEMPTS if name == "retried" else "graph.qg")
        files.append(tmp_path / f"{name}.json")
        assert run_forked(*case.arguments(repositories(name), files[-1])).code == 0
    words = ["aggregate-reports", *map(str, files)]
    finished, peer_finished = run_forked(*words), peer(*words)
    assert (finished.code, peer_finished.code) == (0, 0), finished.err + peer_finished.err
    assert "FAILED" in finished.out
    assert printed(finished.out, in_order=False) == printed(peer_finished.err, in_order=False)
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    assert run_forked(*words, "--full-output-filename", str(ours)).code == 0
    assert peer(*words, "--full-output-filename", str(theirs)).code == 0
    assert comparable(ours) == comparable(theirs)
    characterize = json.loads(ours.read_text())["tasks"]["characterize"]
    assert (characterize["n_expected"], characterize["n_failed"]) == (14, 1)
    assert len(characterize["recovered_quanta"]) == 3


# What LSST's command does not do.


def options(root: Path, *graphs: str, **more: Any) -> ReportCommand:
    return ReportCommand(repo=str(root), qgraphs=tuple(str(root / graph) for graph in graphs), **more)


@pytest.mark.slow
def test_reports_can_be_had_without_the_command(repositories: Callable[[str], Path]) -> None:
    root = repositories("failing")
    report = report_on_graph(options(root, "graph.qg"))
    ((quantum_id, failed),) = report.tasks["characterize"]["failed_quanta"].items()
    assert re.fullmatch("[-0-9a-f]{36}", quantum_id)
    assert failed["data_id"] == {"instrument": "Mock", "detector": 1, "exposure": 0}
    assert "Simulated failure" in failed["error"][0]
    summary = report_on_attempts(options(root, "graph.qg")).summary
    assert [quantum.data_id for quantum in summary.tasks["characterize"].failed_quanta] == [failed["data_id"]]


@pytest.mark.slow
def test_attempts_follow_each_other_in_time(repositories: Callable[[str], Path]) -> None:
    root = repositories("retried")
    graphs = ATTEMPTS.split()
    expected = report_on_attempts(options(root, *graphs)).summary
    assert len(expected.tasks["characterize"].recovered_quanta) == 3
    assert report_on_attempts(options(root, *reversed(graphs))).summary == expected


@pytest.mark.slow
def test_data_ids_are_in_order(repositories: Callable[[str], Path], tmp_path: Path) -> None:
    case = Case("failing_often", "--force-v2")
    finished = run_forked(*case.arguments(repositories("failing_often"), tmp_path / "report.json"))
    assert finished.code == 0
    failed = json.loads((tmp_path / "report.json").read_text())["tasks"]["characterize"]["failed_quanta"]
    data_ids = [(quantum["data_id"]["detector"], quantum["data_id"]["exposure"]) for quantum in failed]
    assert len(data_ids) == 6
    assert data_ids == sorted(data_ids)


@pytest.mark.slow
def test_no_failed_quantum_is_left_out_of_the_table(tmp_path: Path) -> None:
    """LSST's command leaves out all but the first and the last if each task has as many failures."""
    pipeline = MockPipeline(exposures=3, detectors=1, configs={"isr": {"fail_condition": "detector = 0"}})
    pipeline.make(tmp_path / "repo")
    execute(run_forked, tmp_path / "repo", code=1)
    whole = report_on_graph(options(tmp_path / "repo", "graph.qg", logs=False))
    isr = type(whole)({"isr": whole.tasks["isr"]}, logs=False)
    (row,) = isr._quanta()
    assert [f"'exposure': {i}" in row["Failed"] for i in range(3)] == [True] * 3


@pytest.mark.slow
def test_a_picture_and_a_file(repositories: Callable[[str], Path], tmp_path: Path) -> None:
    case = Case("failing", "--view-graph")
    finished = run_forked(*case.arguments(repositories("failing"), tmp_path / "report.json"))
    assert finished.code == 0
    assert "Caveat codes" not in finished.out
    assert "exposure_summary" in finished.out
    assert json.loads((tmp_path / "report.json").read_text())["tasks"]["characterize"]["n_failed"] == 1


# Bad input.


def a_graph_that_was_not_executed(root: Path, folder: Path) -> None:
    with Butler.from_config(str(root), writeable=True) as butler:
        MockPipeline().build_graph(butler, folder / "new.qg", run="u/out/new")


def an_empty_graph(root: Path, folder: Path) -> None:
    MockPipeline(exposures=0).make(folder / "other")


def half_a_graph(root: Path, folder: Path) -> None:
    content = (root / "graph.qg").read_bytes()
    (folder / "half.qg").write_bytes(content[: len(content) // 2])


def other_files(root: Path, folder: Path) -> None:
    (folder / "text").write_text("Dear diary,\n")
    (folder / "bytes").write_bytes(b"\xff\x00")
    (folder / "empty.json").write_text("{}")
    (folder / "list.json").write_text("[1, 2]")
    (folder / "run.json").write_text('{"status": "success", "quantaReports": []}')
    (folder / "folder").mkdir()


def nothing(root: Path, folder: Path) -> None:
    """Leave all as it is."""


@dataclass(frozen=True)
class Bad:
    """A way to go wrong."""

    words: str
    says: str
    code: int = 1
    prepare: Callable[[Path, Path], None] = nothing


REPORT = "report {root} {root}/graph.qg"
BAD = {
    "nothing": Bad("report", "repo", code=2),
    "no graph": Bad("report {root}", "nothing to report on|quantum graphs", code=2),
    "no graph for v2": Bad("report {root} --force-v2", "nothing to report on", code=2),
    "no repository": Bad("report {tmp}/nowhere {root}/graph.qg", "no repository at {tmp}/nowhere|check"),
    "a graph that is not there": Bad("report {root} {tmp}/none.qg", "no graph at {tmp}/none.qg"),
    "a graph that is a repository": Bad("report {root} {root}", "not a quantum graph"),
    "half a graph": Bad("report {root} {tmp}/half.qg", "{tmp}/half.qg|truncated", prepare=half_a_graph),
    "an empty graph": Bad(
        "report {root} {tmp}/other/graph.qg", "{tmp}/other/graph.qg has no quanta", prepare=an_empty_graph
    ),
    "a graph that was not executed": Bad(
        "report {root} {tmp}/new.qg",
        "'u/out/new'|execute|transfer-from-graph",
        prepare=a_graph_that_was_not_executed,
    ),
    "a graph that was not executed, among others": Bad(
        f"{REPORT} {{tmp}}/new.qg", "'u/out/new'|execute", prepare=a_graph_that_was_not_executed
    ),
    "runs of other graphs": Bad(f"{REPORT} --collections u/out", "'u/out/2'|name all graphs"),
    "an unknown collection": Bad(f"{REPORT} --collections nowhere", "'nowhere'|--collections"),
    "a pattern of collections": Bad(f"{REPORT} --collections u/*", "wildcards|--collections"),
    "half a query": Bad(f"{REPORT} --where exposure=", "exposure=|--where"),
    "a query with too much in it": Bad(f"{REPORT} --where 1;DROP\nTABLE\ndataset", "--where"),
    "an unknown dimension": Bad(f"{REPORT} --where größe=7", "größe|--where"),
    "cursed without collections": Bad(f"{REPORT} --curse-failed-logs", "--collections", code=2),
    "caveats without v2": Bad(f"{REPORT} --read-caveats exhaustive", "--force-v2", code=2),
    "strange caveats": Bad(f"{REPORT} --read-caveats all", "--read-caveats|lazy", code=2),
    "no threads": Bad(f"{REPORT} -j 0", "-j|0", code=2),
    "a misspelt option": Bad(f"{REPORT} --force-v3", "--force-v2", code=2),
    "a file in no folder": Bad(f"{REPORT} --full-output-filename {{tmp}}/no/file", "{tmp}/no", code=2),
    "a folder for a file": Bad(
        f"{REPORT} --full-output-filename {{tmp}}/folder", "{tmp}/folder|folder", 2, other_files
    ),
    "a very long name": Bad(f"report {{root}} {'x' * 9999}.qg", "xxx"),
    "no reports": Bad("aggregate-reports", "nothing to add up", code=2),
    "a report that is not there": Bad("aggregate-reports {tmp}/none.json", "{tmp}/none.json|no such file"),
    "a folder for a report": Bad("aggregate-reports {tmp}/folder", "directory", prepare=other_files),
    **{
        f"no report: {name}": Bad(
            f"aggregate-reports {{tmp}}/{name}", f"{name} is not a report|--force-v2", prepare=other_files
        )
        for name in ("text", "bytes", "empty.json", "list.json", "run.json")
    },
}


@pytest.fixture(scope="module")
def spare(repositories: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a copy of a repository in which graphs may be built."""
    return Path(shutil.copytree(repositories("retried"), tmp_path_factory.mktemp("spare") / "repo"))


@pytest.mark.slow
@pytest.mark.parametrize("name", BAD)
def test_one_line_says_it_and_nothing_is_written(name: str, spare: Path, tmp_path: Path) -> None:
    case = BAD[name]
    case.prepare(spare, tmp_path)
    places = {"root": spare, "tmp": tmp_path}
    before = read_registry(spare), read_files(spare), read_files(tmp_path)
    finished = run_forked(*(word.format_map(places) for word in case.words.split(" ")))
    assert finished.code == case.code, finished.err
    assert finished.out == ""
    line = finished.line
    for part in case.says.format_map(places).split("|"):
        assert part.lower() in line.lower()
    assert (read_registry(spare), read_files(spare), read_files(tmp_path)) == before
