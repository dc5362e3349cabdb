"""What a run leaves is the same whether the registry is in PostgreSQL or in SQLite."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import psutil
import pytest
import yaml
from lsst.daf.butler import Butler

from convergence import ENDED, run_in_fork
from forked import run_forked
from graph_dump import comparable_graph, known_datasets
from peer import without_varying_sizes
from pipetask.execution.graph_executor import QuantumGraphExecutor
from pipetask.executors.in_process import InProcessExecutor
from pipetask.graph.file import GraphFile
from pipetask.options.collections import OutputOptions
from pipetask.options.execution import PreUpdateOptions, RunOptions
from pipetask.repository import lease as lease_module
from pipetask.repository.lease import lease_run, watched
from pipetask.testing import MockPipeline
from pipetask.testing.plain_runs import wait_until
from postgresql import Server, postgresql_server
from repository_dump import Registry, read_files, read_registry
from toy_pipelines import EXPOSURES

from conftest import run_pipetask  # isort: skip
from test_lease import RUN, another_has_it, check_that_others_notice, check_that_the_dead_do_not_keep_it  # isort: skip

pytestmark = pytest.mark.slow

GOOD = MockPipeline(exposures=3)
BAD = MockPipeline(exposures=3, configs={"characterize": {"fail_condition": "exposure=1 AND detector=0"}})
NAMESPACE = "twin"


@dataclass(frozen=True)
class Twins:
    """Two repositories with the same content, and the graphs that are executed in both."""

    folder: Path
    server: Server

    @property
    def sqlite(self) -> Path:
        return self.folder / "sqlite"

    @property
    def postgresql(self) -> Path:
        return self.folder / "postgresql"

    def registries(self) -> tuple[Registry, Registry]:
        """Return what both hold; an empty timespan is one value here and two there."""
        here = without_varying_sizes(self.server.read_registry(NAMESPACE), self.postgresql)
        there = without_varying_sizes(read_registry(self.sqlite), self.sqlite)
        return without_nothing(here), without_nothing(there)


def without_nothing(content: Registry) -> Registry:
    return {
        title: [{column: value for column, value in row.items() if value is not None} for row in rows]
        for title, rows in content.items()
    }


@pytest.fixture(scope="module")
def postgresql() -> Iterator[Server]:
    with postgresql_server() as server:
        yield server
    assert not psutil.pid_exists(server.pid)


@pytest.fixture(scope="module")
def twins(postgresql: Server, tmp_path_factory: pytest.TempPathFactory) -> Twins:
    twins = Twins(tmp_path_factory.mktemp("twins"), postgresql)
    Butler.makeRepo(str(twins.sqlite))
    with Butler.from_config(str(twins.sqlite), writeable=True) as butler:
        GOOD._insert_dimensions(butler)
        for name in ("good", "better", "best", "full", "gone", "bad", "killed"):
            output = "u/good" if name in ("better", "best") else f"u/{name}"
            pipeline = BAD if name == "bad" else GOOD
            pipeline.build_graph(butler, twins.folder / f"{name}.qg", output, f"{output}/{name}")
    postgresql.make_repository(twins.postgresql, NAMESPACE)
    copy_content(twins.sqlite, twins.postgresql, twins.folder / "exported")
    return twins


def copy_content(source: Path, target: Path, folder: Path) -> None:
    folder.mkdir()
    listing = str(folder / "content.yaml")
    with (
        Butler.from_config(str(source)) as butler,
        butler.export(directory=str(folder), filename=listing, transfer="copy") as export,
    ):
        export.saveDatasets(butler.query_all_datasets("*", find_first=False, limit=None))
        for name in butler.collections.query("*"):
            export.saveCollection(name)
        for element in ("instrument", "physical_filter", "detector", "day_obs", "group", "exposure"):
            export.saveDimensionData(element, butler.query_dimension_records(element))
    with Butler.from_config(str(target), writeable=True) as butler:
        butler.import_(directory=str(folder), filename=listing, transfer="copy")


@dataclass(frozen=True)
class Step:
    """One command, for both."""

    words: Sequence[str]
    """The arguments, with the words REPO and GRAPHS for two folders."""

    code: int = 0

    def arguments(self, twins: Twins, root: Path) -> list[str]:
        return [word.replace("REPO", str(root)).replace("GRAPHS", str(twins.folder)) for word in self.words]


def run(graph: str, output: str, *more: str, code: int = 0) -> Step:
    base = ["run", "-b", "REPO", "-g", f"GRAPHS/{graph}.qg", "-o", output, "-i", "input_chain"]
    return Step([*base, "--register-dataset-types", *more], code)


FULL = ["--output-butler", "full"]
ALL = 3 * (6 + 6 + 3) + 4  # outputs, metadata and logs; configs and versions


@dataclass(frozen=True)
class Story:
    """Commands, one after the other."""

    steps: Sequence[Step]
    counts: dict[str, int]
    """Number of datasets in some runs at the end."""


STORIES = {
    "failures": Story(
        [
            run("bad", "u/bad", "-j", "4", code=1),
            run("bad", "u/bad", "--extend-run", code=1),
            run("bad", "u/bad", "-j", "4", "--extend-run", "--clobber-outputs", code=1),
        ],
        {"u/bad/bad": ALL - 2 - 3},  # one has failed but left its log, one was blocked
    ),
    "each put registers": Story(
        [
            run("full", "u/full", *FULL, "-j", "4"),
            run("full", "u/full", *FULL, "--extend-run", "--clobber-outputs"),
        ],
        {"u/full/full": ALL},
    ),
    "runs are replaced": Story(
        [
            run("good", "u/good", "--init-only"),
            run("good", "u/good", "--registry-pre-update", "skip", "-j", "4"),
            run("better", "u/good", "--replace-run", "--prune-replaced", "purge"),
            run("best", "u/good", "--replace-run"),
            Step(["cleanup", "-b", "REPO", "u/good", "--no-confirm"]),
        ],
        {"u/good/good": 0, "u/good/better": 0, "u/good/best": ALL},
    ),
    "a chain is removed": Story(
        [run("gone", "u/gone"), Step(["purge", "-b", "REPO", "u/gone", "--no-confirm"])],
        {"u/gone/gone": 0, "input_run": 6},
    ),
}


@pytest.mark.parametrize("name", STORIES)
def test_registries_end_up_alike(name: str, twins: Twins) -> None:
    story = STORIES[name]
    for step in story.steps:
        run_here = run_pipetask if "-j" in step.words else run_forked
        here = run_here(*step.arguments(twins, twins.postgresql))
        assert here.code == step.code, here.err
        there = run_forked(*one_process(step.arguments(twins, twins.sqlite)))
        assert there.code == step.code, there.err
        compare(twins)
    rows = twins.registries()[0]["dataset"]
    assert {run: sum(row["run_id"] == run for row in rows) for run in story.counts} == story.counts


def one_process(words: list[str]) -> list[str]:
    return ["1" if before == "-j" else word for before, word in zip(["", *words], words, strict=False)]


def test_a_graph_can_be_built(twins: Twins) -> None:
    (twins.folder / "pipeline.yaml").write_text(yaml.safe_dump({"description": "", "tasks": EXPOSURES}))
    outputs = ["-i", "input_chain", "-o", "u/built", "--output-run", "u/built/built"]
    for root in (twins.postgresql, twins.sqlite):
        words = ["qgraph", "-b", str(root), "-p", str(twins.folder / "pipeline.yaml"), *outputs]
        finished = run_forked(
            *words, "-d", "exposure IN (0, 2)", "-q", f"{root}.qg", "--qgraph-datastore-records"
        )
        assert finished.code == 0, finished.err
    known = known_datasets(twins.sqlite)
    here, there = (comparable_graph(Path(f"{root}.qg"), known) for root in (twins.postgresql, twins.sqlite))
    assert here["counts"][0] == 10
    del here["metadata"], there["metadata"]  # says which repository
    assert here == there


def compare(twins: Twins) -> None:
    here, there = twins.registries()
    assert here == there
    assert files(twins.postgresql) == files(twins.sqlite)


def files(root: Path) -> set[str]:
    return set(read_files(root))


def test_comparison_notices(twins: Twins) -> None:
    compare(twins)
    with Butler.from_config(str(twins.postgresql), writeable=True) as butler:
        butler.collections.register("only/here")
    with pytest.raises(AssertionError):
        compare(twins)
    with Butler.from_config(str(twins.postgresql), writeable=True) as butler:
        butler.collections.x_remove("only/here")
    compare(twins)


def test_a_server_that_is_gone_is_named(twins: Twins, tmp_path: Path) -> None:
    root = tmp_path / "repo"
    root.mkdir()
    port = str(twins.server.port)
    content = (twins.postgresql / "butler.yaml").read_text()
    assert port in content
    (root / "butler.yaml").write_text(content.replace(port, "1"))
    finished = run_forked(*run("good", "u/good").arguments(twins, root))
    assert finished.code == 1
    assert "Traceback" not in finished.err
    # Other lines may be what this process, which the command is forked from, has to say.
    (line,) = (line for line in finished.err.splitlines() if line.startswith("pipetask: "))
    assert str(root) in line
    assert "refused" in line


def make_ready(root: Path, graph: Path) -> None:
    collections = OutputOptions(output="u/killed", inputs=("input_chain",))
    update = PreUpdateOptions(register_dataset_types=True, init_only=True)
    options = RunOptions(collections=collections, pre_update=update)
    QuantumGraphExecutor(InProcessExecutor(), str(root), options).execute(str(graph))


def test_what_was_killed_at_a_commit_is_gone_on_with(twins: Twins) -> None:
    """Kill a command again and again, each time a commit later."""
    graph = twins.folder / "killed.qg"
    for root in (twins.sqlite, twins.postgresql):
        with Butler.from_config(str(root), writeable=True) as butler, GraphFile.of(str(graph)) as file:
            file.pipeline.register_dataset_types(butler)  # there are many
    assert run_in_fork(partial(make_ready, twins.sqlite, graph), twins.sqlite) == 0
    again = partial(run_in_fork, partial(make_ready, twins.postgresql, graph), twins.postgresql, files=False)
    codes = [again(step) for step in range(6)]
    assert codes[:2] == [ENDED, ENDED], "there are steps to be killed at"
    assert set(codes[2:]) <= {ENDED, 0}
    assert again(1000) == 0
    compare(twins)


def test_the_dead_do_not_keep_a_lease(twins: Twins) -> None:
    check_that_the_dead_do_not_keep_it(twins.postgresql)


def test_others_notice_a_lease(twins: Twins) -> None:
    check_that_others_notice(twins.postgresql)


def test_a_lease_that_is_lost_to_another_is_told_of(
    twins: Twins, postgresql: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease_module, "_HEARTBEAT", 0.2)
    lost: list[str] = []
    taken = threading.Event()
    end_all = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'pipetask: %'"
    )
    with Butler.from_config(str(twins.postgresql), writeable=True) as butler, lease_run(butler, RUN) as lease:
        lock = lease._lock  # type: ignore[attr-defined]

        def lock_late() -> object:
            taken.wait(60)
            return lock()

        monkeypatch.setattr(lease, "_lock", lock_late)
        with watched(lease, lost.append):
            postgresql.execute(end_all)
            with another_has_it(twins.postgresql):
                taken.set()
                wait_until(lambda: bool(lost), "the loss is told of")
    assert lost == [f"the lease of output run {RUN!r} was lost, and another command has it now"]
