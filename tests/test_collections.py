"""Output collections, dataset types and init-outputs are as LSST's command leaves them, or as before an error."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from lsst.daf.butler import Butler, CollectionType, DatasetType

from forked import run_forked
from odd_tasks import BrokenTask, UnbuildableTask
from peer import assert_same_repository, peer_session
from pipetask.testing import MockPipeline
from repository_dump import read_chain, read_collections, read_files, read_registry

SMALL = MockPipeline(exposures=1, detectors=1)
CHAIN = ["-o", "u/out"]
INPUT = ["-i", "input_chain"]
NEW_TYPES = ["--register-dataset-types"]


@pytest.fixture(scope="session")
def several_graphs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a repository with graphs for the runs u/out/1, u/out/2, …, and more collections to take inputs from."""
    root = tmp_path_factory.mktemp("graphs") / "repo"
    SMALL.make(root)
    with Butler.from_config(str(root), writeable=True) as butler:
        for number in range(1, 5):
            SMALL.build_graph(butler, root / f"{number}.qg", run=f"u/out/{number}")
        butler.collections.register("extra_run", CollectionType.RUN)
        butler.collections.register("extra_tagged", CollectionType.TAGGED)
        butler.collections.register("extra_chain", CollectionType.CHAINED)
        butler.collections.redefine_chain("extra_chain", ["extra_tagged", "extra_run"])
    return root


@pytest.fixture
def root(several_graphs: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(several_graphs, tmp_path / "repo"))


def arguments(root: Path, graph: int | str, *more: str) -> list[str]:
    return ["run", "-b", str(root), "-g", str(root / f"{graph}.qg"), *more]


# Side by side with LSST's command.


@dataclass(frozen=True)
class Step:
    """One command, for both."""

    graph: int
    more: Sequence[str]
    chain: Sequence[str] | None = None
    """What ``u/out`` must consist of afterwards."""

    code: int = 0


INIT = ["--init-only", *NEW_TYPES]

SEQUENCES = {
    "a chain grows": [
        Step(1, [*CHAIN, *INPUT, *NEW_TYPES], ["u/out/1", "input_run"]),
        Step(2, [*CHAIN, *INIT], ["u/out/2", "u/out/1", "input_run"]),
        Step(3, [*CHAIN, *INPUT, *INIT], ["u/out/3", "u/out/2", "u/out/1", "input_run"]),
        Step(2, [*CHAIN, "--extend-run"], ["u/out/3", "u/out/2", "u/out/1", "input_run"]),
    ],
    "runs are replaced": [
        Step(
            1,
            [*CHAIN, "-i", "extra_chain", *INPUT, *NEW_TYPES],
            ["u/out/1", "extra_tagged", "extra_run", "input_run"],
        ),
        Step(2, [*CHAIN, "--replace-run"], ["u/out/2", "extra_tagged", "extra_run", "input_run"]),
        Step(
            3,
            [*CHAIN, "--replace-run", "--prune-replaced", "unstore"],
            ["u/out/3", "extra_tagged", "extra_run", "input_run"],
        ),
        Step(
            4,
            [*CHAIN, "--replace-run", "--prune-replaced", "purge"],
            ["u/out/4", "extra_tagged", "extra_run", "input_run"],
        ),
    ],
    "inputs change": [
        Step(1, [*CHAIN, "-i", "extra_run,input_chain", *INIT], ["u/out/1", "extra_run", "input_run"]),
        Step(
            2, [*CHAIN, "-i", "input_chain,extra_chain", *INIT], ["u/out/1", "extra_run", "input_run"], code=1
        ),
        Step(
            2,
            [*CHAIN, "-i", "input_chain,extra_chain", "--rebase", *INIT],
            ["u/out/2", "u/out/1", "input_run", "extra_tagged", "extra_run"],
        ),
        Step(
            3,
            [*CHAIN, "-i", "input_run", "--rebase", *INIT],
            ["u/out/3", "u/out/2", "u/out/1", "input_run", "extra_tagged", "extra_run"],
        ),
    ],
    "no chain": [
        Step(1, ["--output-run", "u/out/1", *INPUT, *NEW_TYPES]),
        Step(1, ["--output-run", "u/out/1", "--extend-run"]),
        Step(2, INIT),
        Step(3, [*CHAIN, *INIT], ["u/out/3"]),
    ],
    "little is written": [
        Step(1, [*CHAIN, *INPUT, "--skip-init-writes", *NEW_TYPES], ["u/out/1", "input_run"]),
        Step(2, [*CHAIN, "--no-versions", "--skip-existing", "--skip-existing-in", "u/out"]),
        Step(1, [*CHAIN, "--extend-run", "--init-only", "--no-versions"]),
        Step(1, [*CHAIN, "--extend-run", "--init-only"]),
    ],
}


