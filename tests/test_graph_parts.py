"""Parts of a run for jobs that do not see the run directory; what brings them is played by a function here."""

from __future__ import annotations

import shutil
import subprocess
import sys
import uuid
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lsst.daf.butler import DatasetRef, Quantum
from lsst.pipe.base.quantum_graph import PredictedQuantumGraph

from dag_reader import read_dag
from pipetask import BatchExecutor, BatchOptions, CondorOptions, CondorSystem
from pipetask.batch.graph_parts import MOST, deal
from pipetask.batch.index import IndexedNode, NodeIndex
from pipetask.executors.base import ExecutionContext
from pipetask.graph.parts import write_parts
from pipetask.graph.reader import QuantumReader
from pipetask.testing import CallSpec, MockPipeline, enumerated
from repository_dump import read_registry

from conftest import Repository, environment, run_pipetask  # isort: skip
from test_condor_settings import commands  # isort: skip
from test_enumeration import random_graphs  # isort: skip


@given(count=st.integers(0, 10_000))
def test_nodes_are_dealt_in_order_into_parts_of_one_size(count: int) -> None:
    parts = list(deal(range(count)))  # type: ignore[arg-type]
    assert [node for part in parts for node in part.nodes] == list(range(count))
    sizes = {len(part.nodes) for part in parts}
    assert not sizes or max(sizes) - min(sizes) <= 1
    assert len(parts) <= MOST
    assert (len(parts) - 1) ** 2 < max(1, count) <= len(parts) ** 2 or len(parts) == MOST or count == 0
    assert len({part.name for part in parts}) == len(parts)


def write_run(
    folder: Path, counts: dict[str, int], edges: list, *condor: str, size: int | None = None
) -> Path:
    graph = enumerated(counts, edges)
    system = CondorSystem(CondorOptions(condor=condor))
    options = BatchOptions(run_dir=str(folder), submit=False, bundle_size=size)
    context = ExecutionContext(graph, CallSpec(print))
    assert len(list(BatchExecutor(system, options).execute(graph, context))) == sum(counts.values())
    context.stop.close()
    return folder


def nodes_of(path: Path) -> list[IndexedNode]:
    with NodeIndex(path) as index:
        return list(index.nodes())


@settings(max_examples=25, deadline=None)
@given(drawn=random_graphs(), size=st.integers(1, 4))
def test_each_node_finds_itself_in_its_part_as_it_is_in_the_whole(
    drawn: tuple[dict, list], size: int, tmp_path_factory: Any
) -> None:
    run = write_run(tmp_path_factory.mktemp("run") / "run", *drawn, "file_system=transfer", size=size)
    dag = (run / "dagman" / "run.dag").read_text()
    assert "SCRIPT POST" not in dag, "a node begins only when those that it needs have succeeded"
    variables = read_dag(dag).variables
    told = {name: text for name, macro, text in variables if macro == "part"}
    parts = {path.name: nodes_of(path / "index.sqlite") for path in sorted((run / "parts").iterdir())}
    assert [node for nodes in parts.values() for node in nodes] == nodes_of(run / "index.sqlite")
    assert {node.name: part for part, nodes in parts.items() for node in nodes} == told


def test_the_number_of_files_does_not_grow_with_the_graph(tmp_path: Path) -> None:
    shared = write_run(tmp_path / "shared", {"a": 2600}, [], size=1)
    assert not (shared / "parts").exists()
    brought = write_run(tmp_path / "brought", {"a": 2600}, [], "file_system=transfer", size=1)
    assert len(files_of(brought)) == len(files_of(shared)) + MOST


