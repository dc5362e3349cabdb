"""Output collections, dataset types and init-outputs: as LSST's command leaves them, and as they were after an error."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from forked import run_forked
from lsst.daf.butler import Butler, CollectionType, DatasetType
from odd_tasks import BrokenTask, UnbuildableTask
from peer import assert_same_repository, find_peer, run_peer
from repository_dump import read_chain, read_collections, read_files, read_registry

from pipetask.testing import MockPipeline

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
        Step(1, [*CHAIN, "-i", "extra_chain", *INPUT, *NEW_TYPES], ["u/out/1", "extra_tagged", "extra_run", "input_run"]),
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
        Step(2, [*CHAIN, "-i", "input_chain,extra_chain", *INIT], ["u/out/1", "extra_run", "input_run"], code=1),
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
    "a chain that is not there": [
        Step(1, INIT),
        Step(1, [*CHAIN, *INPUT, "--extend-run", "--init-only"], [], code=1),
    ],
}


@pytest.mark.parametrize("name", SEQUENCES)
def test_commands_leave_what_the_peer_leaves(name: str, root: Path, tmp_path: Path) -> None:
    find_peer()
    theirs = Path(shutil.copytree(root, tmp_path / "theirs"))
    before = read_registry(root)
    for number, step in enumerate(SEQUENCES[name]):
        ours_done = run_forked(*arguments(root, step.graph, *step.more))
        assert ours_done.code == step.code, f"step {number}: {ours_done.err}"
        if step.chain is not None:
            assert read_chain(root, "u/out") == step.chain, f"step {number}"
        peer_done = run_peer(*arguments(theirs, step.graph, *step.more))
        assert peer_done.code == step.code, f"step {number}: {peer_done.err}"
        assert_same_repository(root, theirs)
    assert read_registry(root) != before, "something happened"
