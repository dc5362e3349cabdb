"""Execution without a registry, alone and beside LSST's command."""

from __future__ import annotations

import json
import os
import pstats
import shlex
import shutil
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from lsst.daf.butler import Butler
from lsst.pipe.base import QuantumGraph
from lsst.pipe.base.quantum_graph import PredictedQuantumGraph, PredictedQuantumGraphReader
from lsst.pipe.base.quantum_graph.aggregator import AggregatorConfig, aggregate_graph
from lsst.pipe.base.script import transfer_from_graph

from fault_tasks import BombTask
from forked import run_forked
from odd_tasks import BrokenTask, UnbuildableTask
from peer import peer_session
from pipetask.graph.file import GraphFile
from pipetask.graph.thin import ThinGraph
from pipetask.testing import MockPipeline
from pipetask.testing.plain_runs import wait_until
from repository_dump import read_files, read_registry

from conftest import Finished, Repository, start_pipetask  # isort: skip
from test_equivalence import GRAPHS, Graph, assert_run_holds, assert_same_contents  # isort: skip

Command = Callable[..., Finished]
MakeRepository = Callable[..., Repository]

WHERE = "exposure=0 AND detector=1"


def ids(graph: Path, *labels: str) -> list[str]:
    """Return the UUIDs of all quanta with these labels, in the order of data IDs."""
    with GraphFile.of(graph) as file:
        structure = file.structure
        return [str(structure.quantum_id(p)) for label in labels for p in structure.positions(label)]


def process(command: Command, root: Path, graph: str = "graph.qg", *more: str) -> Finished:
    """Do both steps."""
    initialized = command("pre-exec-init-qbb", str(root), str(root / graph))
    assert initialized.code == 0, initialized.err
    return command("run-qbb", str(root), str(root / graph), *more)


def run_qbb(repository: Repository, *more: str) -> Finished:
    return run_forked("run-qbb", str(repository.root), str(repository.graph), *more)


def outputs(root: Path) -> set[str]:
    """Return the files in the output run."""
    return {path for path, size in read_files(root).items() if path.startswith("u/") and size is not None}


# Beside LSST's command.


@pytest.fixture(scope="module")
def peer() -> Iterator[Command]:
    with peer_session() as run:
        yield run


@dataclass(frozen=True)
class Theirs:
    """What LSST's command made of a graph."""

    fresh: Path
    """The repository before."""

    done: Path
    code: int


@pytest.fixture(scope="module")
def theirs(peer: Command, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Theirs]:
    made: dict[str, Theirs] = {}

    def make(name: str) -> Theirs:
        if name not in made:
            graph, folder = GRAPHS[name], tmp_path_factory.mktemp("theirs")
            graph.make(folder / "fresh")
            done = Path(shutil.copytree(folder / "fresh", folder / "done"))
            finished = process(peer, done, graph.name, *graph.more)
            made[name] = Theirs(folder / "fresh", done, finished.code)
        return made[name]

    return make


def transfer(root: Path, graph: str = "graph.qg") -> None:
    """Do what ``butler transfer-from-graph`` does."""
    count = transfer_from_graph(
        str(root / graph),
        str(root),
        register_dataset_types=True,
        transfer_dimensions=False,
        update_output_chain=True,
        dry_run=False,
        dataset_type=(),
    )
    assert count


def aggregate(root: Path, graph: str = "graph.qg") -> None:
    """Do what ``butler aggregate-graph`` does."""
    aggregate_graph(str(root / graph), str(root), AggregatorConfig(mock_storage_classes=True))


def assert_registers_the_same(
    register: Callable[[Path, str], None], ours: Path, theirs: Path, graph: Graph, folder: Path
) -> None:
    """Let a command of the butler's register what both have left, and compare everything."""
    copies = [
        Path(shutil.copytree(root, folder / name)) for root, name in ((ours, "ours"), (theirs, "theirs"))
    ]
    for root in copies:
        register(root, graph.name)
    assert read_registry(copies[0]) == read_registry(copies[1])
    assert_run_holds(copies[0], graph.counts)
    assert_same_contents(*copies)


ALIKE = ("failures", "partial outputs", "partial outputs that count as failures")
"""Graphs that differ from others in ways that do not matter here."""