@pytest.mark.peer
@pytest.mark.parametrize("name", SEQUENCES)
def test_commands_leave_what_the_peer_leaves(name: str, root: Path, tmp_path: Path) -> None:
    theirs = Path(shutil.copytree(root, tmp_path / "theirs"))
    before = read_registry(root)
    with peer_session() as run_by_peer:
        for number, step in enumerate(SEQUENCES[name]):
            ours_done = run_forked(*arguments(root, step.graph, *step.more))
            assert ours_done.code == step.code, f"step {number}: {ours_done.err}"
            if step.chain is not None:
                assert read_chain(root, "u/out") == step.chain, f"step {number}"
            peer_done = run_by_peer(*arguments(theirs, step.graph, *step.more))
            assert peer_done.code == step.code, f"step {number}: {peer_done.err}"
            assert_same_repository(root, theirs)
    assert read_registry(root) != before, "something happened"


# A second attempt at quanta that failed.


def broken_pipeline(repair: Path, **more: Any) -> MockPipeline:
    config = {"broken_where": "detector = 0", "repair": str(repair), **more}
    return MockPipeline(1, 2, task_classes={"characterize": BrokenTask}, configs={"characterize": config})


def log_of_attempts(root: Path) -> dict[str, Any]:
    """Return messages of the last attempt at the broken quantum, and what its log keeps of those before."""
    with Butler.from_config(str(root), collections="u/out", instrument="Mock") as butler:
        log = butler.get("characterize_log", exposure=0, detector=0)
    attempts = log.extra.get("previous_attempts", [])
    return {
        "last": [record.message for record in log if record.levelname != "INFO"],
        "exceptions": [attempt["exception"]["message"] for attempt in attempts],
        "before": [
            [r["message"] for r in attempt["logs"] if r["levelname"] != "INFO"] for attempt in attempts
        ],
    }


@pytest.mark.peer
def test_failed_quantum_is_replaced_with_clobber_outputs_only(tmp_path: Path) -> None:
    repair, theirs = tmp_path / "repaired", tmp_path / "theirs"
    broken_pipeline(repair).make(theirs)
    ours = {mode: Path(shutil.copytree(theirs, tmp_path / mode)) for mode in ("quantum-backed", "full")}
    extend, clobber = [*CHAIN, "--extend-run"], [*CHAIN, "--extend-run", "--clobber-outputs"]
    attempts = [([*CHAIN, *INPUT, *NEW_TYPES], 1), (extend, 1), (clobber, 1), (clobber, 0), (extend, 0)]
    with peer_session() as run_by_peer:
        for step, code in attempts:
            if code == 0:
                repair.touch()
            assert run_by_peer(*arguments(theirs, "graph", *step)).code == code
            for mode, root in ours.items():
                done = run_forked(*arguments(root, "graph", *step, "--output-butler", mode))
                assert done.code == code, done.err
                assert_same_repository(root, theirs)
                assert log_of_attempts(root) == log_of_attempts(theirs), mode
    assert log_of_attempts(theirs)["exceptions"] == ["it is broken"] * 2
    assert log_of_attempts(theirs)["last"] == []


# Somebody else has made the registry ready.


@pytest.mark.slow
def test_pre_update_can_be_done_beforehand(root: Path, tmp_path: Path) -> None:
    at_once = Path(shutil.copytree(root, tmp_path / "at_once"))
    usual = [*CHAIN, *INPUT, *NEW_TYPES]
    assert run_forked(*arguments(at_once, 1, *usual)).code == 0
    assert run_forked(*arguments(root, 1, *usual, "--init-only")).code == 0
    ready = read_registry(root)
    assert {row["name"] for row in ready["dataset_type"]} >= {"isr_log", "packages"}
    assert not [row for row in ready["dataset"] if row["dataset_type_id"] == "isr_log"], "no quantum has run"
    done = run_forked(*arguments(root, 1, *CHAIN, "--registry-pre-update", "skip"))
    assert done.code == 0, done.err
    assert_same_repository(root, at_once)


def take_out_of_chain(butler: Butler) -> None:
    butler.collections.redefine_chain("u/out", ["input_run"])


def remove_config(butler: Butler) -> None:
    butler.pruneDatasets(
        butler.query_datasets("isr_config", "u/out/1"), purge=True, unstore=True, disassociate=True
    )


def remove_dataset_type(butler: Butler) -> None:
    butler.registry.removeDatasetType("isr_log")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("spoil", "says"),
    [(take_out_of_chain, "'u/out'"), (remove_config, "isr_config"), (remove_dataset_type, "isr_log")],
)
def test_what_is_missing_is_named(spoil: Callable[[Butler], None], says: str, root: Path) -> None:
    assert run_forked(*arguments(root, 1, *CHAIN, *INPUT, *INIT)).code == 0
    with Butler.from_config(str(root), writeable=True) as butler:
        spoil(butler)
    before = read_registry(root), read_files(root)
    done = run_forked(*arguments(root, 1, *CHAIN, "--registry-pre-update", "skip"))
    assert done.code == 1
    line = done.line
    assert says in line
    assert (read_registry(root), read_files(root)) == before