def files_of(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_only_tasks_whose_jobs_do_not_see_the_run_directory_are_in_parts(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", {"here": 3, "there": 3}, [], "labels.there.file_system=transfer")
    dag = read_dag((run / "dagman" / "run.dag").read_text())
    assert [(name.split("-")[0], text) for name, macro, text in dag.variables if macro == "part"] == [
        ("there", "00"),
        ("there", "01"),
    ]
    submit = {path.name: commands(path.read_text()) for path in (run / "dagman").glob("*.sub")}
    brought = {name for name, each in submit.items() if "transfer_input_files" in each}
    assert brought == {dag.jobs["there-2"]}


# With a butler.


def all_of(value: Any) -> Any:
    """Return what a quantum says, down to the dimension records, in a form that can be compared."""
    match value:
        case Quantum():
            refs = [value.initInputs, value.inputs, value.outputs]
            return value.taskName, all_of(value.dataId), all_of(refs), value.datastore_records
        case DatasetRef():
            return value.datasetType, value.id, value.run, all_of(value.dataId)
        case list() | tuple():
            return [all_of(item) for item in value]
        case _ if hasattr(value, "records"):
            return value, [value.records[name] for name in value.dimensions.elements]
        case _:
            return {key.name: all_of(item) for key, item in value.items()}


def quanta_of(path: Path, ids: list[uuid.UUID]) -> dict[uuid.UUID, Any]:
    with closing(QuantumReader(str(path))) as reader:
        return {id: all_of(quantum) for id, (_, quantum) in reader.read(ids).items()}


def open_graph(path: Path) -> PredictedQuantumGraph:
    with PredictedQuantumGraph.open(path) as reader:
        reader.read_all()
        return reader.finish()


@pytest.mark.slow
def test_a_part_of_a_graph_is_a_graph_that_says_the_same(make_repository: Any, tmp_path: Path) -> None:
    graph = make_repository(MockPipeline(exposures=3)).graph
    quanta = [pair for task in open_graph(graph).quanta_by_task.values() for pair in task.items()]
    ids = [[id for data_id, id in quanta if data_id["exposure"] == exposure] for exposure in range(3)]
    targets = [tmp_path / f"{exposure}.qg" for exposure in range(3)]
    write_parts(str(graph), zip(targets, ids, strict=True))
    for exposure, (target, expected) in enumerate(zip(targets, ids, strict=True)):
        assert len(expected) == 5
        assert quanta_of(target, expected) == quanta_of(graph, expected)
        part = open_graph(target)
        assert set(part) == set(expected)
        assert part.header.n_quanta == 5
        assert len(part.quantum_only_xgraph.edges) == 4
        assert part.get_init_outputs("isr")
        records = part.dimension_data.deserializers["exposure"]
        assert [record.id for record in records] == [exposure], "and no records that are not needed"


def bring(run_dir: Path, node: str, sandbox: Path) -> None:
    """Do what HTCondor does before a job."""
    dag = read_dag((run_dir / "dagman" / "run.dag").read_text())
    part = next(text for name, macro, text in dag.variables if (name, macro) == (node, "part"))
    description = commands((run_dir / "dagman" / dag.jobs[node]).read_text())
    inputs = description["transfer_input_files"].replace("$(part)", part)
    sandbox.mkdir()
    for name in inputs.split(", "):
        if name.endswith("/"):
            shutil.copytree(run_dir / name, sandbox, dirs_exist_ok=True)
        else:
            shutil.copy(run_dir / name, sandbox)


@pytest.mark.slow
def test_a_job_runs_from_its_part_alone(repository: Repository, tmp_path: Path) -> None:
    run_dir, sandbox = tmp_path / "run", tmp_path / "sandbox"
    options = ["--mode", "condor", "--run-dir", str(run_dir), "--no-submit", "--bundle-size", "8"]
    arguments = repository.arguments(*options, "--condor", "file_system=transfer")
    assert run_pipetask(*arguments).code == 0
    nodes = nodes_of(run_dir / "index.sqlite")
    assert len(nodes) == 2
    repository.graph.unlink()
    for node in nodes:
        bring(run_dir, node.name, sandbox)
        command = [sys.executable, "-m", "pipetask.cli", "run-node", ".", node.name]
        done = subprocess.run(command, cwd=sandbox, env=environment(), capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert (sandbox / "graph.qg").stat().st_size < (run_dir / "graph.qg").stat().st_size
        shutil.copytree(sandbox / "outcomes", run_dir / "outcomes", dirs_exist_ok=True)
        shutil.rmtree(sandbox)
    final = run_pipetask("run-node", str(run_dir), "final")
    assert final.code == 0, final.err
    graph = open_graph(run_dir / "graph.qg")
    outputs = {id for quantum in graph for id in graph.bipartite_xgraph.successors(quantum)}
    assert outputs <= {uuid.UUID(row["id"]) for row in read_registry(repository.root)["dataset"]}
