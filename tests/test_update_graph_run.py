"""``pipetask update-graph-run``: side by side with LSST's command, and what it refuses."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from lsst.pipe.base.quantum_graph import PredictedQuantumGraphComponents

from forked import run_forked
from graph_dump import comparable_graph
from in_process import run_here
from peer import peer_session
from pipetask.graph.components import read_graph, write_graph
from pipetask.testing import MockPipeline

from conftest import Finished, Repository  # isort: skip


@pytest.fixture(scope="module")
def peer() -> Iterator[Callable[..., Finished]]:
    with peer_session() as run:
        yield run


@pytest.fixture
def repository(make_repository: Callable[..., Repository]) -> Repository:
    return make_repository(MockPipeline(2, 1))


def made_up(components: PredictedQuantumGraphComponents) -> set[Any]:
    """Return the IDs of quanta and of their outputs."""
    quanta = [*components.init_quanta.root, *components.quantum_datasets.values()]
    outputs = (chain.from_iterable(quantum.outputs.values()) for quantum in quanta)
    return {each.dataset_id for each in chain.from_iterable(outputs)} | {
        quantum.quantum_id for quantum in quanta
    }


@pytest.mark.parametrize("extension", [".qg", ".qgraph"])
def test_graph_is_the_peers(
    extension: str, repository: Repository, peer: Callable[..., Finished], tmp_path: Path
) -> None:
    graph = tmp_path / f"graph{extension}"
    before = read_graph(str(repository.graph))
    write_graph(before, str(graph))
    for who, run in (("ours", run_here), ("theirs", peer)):
        finished = run("update-graph-run", str(graph), "u/new/1", str(tmp_path / f"{who}.qg"))
        assert finished.code == 0, finished.err
    inputs = frozenset(
        each.dataset_id
        for quantum in before.quantum_datasets.values()
        for each in chain.from_iterable(quantum.inputs.values())
    ) - made_up(before)
    ours = comparable_graph(tmp_path / "ours.qg", inputs)
    assert ours["output_run"] == "u/new/1"
    assert "u/out/run" not in str(ours)
    assert ours == comparable_graph(tmp_path / "theirs.qg", inputs)
    assert not made_up(before) & made_up(read_graph(str(tmp_path / "ours.qg")))


@pytest.mark.slow
def test_new_graph_can_be_executed(repository: Repository, tmp_path: Path) -> None:
    """The old one, too, and both into the same chain."""
    new = tmp_path / "new.qg"
    assert run_here("update-graph-run", str(repository.graph), "u/out/other", str(new)).code == 0
    for graph in (repository.graph, new):
        finished = run_forked(*Repository(repository.root, graph).arguments())
        assert finished.code == 0, finished.err


@pytest.mark.slow
def test_graph_can_be_replaced(repository: Repository) -> None:
    assert run_here("update-graph-run", str(repository.graph), "u/new", str(repository.graph)).code == 0
    assert read_graph(str(repository.graph)).header.output_run == "u/new"
    assert {path.name for path in repository.root.glob("*.qg")} == {"graph.qg"}


def test_options_of_the_past_are_accepted(
    repository: Repository, peer: Callable[..., Finished], tmp_path: Path
) -> None:
    options = ["--metadata-run-key", "run", "--update-graph-id"]
    for run in (run_here, peer):
        finished = run("update-graph-run", str(repository.graph), "u/new", str(tmp_path / "new.qg"), *options)
        assert finished.code == 0
        for option in ("--metadata-run-key", "--update-graph-id"):
            assert option in finished.err


@pytest.mark.parametrize(
    ("graph", "run", "output", "code", "said"),
    [
        ("GRAPH", "", "new.qg", 2, "cannot be used for a collection"),
        ("GRAPH", "../../etc", "new.qg", 2, "cannot be used for a collection"),
        ("GRAPH", "/u/new", "new.qg", 2, "cannot be used for a collection"),
        ("GRAPH", "u/*", "new.qg", 2, "cannot be used for a collection"),
        ("GRAPH", "u/new\n", "new.qg", 2, "cannot be used for a collection"),
        ("GRAPH", "$HOME", "new.qg", 2, "cannot be used for a collection"),
        ("GRAPH", "u,v", "new.qg", 2, "cannot be used for a collection"),
        ("GRAPH", "u/new", "new.txt", 2, "must end in '.qg'"),
        ("GRAPH", "u/new", "nope/new.qg", 2, "nope"),
        ("nope.qg", "u/new", "new.qg", 1, "There is no graph at"),
        ("butler.yaml", "u/new", "new.qg", 1, "not a quantum graph"),
        ("BROKEN", "u/new", "new.qg", 1, "truncated"),
    ],
)
def test_mistake_is_told_in_one_line(
    graph: str,
    run: str,
    output: str,
    code: int,
    said: str,
    repository: Repository,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    monkeypatch.chdir(folder)
    broken = tmp_path / "broken.qg"
    broken.write_bytes(repository.graph.read_bytes()[:-100])
    names = {"GRAPH": repository.graph, "BROKEN": broken, "butler.yaml": repository.root / "butler.yaml"}
    finished = run_here("update-graph-run", str(names.get(graph, graph)), run, output)
    assert finished.code == code, finished.err
    assert said in finished.err
    assert finished.err.count("\n") == 1
    assert not list(folder.iterdir())


@pytest.mark.parametrize("name", ["é/ü", "u/new run", "u/it's", "DM-1.x/20260101T000000Z"])
def test_any_other_name_will_do(name: str, repository: Repository, tmp_path: Path) -> None:
    new = tmp_path / "new.qg"
    finished = run_here("update-graph-run", str(repository.graph), name, str(new))
    assert finished.code == 0, finished.err
    assert read_graph(str(new)).header.output_run == name
