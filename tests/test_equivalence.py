"""Whatever the execution model, repository and datastore end up as LSST's command leaves them.

Compared is everything but times, hosts, process IDs, costs, and the list of software versions.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from lsst.daf.butler import Butler, DatasetRef
from lsst.daf.butler.logging import ButlerLogRecords
from lsst.pex.config import Config
from lsst.pipe.base import TaskMetadata
from lsst.pipe.base.tests.mocks import DirectButlerRepo, DynamicConnectionConfig

from forked import run_forked
from odd_tasks import BrokenTask
from peer import assert_same_repository, find_peer, run_peer
from pipetask.testing import MockPipeline
from repository_dump import read_registry

from conftest import Finished, run_pipetask  # isort: skip

# The graphs.


def sky_survey(root: Path) -> None:
    """Make a graph over visits, detectors, patches and tracts, with init-outputs, prerequisites, gather and scatter."""
    visit, warp, patch, tract = ["visit", "detector"], ["visit", "patch"], ["patch"], ["tract"]
    Butler.makeRepo(str(root))
    with Butler.from_config(str(root), writeable=True) as butler:
        repository = DirectButlerRepo(butler, "base.yaml", "spatial.yaml")
        repository.add_task(
            "detect",
            dimensions=visit,
            inputs={"image": connection("image", visit)},
            prerequisite_inputs={"gain": connection("gain", ["detector"])},
            init_outputs={"schema": connection("schema", [])},
            outputs={"sources": connection("sources", visit)},
        )
        repository.add_task(
            "warp",
            dimensions=warp,
            inputs={"sources": connection("sources", visit, multiple=True)},
            init_inputs={"schema": connection("schema", [])},
            outputs={"warped": connection("warped", warp)},
        )
        repository.add_task(
            "coadd",
            dimensions=patch,
            inputs={"warps": connection("warped", warp, multiple=True)},
            outputs={"coadd": connection("coadd", patch)},
        )
        repository.add_task(
            "measure",
            dimensions=tract,
            inputs={"coadds": connection("coadd", patch, multiple=True)},
            outputs={
                "objects": connection("objects", patch, multiple=True),
                "table": connection("table", tract),
            },
        )
        builder = repository.make_quantum_graph_builder(
            output_run="u/out/run", register_output_dataset_types=False
        )
        components = builder.finish(output="u/out", attach_datastore_records=True)
        components.header.inputs = ["input_chain"]
        components.write(str(root / "graph.qg"))


def connection(name: str, dimensions: list[str], **more: Any) -> DynamicConnectionConfig:
    return DynamicConnectionConfig(dataset_type_name=name, dimensions=dimensions, **more)


def legacy_graph(root: Path) -> None:
    """Make a graph in the format that went before."""
    pipeline = MockPipeline()
    pipeline.make(root, run="u/out/forgotten")
    with Butler.from_config(str(root), writeable=True) as butler:
        pipeline.build_graph(butler, root / "graph.qgraph")


def raising(where: str, exception: str, label: str = "characterize") -> dict[str, dict[str, str]]:
    return {label: {"fail_condition": where, "fail_exception": exception}}


PARTIAL = raising("exposure = 0 AND detector = 1", "lsst.pipe.base.AnnotatedPartialOutputsError")
NO_WORK = raising("exposure = 1 OR detector = 1", "lsst.pipe.base.NoWorkFound")
BROKEN = {"gather": {"broken_where": "exposure = 1"}}


@dataclass(frozen=True)
class Graph:
    """A repository with a graph, and what has to come out."""

    make: Callable[[Path], object]
    counts: dict[str, int]
    """Number of datasets by type that the run must hold, among others."""

    code: int = 0
    more: tuple[str, ...] = ()
    """Arguments for both commands."""

    name: str = "graph.qg"


GRAPHS = {
    "all well": Graph(MockPipeline().make, {"exposure_summary": 2, "isr_log": 4, "packages": 1}),
    "failures": Graph(
        MockPipeline(configs=raising("exposure = 0 AND detector = 1", "builtins.ValueError")).make,
        {"calibrated": 3, "characterize_log": 4, "characterize_metadata": 3, "exposure_summary": 1},
        code=1,
    ),
    "failures after writing": Graph(
        MockPipeline(task_classes={"gather": BrokenTask}, configs=BROKEN).make,
        {"exposure_summary": 2, "gather_log": 2, "gather_metadata": 1},
        code=1,
    ),
    "no work": Graph(
        MockPipeline(configs=NO_WORK).make,
        {"calibrated": 1, "characterize_metadata": 4, "gather_metadata": 2, "exposure_summary": 1},
    ),
    "partial outputs": Graph(
        MockPipeline(configs=PARTIAL).make,
        {"calibrated": 3, "characterize_metadata": 4, "exposure_summary": 2},
        more=("--no-raise-on-partial-outputs",),
    ),
    "partial outputs that count as failures": Graph(
        MockPipeline(configs=PARTIAL).make,
        {"calibrated": 3, "characterize_metadata": 3, "exposure_summary": 1},
        code=1,
    ),
    "no datastore records": Graph(MockPipeline(datastore_records=False).make, {"exposure_summary": 2}),
    "legacy": Graph(legacy_graph, {"exposure_summary": 2}, name="graph.qgraph"),
    "sky survey": Graph(
        sky_survey, {"schema": 1, "sources": 8, "warped": 10, "coadd": 9, "objects": 9, "table": 2}
    ),
}

WAYS: dict[str, tuple[Callable[..., Finished], tuple[str, ...]]] = {
    "-j 1": (run_forked, ()),
    "full butler": (run_forked, ("--output-butler", "full")),
    "-j 2": (run_pipetask, ("-j", "2")),
    "-j 2, full butler": (run_pipetask, ("-j", "2", "--output-butler", "full")),
    "-j 2, spawned": (run_pipetask, ("-j", "2", "--start-method", "spawn")),
    "engine": (run_pipetask, ("--mode", "futures", "-j", "2")),
    "pool and engines": (run_pipetask, ("-j", "2", "--route", "c*=threads", "--route", "[gw]*=processes")),
}
SLOW_WAYS = {"-j 2, full butler", "-j 2, spawned", "engine", "pool and engines"}
HARD_GRAPHS = {"failures", "sky survey"}


# The comparison.


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder that all test processes of this session have in common."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "equivalence"
    folder.mkdir(exist_ok=True)
    return folder


def made_once(folder: Path, make: Callable[[Path], None]) -> Path:
    """Make a folder unless another test process has."""
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            unfinished = folder.with_suffix(".unfinished")
            unfinished.mkdir()
            make(unfinished)
            unfinished.rename(folder)
    return folder


def run_by_peer(graph: Graph, folder: Path) -> None:
    """Make a repository, ``fresh``, and a copy in which LSST's command has run, ``done``."""
    graph.make(folder / "fresh")
    shutil.copytree(folder / "fresh", folder / "done")
    finished = run_peer(*arguments(graph, folder / "done"))
    assert finished.code == graph.code, finished.err


