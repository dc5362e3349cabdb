"""Wherever a command was ended while it made the registry ready, the same command gets there."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pytest
from lsst.daf.butler import Butler

from convergence import ENDED, run_in_fork
from peer import comparable_registry
from pipetask.execution.graph_executor import QuantumGraphExecutor
from pipetask.executors.in_process import InProcessExecutor
from pipetask.graph.file import GraphFile
from pipetask.options.collections import OutputOptions
from pipetask.options.execution import PreUpdateOptions, RunOptions
from pipetask.testing import MockPipeline
from repository_dump import read_files

pytestmark = pytest.mark.slow

SMALL = MockPipeline(exposures=1, detectors=1)
CHAIN = OutputOptions(output="u/out", inputs=("input_chain",))


def execute(root: Path, graph: int, outputs: OutputOptions, *, init_only: bool = True) -> None:
    update = PreUpdateOptions(register_dataset_types=True, init_only=init_only)
    options = RunOptions(collections=outputs, pre_update=update)
    QuantumGraphExecutor(InProcessExecutor(), str(root), options).execute(str(root / f"{graph}.qg"))


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a repository with two graphs that have not been executed."""
    root = tmp_path_factory.mktemp("empty") / "repo"
    SMALL.make(root)
    with Butler.from_config(str(root), writeable=True) as butler:
        for number in (1, 2):
            SMALL.build_graph(butler, root / f"{number}.qg", run=f"u/out/{number}")
        butler.collections.register("extra")
        with GraphFile.of(str(root / "1.qg")) as file:
            for node in file.pipeline.dataset_types.values():
                if node.name not in ("isr_log", "gather_config"):
                    butler.registry.registerDatasetType(node.dataset_type)
    return root


@pytest.fixture(scope="module")
def executed(empty: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make one in which the first of them was executed."""
    root = Path(shutil.copytree(empty, tmp_path_factory.mktemp("executed") / "repo"))
    assert run_in_fork(partial(execute, root, 1, CHAIN, init_only=False), root) == 0
    return root


def ready_for_quanta(root: Path) -> dict[str, object]:
    files = {Path(name) for name, size in read_files(root).items() if size is not None}
    registry = comparable_registry(root)
    # The butler forgets what it has deleted before it forgets that it was to be deleted.
    registry.pop("dataset_location_trash", None)
    return {**registry, "files": sorted(path for path in files if not is_draft(path.name))}


def is_draft(name: str) -> bool:
    """Return whether under this name a file was written that was to get its own; such a file is never looked for."""
    return name.startswith("tmp") or ".tmp." in name


@dataclass(frozen=True)
class Story:
    """A command that is ended somewhere, and what follows: the same, or what a user makes of it."""

    first: OutputOptions
    or_then: OutputOptions | None = None
    after_another: bool = True
    files: bool = False
    """Whether to end it at changes of files, too, and not at commits only."""

    at_least: int = 2
    """Steps that there are to be ended at, if the test is worth anything."""


REPLACE = OutputOptions(output="u/out", replace_run=True)
STORIES = {
    "new": Story(CHAIN, replace(CHAIN, extend_run=True), after_another=False, files=True, at_least=20),
    "without a chain": Story(OutputOptions(), OutputOptions(extend_run=True)),
    "into a chain": Story(replace(CHAIN, inputs=()), replace(CHAIN, extend_run=True)),
    "rebased": Story(replace(CHAIN, inputs=("extra",), rebase=True)),
    "replaced and unstored": Story(replace(REPLACE, prune_replaced="unstore"), at_least=4),
    "replaced and purged": Story(replace(REPLACE, prune_replaced="purge"), at_least=4),
}


@pytest.mark.parametrize("name", STORIES)
def test_what_was_ended_anywhere_is_gone_on_with(
    name: str, empty: Path, executed: Path, tmp_path: Path
) -> None:
    story = STORIES[name]
    start, graph = (executed, 2) if story.after_another else (empty, 1)
    undisturbed = Path(shutil.copytree(start, tmp_path / "undisturbed"))
    assert run_in_fork(partial(execute, undisturbed, graph, story.first), undisturbed) == 0
    wanted = ready_for_quanta(undisturbed)
    for step in range(500):
        root = Path(shutil.copytree(start, tmp_path / "repo"))
        code = run_in_fork(partial(execute, root, graph, story.first), root, step, files=story.files)
        if code == 0:
            break
        assert code == ENDED, f"step {step}"
        then = story.or_then if story.or_then and step % 4 in (1, 2) else story.first
        assert run_in_fork(partial(execute, root, graph, then), root) == 0, f"after step {step}"
        found = ready_for_quanta(root)
        assert found.keys() == wanted.keys(), f"after step {step}"
        for title, rows in found.items():
            assert rows == wanted[title], f"after step {step}"
        shutil.rmtree(root)
    assert step >= story.at_least, "there were steps to be ended at"


def test_a_table_that_could_not_be_created_is_created_by_the_next_command(
    empty: Path, tmp_path: Path
) -> None:
    """The butler registers dataset types even where their table cannot be created."""
    undisturbed, root = (Path(shutil.copytree(empty, tmp_path / name)) for name in ("undisturbed", "repo"))
    with closing(sqlite3.connect(root / "gen3.sqlite3", isolation_level=None)) as database:
        find = "SELECT tag_association_table FROM dataset_type WHERE name = 'characterize_config'"
        (table,) = database.execute(find).fetchone()
        database.execute(f"DROP TABLE {table}")
    for each in (undisturbed, root):
        assert run_in_fork(partial(execute, each, 1, CHAIN), each) == 0
    assert ready_for_quanta(root) == ready_for_quanta(undisturbed)