# An error in the middle leaves everything as it was.


def files_only(root: Path) -> dict[str, int | None]:
    return {name: size for name, size in read_files(root).items() if size is not None}


def assert_takes_all_back(root: Path, command: list[str], *says: str) -> None:
    before = read_registry(root), files_only(root)
    done = run_forked(*command)
    assert done.code == 1
    line = done.line
    for part in says:
        assert part in line
    assert (read_registry(root), files_only(root)) == before


UNBUILDABLE = MockPipeline(1, 1, task_classes={"gather": UnbuildableTask})


def test_task_that_cannot_be_constructed(tmp_path: Path) -> None:
    root = tmp_path / "repo"
    UNBUILDABLE.make(root)
    command = arguments(root, "graph", *CHAIN, *INPUT, *NEW_TYPES)
    assert_takes_all_back(root, command, "ValueError: no such calibration", "u/out/run", "--log-level DEBUG")


@pytest.mark.slow
@pytest.mark.parametrize("prune", ["unstore", "purge"])
def test_nothing_is_pruned_when_the_new_run_cannot_be_begun(prune: str, root: Path) -> None:
    assert run_forked(*arguments(root, 1, *CHAIN, *INPUT, *NEW_TYPES)).code == 0
    with Butler.from_config(str(root), writeable=True) as butler:
        UNBUILDABLE.build_graph(butler, root / "unbuildable.qg", run="u/out/new")
    command = arguments(root, "unbuildable", *CHAIN, "--replace-run", "--prune-replaced", prune)
    assert_takes_all_back(root, command, "no such calibration", "u/out/new")
    assert read_chain(root, "u/out") == ["u/out/1", "input_run"]


@pytest.mark.slow
def test_config_that_conflicts_with_the_run(root: Path) -> None:
    assert run_forked(*arguments(root, 1, *CHAIN, *INPUT, *NEW_TYPES, "--no-versions")).code == 0
    with Butler.from_config(str(root), writeable=True) as butler:
        (ref,) = butler.query_datasets("gather_config", "u/out/1")
        config = butler.get(ref)
        butler.pruneDatasets([ref], unstore=True, disassociate=False)
        config.int_value = 7
        butler.put(config, ref)
    command = arguments(root, 1, *CHAIN, "--extend-run", *NEW_TYPES)
    assert_takes_all_back(root, command, "u/out/1", "gather_config", "use a new run")


@pytest.mark.slow
def test_graph_that_conflicts_with_the_run(root: Path) -> None:
    with Butler.from_config(str(root), writeable=True) as butler:
        SMALL.build_graph(butler, root / "other.qg", run="u/out/1")
    assert run_forked(*arguments(root, 1, *CHAIN, *INPUT, *NEW_TYPES)).code == 0
    with Butler.from_config(str(root), writeable=True) as butler:
        remove_config(butler)  # so that one can be written before the conflict comes
    command = arguments(root, "other", *CHAIN, "--extend-run", *NEW_TYPES)
    assert_takes_all_back(root, command, "u/out/1", "the graph that the run was created with")


@pytest.mark.slow
def test_dataset_types_are_registered_all_or_none(root: Path) -> None:
    with Butler.from_config(str(root), writeable=True) as butler:
        dimensions = butler.dimensions.conform(["exposure"])
        butler.registry.registerDatasetType(DatasetType("gather_log", dimensions, "ButlerLogRecords"))
        butler.registry.registerDatasetType(DatasetType("gather_metadata", dimensions, "StructuredDataDict"))
    command = arguments(root, 1, *CHAIN, *INPUT, *NEW_TYPES)
    assert_takes_all_back(root, command, "gather_metadata", "registered otherwise")
    assert "isr_log" not in {row["name"] for row in read_registry(root)["dataset_type"]}


@pytest.mark.slow
def test_run_in_use_elsewhere_is_not_purged(root: Path) -> None:
    """The last step fails, and all before it is taken back."""
    assert run_forked(*arguments(root, 1, *CHAIN, *INPUT, *INIT)).code == 0
    with Butler.from_config(str(root), writeable=True) as butler:
        butler.collections.register("friend", CollectionType.CHAINED)
        butler.collections.redefine_chain("friend", ["u/out/1"])
    command = arguments(root, 2, *CHAIN, "--replace-run", "--prune-replaced", "purge")
    assert_takes_all_back(root, command, "u/out/1", "friend")
    assert read_collections(root) >= {"u/out", "u/out/1", "friend"}