def arguments(graph: Graph, root: Path) -> list[str]:
    command = ["run", "-b", str(root), "-g", str(root / graph.name), "-o", "u/out", "-i", "input_chain"]
    return [*command, "--register-dataset-types", *graph.more]


@pytest.mark.peer
@pytest.mark.parametrize(
    ("name", "way"),
    [(name, way) for name in GRAPHS for way in WAYS if way not in SLOW_WAYS or name in HARD_GRAPHS],
)
def test_repository_is_as_the_peer_leaves_it(
    name: str, way: str, shared_folder: Path, tmp_path: Path
) -> None:
    find_peer()
    run, more = WAYS[way]
    assert_as_the_peer_leaves_it(name, run, more, shared_folder, tmp_path)


def assert_as_the_peer_leaves_it(
    name: str, run: Callable[..., Finished], more: tuple[str, ...], shared_folder: Path, tmp_path: Path
) -> None:
    """Run a graph in a copy of a repository, and compare with another copy in which LSST's command has run it."""
    graph = GRAPHS[name]
    theirs = made_once(shared_folder / re.sub(r"\W", "-", name), lambda folder: run_by_peer(graph, folder))
    ours = Path(shutil.copytree(theirs / "fresh", tmp_path / "repo"))
    finished = run(*arguments(graph, ours), *more)
    assert finished.code == graph.code, finished.err
    assert_run_holds(ours, graph.counts)
    assert_same_repository(ours, theirs / "done")
    assert_same_contents(ours, theirs / "done")