@pytest.mark.parametrize("name", [name for name in GRAPHS if name not in ALIKE])
def test_files_and_what_is_registered_later_are_as_the_peer_leaves_them(
    name: str, theirs: Callable[[str], Theirs], tmp_path: Path
) -> None:
    graph, expected = GRAPHS[name], theirs(name)
    ours = Path(shutil.copytree(expected.fresh, tmp_path / "repo"))
    before = read_registry(ours)
    finished = process(run_forked, ours, graph.name, *graph.more)
    assert finished.code == expected.code == graph.code, finished.err
    assert outputs(ours) == outputs(expected.done) != set()
    assert read_registry(ours) == before
    assert_registers_the_same(transfer, ours, expected.done, graph, tmp_path)


def test_aggregate_graph_takes_what_two_workers_have_left(
    theirs: Callable[[str], Theirs], tmp_path: Path
) -> None:
    name = "failures after writing"
    graph, expected = GRAPHS[name], theirs(name)
    ours = Path(shutil.copytree(expected.fresh, tmp_path / "repo"))
    finished = process(run_forked, ours, graph.name, "-j", "2")
    assert finished.code == expected.code, finished.err
    assert_registers_the_same(aggregate, ours, expected.done, graph, tmp_path)


@dataclass(frozen=True)
class Pair:
    """The same repository twice, with the command that works on each."""

    sides: tuple[tuple[Command, Path], ...]

    def roots(self) -> tuple[Path, ...]:
        return tuple(root for _, root in self.sides)

    def both(self, *more: str) -> list[Finished]:
        """Let each command execute the graph."""
        return [run("run-qbb", str(root), str(root / "graph.qg"), *more) for run, root in self.sides]

    def assert_same_files(self) -> None:
        ours, theirs = (outputs(root) for root in self.roots())
        assert ours == theirs != set()


@pytest.fixture
def make_pair(make_repository: MakeRepository, peer: Command, tmp_path: Path) -> Callable[..., Pair]:
    """Return a function that makes a repository twice, with init-outputs."""

    def make(pipeline: MockPipeline | None = None) -> Pair:
        ours = make_repository(pipeline).root
        assert run_forked("pre-exec-init-qbb", str(ours), str(ours / "graph.qg")).code == 0
        theirs = Path(shutil.copytree(ours, tmp_path / "theirs"))
        return Pair(((run_forked, ours), (peer, theirs)))

    return make


def test_a_run_is_completed_as_the_peer_completes_it(make_pair: Callable[..., Pair], tmp_path: Path) -> None:
    """Quanta fail when they have written; then they are repaired, and leftovers replaced."""
    repair = tmp_path / "repaired"
    broken = {"broken_where": WHERE, "repair": str(repair)}
    pair = make_pair(
        MockPipeline(task_classes={"characterize": BrokenTask}, configs={"characterize": broken})
    )
    first = pair.both()
    assert [finished.code for finished in first] == [1, 1], first[0].err
    assert "8 succeeded, 1 failed, 1 blocked" in first[0].err
    pair.assert_same_files()
    repair.touch()
    second = pair.both()
    assert [finished.code for finished in second] == [0, 0], second[0].err
    assert "2 succeeded, 8 skipped" in second[0].err
    pair.assert_same_files()
    for root in pair.roots():
        transfer(root)
    assert_same_contents(*pair.roots())
    with Butler.from_config(str(pair.roots()[0]), collections="u/out/run") as butler:
        log = butler.get("characterize_log", instrument="Mock", exposure=0, detector=1)
    (earlier,) = log.extra["previous_attempts"]
    assert any("what was written is wrong" in record["message"] for record in earlier["logs"])


def test_a_subset_and_its_summary_are_as_the_peer_has_them(
    make_pair: Callable[..., Pair], tmp_path: Path
) -> None:
    """One detector's quanta, one of which fails, without those that gather them."""
    configs = {"characterize": {"fail_condition": WHERE}}
    pair = make_pair(MockPipeline(configs=configs))
    graph = pair.roots()[0] / "graph.qg"
    chosen = [*ids(graph, "isr")[2:], *ids(graph, "characterize")[2:]]
    files = [tmp_path / "ours.json", tmp_path / "theirs.json"]
    for (run, root), file in zip(pair.sides, files, strict=True):
        arguments = ("--qgraph-node-id", ",".join(chosen[:3]), "--qgraph-node-id", chosen[3])
        done = run("run-qbb", str(root), str(root / "graph.qg"), *arguments, "--summary", str(file))
        assert done.code == 1, done.err
    pair.assert_same_files()
    ours, theirs = (json.loads(file.read_text()) for file in files)
    assert sorted(report["quantumId"] for report in ours["quantaReports"]) == sorted(chosen)
    assert comparable(ours) == comparable(theirs)


def comparable(summary: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of LSST's summary that do not depend on who writes it; it leaves out IDs of failures."""
    reports = [
        (report["taskLabel"], report["dataId"], report["status"], "exceptionInfo" in report)
        for report in summary["quantaReports"]
    ]
    chosen = {name: summary[name] for name in ("qgraphSummary", "status")}
    return chosen | {"quantaReports": sorted(reports, key=repr)}


@pytest.mark.parametrize(
    ("bomb", "more", "code"),
    [("invalid", (), 21), ("repeatable", (), 1), ("repeatable", ("--fail-fast",), 20)],
)
def test_exit_codes_are_the_peers(
    make_pair: Callable[..., Pair], tmp_path: Path, bomb: str, more: tuple[str, ...], code: int
) -> None:
    pair = make_pair(bombed(bomb, tmp_path))
    ours, theirs = pair.both(*more)
    assert ours.code == theirs.code == code, ours.err


def bombed(bomb: str, folder: Path, **more: object) -> MockPipeline:
    config = {"bomb": bomb, "bomb_where": WHERE, "bomb_folder": str(folder), **more}
    return MockPipeline(task_classes={"characterize": BombTask}, configs={"characterize": config})


# Without a registry.


@pytest.fixture
def initialized(make_repository: MakeRepository) -> Callable[..., Repository]:
    """Return a function that makes a repository with init-outputs in it."""

    def make(pipeline: MockPipeline | None = None) -> Repository:
        repository = make_repository(pipeline)
        done = run_forked("pre-exec-init-qbb", str(repository.root), str(repository.graph))
        assert (done.code, done.err) == (0, "")
        return repository

    return make


UNREACHABLE = """
datastore:
  cls: lsst.daf.butler.datastores.fileDatastore.FileDatastore
  root: <butlerRoot>
registry:
  db: postgresql://nobody@127.0.0.1:1/nothing
"""


@pytest.mark.slow
@pytest.mark.parametrize("more", [(), ("-j", "2"), ("--mode", "dry-run")])
def test_the_database_need_not_be_there(more: tuple[str, ...], make_repository: MakeRepository) -> None:
    repository = make_repository(MockPipeline(datastore_records=False))
    (repository.root / "gen3.sqlite3").unlink()
    (repository.root / "butler.yaml").write_text(UNREACHABLE)
    with pytest.raises(Exception, match=r"psycopg|Connection refused|postgresql"):
        Butler.from_config(str(repository.root))
    done = process(run_forked, repository.root, "graph.qg", *more)
    assert done.code == 0, done.err
    planned = "dry-run" in more
    assert ("10 planned" if planned else "10 succeeded") in done.err
    assert any("exposure_summary" in path for path in outputs(repository.root)) is not planned


def test_configuration_is_searched_where_the_user_says(
    make_pair: Callable[..., Pair], tmp_path: Path
) -> None:
    """LSST's run-qbb discards the option; its pre-exec-init-qbb does not."""
    pair, search = make_pair(), tmp_path / "search"
    (search / "datastores").mkdir(parents=True)
    template = "moved/{run:/}/{datasetType}.{component:?}/{instrument:?}_{exposure:?}_{detector:?}"
    templates = {"default": template, "physical_filter+detector+exposure": template}
    (search / "datastores" / "fileDatastore.yaml").write_text(
        json.dumps({"datastore": {"templates": templates}})
    )
    for run, root in pair.sides:
        shutil.rmtree(root / "u")
        done = run(
            "pre-exec-init-qbb", str(root), str(root / "graph.qg"), "--config-search-path", str(search)
        )
        assert done.code == 0, done.err
    ours, theirs = ({path for path in read_files(root) if "moved/" in path} for root in pair.roots())
    assert ours == theirs
    assert "moved/u/out/run/isr_config.py" in ours

    finished = pair.both("--config-search-path", f"{search},{tmp_path / 'none'}")
    assert finished[0].code == 0, finished[0].err
    assert f"there is no folder {tmp_path / 'none'}" in finished[0].err
    ours, theirs = (set(read_files(root)) for root in pair.roots())
    assert any(path.startswith("moved/u/out/run/exposure_summary/") for path in ours)
    assert not any(path.startswith("moved/u/out/run/exposure_summary/") for path in theirs)


@pytest.mark.slow
@pytest.mark.parametrize("mode", [(), ("-j", "2"), ("--mode", "example_executor:ReverseLabelExecutor")])
def test_what_is_done_is_skipped(initialized: Callable[..., Repository], mode: tuple[str, ...]) -> None:
    repository = initialized()
    first = run_qbb(repository, *mode)
    assert first.code == 0, first.err
    assert "succeeded: 10 succeeded" in first.err
    before = {path: (repository.root / path).stat().st_mtime_ns for path in outputs(repository.root)}
    again = run_qbb(repository, *mode)
    assert "succeeded: 10 skipped" in again.err
    plan = run_qbb(repository, "--mode", "dry-run")
    assert plan.out.count("skip ") == 10
    assert {path: (repository.root / path).stat().st_mtime_ns for path in outputs(repository.root)} == before


@pytest.mark.slow
def test_existence_is_not_checked_if_the_user_says_so(initialized: Callable[..., Repository]) -> None:
    repository = initialized(MockPipeline(1, 1))
    for _ in range(2):
        done = run_qbb(repository, "--no-existing-outputs")
        assert done.code == 0, done.err
        assert "3 succeeded" in done.err
    assert "3 planned" in run_qbb(repository, "--no-existing-outputs", "--mode", "dry-run").err


@pytest.mark.slow
def test_debris_and_unfinished_successes_are_replaced(initialized: Callable[..., Repository]) -> None:
    """A quantum killed while it wrote an output, and one killed between its metadata and its log."""
    repository = initialized(MockPipeline(1, 1))
    assert run_qbb(repository).code == 0
    whole = outputs(repository.root)
    for part in ("isr_log", "characterize_metadata", "characterize_log"):
        (path,) = (repository.root / "u/out/run" / part).rglob("*.json")
        path.unlink()
    (debris,) = (repository.root / "u/out/run/calibrated").rglob("*.json")
    debris.write_text("{")
    done = run_qbb(repository)
    assert done.code == 0, done.err
    assert "3 succeeded" in done.err
    assert outputs(repository.root) == whole
    assert json.loads(debris.read_text())


@pytest.mark.slow
def test_only_the_quanta_that_are_asked_for_are_read(
    initialized: Callable[..., Repository], monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = initialized()
    chosen = [*ids(repository.graph, "isr")[:1], *ids(repository.graph, "characterize")[:1]]
    read_datasets = PredictedQuantumGraphReader.read_quantum_datasets

    def refuse(reader: Any) -> None:
        raise AssertionError("the whole graph is read")

    def read_chosen(reader: Any, quantum_ids: Any) -> None:
        wanted = list(quantum_ids)
        assert {str(id) for id in wanted} <= set(chosen), "others are read"
        read_datasets(reader, wanted)

    monkeypatch.setattr(ThinGraph, "read", refuse)
    monkeypatch.setattr(PredictedQuantumGraphReader, "read_quantum_datasets", read_chosen)
    done = run_qbb(repository, "--qgraph-node-id", ",".join(chosen))
    assert done.code == 0, done.err
    assert "2 succeeded" in done.err
    with pytest.raises(AssertionError, match="the whole graph is read"):
        GraphFile(str(repository.graph))


@pytest.mark.slow
def test_a_legacy_graph_has_an_identifier_to_check(tmp_path: Path) -> None:
    GRAPHS["legacy"].make(tmp_path / "repo")
    repository = Repository(tmp_path / "repo", tmp_path / "repo" / "graph.qgraph")
    right = QuantumGraph.loadUri(str(repository.graph)).graphID
    before = read_files(repository.root)
    for command in ("pre-exec-init-qbb", "run-qbb"):
        wrong = run_forked(command, str(repository.root), str(repository.graph), "--qgraph-id", "1234")
        assert_one_line(wrong, 1, str(repository.graph), f"identifier {right}", "not 1234")
        assert read_files(repository.root) == before
    chosen = ids(repository.graph, "isr")[0]
    done = run_qbb(repository, "--qgraph-id", right, "--qgraph-node-id", chosen)
    assert done.code == 0, done.err
    assert "1 succeeded" in done.err


def assert_one_line(finished: Finished, code: int, *says: str) -> None:
    """Check a message; a legacy graph is warned of before it."""
    assert finished.code == code, finished.err
    assert finished.out == ""
    (line,) = [line for line in finished.err.splitlines() if "legacy format" not in line]
    for part in says:
        assert part in line


@pytest.mark.slow
@pytest.mark.parametrize("mode", [(), ("-j", "2")], ids=["-j 1", "-j 2"])
def test_a_failure_is_reported_with_the_command_that_runs_it_alone(
    mode: tuple[str, ...], initialized: Callable[..., Repository], tmp_path: Path
) -> None:
    repository = initialized(bombed("fail", tmp_path))
    done = run_qbb(repository, *mode)
    assert done.code == 1
    assert "8 succeeded, 1 failed, 1 blocked" in done.err
    log = Path(next(line.split("log: ")[1] for line in done.err.splitlines() if "log: " in line))
    assert "the bomb goes off" in log.read_text()
    alone = next(line.split("run it alone: ")[1] for line in done.err.splitlines() if "run it alone" in line)
    words = shlex.split(alone)
    assert words[:4] == ["pipetask", "run-qbb", str(repository.root), str(repository.graph)]
    again = run_forked(*words[1:], stdin="where\nquit\n")
    assert again.code == 1
    assert "ValueError: bomb" in again.err
    assert "1 failed in" in again.err
    assert "(Pdb)" in again.out
    assert 'raise ValueError("bomb") from cause' in again.out


@pytest.mark.slow
def test_a_timeout_at_j_1(initialized: Callable[..., Repository], tmp_path: Path) -> None:
    repository = initialized(bombed("hang", tmp_path))
    done = run_qbb(repository, "--timeout", "8")
    assert done.code == 1
    assert "8 succeeded, 1 timed-out, 1 blocked" in done.err


@pytest.mark.slow
def test_what_a_signal_has_stopped_can_be_completed(
    initialized: Callable[..., Repository], tmp_path: Path
) -> None:
    repository = initialized(bombed("hang", tmp_path, bomb_once=True))
    process = start_pipetask("run-qbb", str(repository.root), str(repository.graph), "-j", "2")
    wait_until((tmp_path / "armed").exists, "a quantum hangs")
    os.kill(process.pid, signal.SIGTERM)
    _, err = process.communicate()
    assert process.returncode == 143, err
    assert "interrupted by SIGTERM" in err
    (tmp_path / "defused").touch()
    done = run_qbb(repository)
    assert done.code == 0, done.err
    assert len([path for path in outputs(repository.root) if "_metadata/" in path]) == 10


@pytest.mark.slow
def test_workers_share_a_cache_that_goes_away(
    initialized: Callable[..., Repository], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DAF_BUTLER_CACHE_DIRECTORY_IF_UNSET", raising=False)
    repository = initialized(bombed("note_cache", tmp_path, bomb_where="detector < 2"))
    done = run_qbb(repository, "-j", "2")
    assert done.code == 0, done.err
    folders = {path.read_text() for path in tmp_path.glob("*.cache")}
    assert len(folders) == 1
    assert not Path(folders.pop()).exists()


@pytest.mark.slow
def test_recording_what_runs(
    initialized: Callable[..., Repository], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    repository = initialized(MockPipeline(1, 1))
    coverage = ("--coverage", "--cov-packages", "lsst.pipe.base.tests.mocks", "--no-cov-report")
    done = run_qbb(repository, "--profile", "profile", *coverage)
    assert done.code == 0, done.err
    assert any(name == "runQuantum" for _, _, name in pstats.Stats("profile").stats)  # type: ignore[attr-defined]
    assert len(list(tmp_path.glob(".coverage.*"))) == 1
    initialize = ("pre-exec-init-qbb", str(repository.root), str(repository.graph))
    assert run_forked(*initialize, *coverage).code == 0
    assert len(list(tmp_path.glob(".coverage.*"))) == 2


@pytest.mark.slow
def test_python_interface(make_repository: MakeRepository) -> None:
    from pipetask.execution.quantum_backed_executor import QuantumBackedGraphExecutor
    from pipetask.executors.in_process import InProcessExecutor
    from pipetask.options.execution import ExecutionOptions, QuantumBackedOptions
    from pipetask.options.graph import GraphSelection
    from pipetask.outcome import Status
    from pipetask.repository.init_outputs import init_output_run

    repository = make_repository()
    root, graph = str(repository.root), PredictedQuantumGraph.read_execution_quanta(str(repository.graph))
    init_output_run(root, graph)
    selection = GraphSelection(quantum_ids=frozenset(list(graph)[:3]))
    options = QuantumBackedOptions(execution=ExecutionOptions(selection=selection))
    for chosen, counts in (
        (options, {Status.SUCCEEDED: 3}),
        (None, {Status.SUCCEEDED: 7, Status.SKIPPED: 3}),
    ):
        summary = QuantumBackedGraphExecutor(InProcessExecutor(), root, chosen).execute(graph)
        assert summary.exit_code == 0
        assert summary.total == counts
    transfer(repository.root)


# Init-outputs.


def test_init_outputs_that_are_there_are_kept(make_pair: Callable[..., Pair]) -> None:
    pair = make_pair()
    for run, root in pair.sides:
        shutil.rmtree(root / "u")  # each knows its own software versions
        assert run("pre-exec-init-qbb", str(root), str(root / "graph.qg")).code == 0
        before = {path: (root / path).stat().st_mtime_ns for path in outputs(root)}
        assert run("pre-exec-init-qbb", str(root), str(root / "graph.qg")).code == 0
        assert {path: (root / path).stat().st_mtime_ns for path in outputs(root)} == before != {}


def test_init_outputs_of_another_graph_are_refused(make_pair: Callable[..., Pair]) -> None:
    pair = make_pair()
    for run, root in pair.sides:
        (config,) = (root / "u/out/run/isr_config").iterdir()
        config.write_text(config.read_text() + "config.sleep = 1.0\n")
        before = read_files(root)
        refused = run("pre-exec-init-qbb", str(root), str(root / "graph.qg"))
        assert refused.code == 1
        assert read_files(root) == before
        if run is run_forked:
            assert_one_line(refused, 1, "'u/out/run' holds other init-outputs or configs", "use a new run")


def test_nothing_is_left_of_init_outputs_that_could_not_all_be_written(
    make_repository: MakeRepository,
) -> None:
    repository = make_repository(MockPipeline(1, 1, task_classes={"characterize": UnbuildableTask}))
    done = run_forked("pre-exec-init-qbb", str(repository.root), str(repository.graph))
    assert_one_line(done, 1, "Init-outputs of run 'u/out/run' cannot be written", "no such calibration")
    assert outputs(repository.root) == set()


# What cannot be executed.


@dataclass(frozen=True)
class Bad:
    """A way to go wrong."""

    says: str
    """What the line has, in parts between ``|``."""

    more: tuple[str, ...] = ()
    repo: str = "{root}"
    graph: str = "{root}/graph.qg"
    code: int = 1
    commands: tuple[str, ...] = ("run-qbb",)


BOTH = ("run-qbb", "pre-exec-init-qbb")
ODD = 'it\'s "odd", in two\nlines, ../* and größer 星'

BAD = {
    "no repository": Bad("no repository at|{tmp}/none|check the name", repo="{tmp}/none", commands=BOTH),
    "an odd repository": Bad("no repository at|größer 星", repo="{tmp}/" + ODD, commands=BOTH),
    "a very long repository": Bad("no repository at|/xxx", repo="{tmp}/" + 5000 * "x", commands=BOTH),
    "a folder": Bad("{tmp}|not a butler repository", repo="{tmp}", commands=BOTH),
    "a text file": Bad("{tmp}/text|does not open", repo="{tmp}/text", commands=BOTH),
    "a datastore in memory": Bad("{tmp}/memory.yaml|in memory", repo="{tmp}/memory.yaml", commands=BOTH),
    "no graph": Bad("no graph at|{tmp}/none.qg", graph="{tmp}/none.qg", commands=BOTH),
    "an odd graph": Bad("no graph at|größer 星.qg", graph="{tmp}/" + ODD + ".qg", commands=BOTH),
    "a truncated graph": Bad("{tmp}/half.qg|truncated", graph="{tmp}/half.qg", commands=BOTH),
    "a graph of another name": Bad("graph.zip|not a quantum graph", graph="{tmp}/graph.zip", commands=BOTH),
    "an empty graph": Bad("no quanta|nothing to run", graph="{tmp}/empty/graph.qg"),
    "an unknown quantum": Bad(
        "graph.qg|no quantum 00000000-0000-0000-0000-000000000001|--qgraph-node-id",
        ("--qgraph-node-id", "00000000-0000-0000-0000-000000000001"),
    ),
    "no UUID": Bad("--qgraph-node-id|badly formed", ("--qgraph-node-id", "*"), code=2),
    "an odd UUID": Bad("--qgraph-node-id|badly formed", ("--qgraph-node-id", ODD), code=2),
    "no arguments": Bad("Missing argument|REPO", repo="", graph="", code=2, commands=BOTH),
    "too many arguments": Bad("extra argument|more", ("more",), code=2, commands=BOTH),
    "a misspelt option": Bad("did you mean|--fail-fast", ("--fail-fsat",), code=2),
    "an option of run": Bad("No such option -o", ("-o", "u/out"), code=2, commands=BOTH),
    "no processes": Bad("--processes|0", ("-j", "0"), code=2),
    "no time": Bad("--timeout|0", ("--timeout", "0"), code=2),
    "no cores": Bad("--cores-per-quantum|0", ("-n", "0"), code=2),
    "no memory": Bad("--memory-per-quantum|much", ("--memory-per-quantum", "much"), code=2),
    "no such mode": Bad("--mode multiproces|multiprocess", ("--mode", "multiproces"), code=2),
    "no folder for the summary": Bad("no folder {tmp}/none", ("--summary", "{tmp}/none/s.json"), code=2),
    "no such fixup": Bad("--graph-fixup none.such", ("--graph-fixup", "none.such"), code=2),
}


@pytest.fixture(scope="module")
def places(
    repository_template: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, str]:
    """Return a repository that nothing may change, and a folder with what is wrong."""
    folder = tmp_path_factory.mktemp("bad")
    root = Path(shutil.copytree(repository_template(MockPipeline()), folder / "good" / "repo"))
    tmp = folder / "tmp"
    tmp.mkdir()
    graph = (root / "graph.qg").read_bytes()
    (tmp / "half.qg").write_bytes(graph[: len(graph) // 2])
    (tmp / "graph.zip").write_bytes(graph)
    (tmp / "text").write_text("Dear diary,\n")
    (tmp / "memory.yaml").write_text(
        "datastore: {cls: lsst.daf.butler.datastores.inMemoryDatastore.InMemoryDatastore}"
    )
    MockPipeline(exposures=0).make(tmp / "empty")
    return {"root": str(root), "tmp": str(tmp)}


@pytest.mark.parametrize(
    ("name", "command"), [(name, command) for name, bad in BAD.items() for command in bad.commands]
)
def test_one_line_says_it_and_nothing_is_changed(name: str, command: str, places: dict[str, str]) -> None:
    bad = BAD[name]
    before = [read_files(Path(place)) for place in places.values()]
    words = [word.format_map(places) for word in (bad.repo, bad.graph, *bad.more) if word]
    finished = run_forked(command, *words)
    assert_one_line(finished, bad.code, *bad.says.format_map(places).split("|"))
    assert [read_files(Path(place)) for place in places.values()] == before


def test_odd_names_are_names_like_any_other(make_repository: MakeRepository) -> None:
    repository = make_repository(MockPipeline(1, 1), name='it\'s "odd", in two\nlines, and größer 星')
    done = process(run_forked, repository.root)
    assert done.code == 0, done.err
    assert "3 succeeded" in done.err