def assert_run_holds(root: Path, counts: dict[str, int]) -> None:
    rows = [row for row in read_registry(root)["dataset"] if row["run_id"] == "u/out/run"]
    found = {name: sum(row["dataset_type_id"] == name for row in rows) for name in counts}
    assert found == counts


def assert_same_contents(ours: Path, theirs: Path) -> None:
    with Butler.from_config(str(ours)) as our_butler, Butler.from_config(str(theirs)) as their_butler:
        refs = our_butler.query_all_datasets("u/out/run", limit=None)
        assert refs
        for ref in refs:
            assert comparable(our_butler, ref) == comparable(their_butler, ref), f"contents of {ref} differ"


def comparable(butler: Butler, ref: DatasetRef) -> Any:
    """Return what a dataset says apart from times, costs and versions."""
    match butler.get(ref):
        case ButlerLogRecords() as log:
            return [comparable_record(record) for record in log], log.extra.get("exception")
        case TaskMetadata() as metadata:
            return sorted(metadata.names()), repeatable_values(metadata)
        case Config() as config:
            return config.toDict()
        case content if ref.datasetType.name == "packages":
            return type(content)
        case content:
            return content


def comparable_record(record: Any) -> tuple[Any, ...]:
    # Times, and sets, which have another order in each process.
    message = re.sub(r"\d+\.\d+ seconds|frozenset\(\{.*?\}\)", "…", record.message)
    return record.levelname, record.name, message, record.MDC, record.exc_info is None


REPEATABLE = ("caveats", "outputs", "butler_metrics.n_get", "butler_metrics.n_put")


def repeatable_values(metadata: TaskMetadata) -> dict[str, list[Any]]:
    """Return what does not change from run to run; the order of outputs is not."""
    names = metadata.names() & {f"quantum.{name}" for name in REPEATABLE}
    return {name: sorted(metadata.getArray(name)) for name in names}


# That the comparison would notice.


@dataclass
class Spoiler:
    """Something that must not go unnoticed."""

    spoil: Callable[[Butler, DatasetRef], object]
    dataset_type: str = "exposure_summary"


def rewrite(butler: Butler, ref: DatasetRef, change: Callable[[Any], Any]) -> None:
    content = change(butler.get(ref))
    butler.pruneDatasets([ref], unstore=True, disassociate=False)
    butler.put(content, ref)


def other_message(log: ButlerLogRecords) -> ButlerLogRecords:
    log[-1] = log[-1].model_copy(update={"message": "something else"})
    return log


def other_value(content: Any) -> Any:
    return content.model_copy(update={"int_value": 7})


SPOILERS: dict[str, Spoiler] = {
    "a dataset is gone": Spoiler(
        lambda b, ref: b.pruneDatasets([ref], purge=True, unstore=True, disassociate=True)
    ),
    "a file is gone": Spoiler(lambda b, ref: b.pruneDatasets([ref], unstore=True, disassociate=False)),
    "a chain has another order": Spoiler(
        lambda b, _: b.collections.redefine_chain("u/out", ["input_run", "u/out/run"])
    ),
    "a message differs": Spoiler(lambda b, ref: rewrite(b, ref, other_message), "gather_log"),
    "a value differs": Spoiler(lambda b, ref: rewrite(b, ref, other_value)),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", SPOILERS)
def test_comparison_notices(name: str, make_repository: Callable[..., Any], tmp_path: Path) -> None:
    repository = make_repository(MockPipeline(1, 1))
    assert run_forked(*repository.arguments()).code == 0
    copy = Path(shutil.copytree(repository.root, tmp_path / "copy"))
    assert_same_repository(repository.root, copy)
    assert_same_contents(repository.root, copy)
    with Butler.from_config(str(copy), writeable=True) as butler:
        (ref,) = butler.query_datasets(SPOILERS[name].dataset_type, "u/out/run", with_dimension_records=True)
        SPOILERS[name].spoil(butler, ref)
    with pytest.raises(AssertionError):  # noqa: PT012  either of them
        assert_same_repository(repository.root, copy)
        assert_same_contents(repository.root, copy)
