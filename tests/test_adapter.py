"""Graphs that pipe_base's executors hand to ours end as if pipe_base had executed them itself."""

from __future__ import annotations

import doctest
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from lsst.daf.butler import Butler, DataCoordinate, DatasetRef, DatasetType
from lsst.pipe.base import TaskFactory
from lsst.pipe.base.mp_graph_executor import MPGraphExecutor, MPGraphExecutorError
from lsst.pipe.base.quantum_graph import PredictedQuantumGraph, ProvenanceQuantumGraphReader
from lsst.pipe.base.quantum_reports import ExecutionStatus, Report
from lsst.pipe.base.separable_pipeline_executor import SeparablePipelineExecutor
from lsst.pipe.base.single_quantum_executor import SingleQuantumExecutor

from peer import assert_same_repository
from pipetask.errors import PipetaskError
from pipetask.execution import pipe_base_adapter
from pipetask.execution.interruption import RunInterrupted
from pipetask.execution.pipe_base_adapter import GraphExecutionError, PipeBaseGraphExecutor
from pipetask.executors.base import QuantumExecutor
from pipetask.executors.in_process import InProcessExecutor
from pipetask.executors.pool import MultiprocessExecutor
from pipetask.observe.sink import Sink
from pipetask.outcome import QuantumOutcome
from pipetask.testing import MockPipeline
from repository_dump import read_files, read_registry

from conftest import Repository  # isort: skip

pytestmark = pytest.mark.slow

MakeRepository = Callable[..., Repository]
PIPELINES = {
    "all succeed": MockPipeline(2, 2),
    "one fails": MockPipeline(2, 2, configs={"isr": {"fail_condition": "exposure=1 and detector=0"}}),
}
HOW: dict[str, tuple[Callable[[], QuantumExecutor], Callable[[PredictedQuantumGraph], Any]]] = {
    "in this process": (InProcessExecutor, lambda graph: graph),
    "in workers": (lambda: MultiprocessExecutor(2), lambda graph: graph),
    "an old graph": (InProcessExecutor, lambda graph: graph.to_old_quantum_graph()),
}
YAML = """
description: One task.
tasks:
  isr:
    class: lsst.pipe.base.tests.mocks.DynamicTestPipelineTask
    config:
      python: |
        from lsst.pipe.base.tests.mocks import DynamicConnectionConfig
        config.dimensions = ["exposure", "detector"]
        for connections, name in ((config.inputs, "raw"), (config.outputs, "post_isr")):
            connections[name] = DynamicConnectionConfig()
            connections[name].dataset_type_name = name
            connections[name].dimensions = ["exposure", "detector"]
"""


@contextmanager
def separable(repository: Path) -> Iterator[SeparablePipelineExecutor]:
    """Open a repository as a program that uses pipe_base does."""
    with Butler.from_config(
        str(repository), collections=["input_chain"], run="u/out/run", writeable=True
    ) as butler:
        yield SeparablePipelineExecutor(butler)


def load(graph: Path) -> PredictedQuantumGraph:
    with PredictedQuantumGraph.open(str(graph)) as reader:
        reader.read_all()
        return reader.finish()


@dataclass(frozen=True)
class Executed:
    """What pipe_base's own executor left."""

    template: Path
    root: Path
    report: Report
    failed: bool


@pytest.fixture(scope="module", params=PIPELINES)
def executed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Executed:
    folder = tmp_path_factory.mktemp("theirs")
    graph = load(PIPELINES[request.param].make(folder / "template"))
    shutil.copytree(folder / "template", folder / "repo")
    failed = False
    with separable(folder / "repo") as executor:
        executor.pre_execute_qgraph(graph, register_dataset_types=True)
        theirs = their_executor(executor._butler)
        try:
            executor.run_pipeline(graph, graph_executor=theirs)
        except MPGraphExecutorError:
            failed = True
    assert failed is (request.param == "one fails")
    return Executed(folder / "template", folder / "repo", theirs.getReport(), failed)


def their_executor(butler: Butler) -> MPGraphExecutor:
    """Make what pipe_base takes if it is given no graph executor."""
    single = SingleQuantumExecutor(butler=butler, task_factory=TaskFactory())
    return MPGraphExecutor(num_proc=1, timeout=1000.0, quantum_executor=single)


def statuses(report: Report) -> set[tuple[Any, ...]]:
    """Return what a report says of each quantum, but for times, IDs and the words of messages."""
    return {
        (
            quantum.taskLabel,
            tuple(sorted(quantum.dataId.items())),
            quantum.status,
            quantum.exceptionInfo and quantum.exceptionInfo.className,
        )
        for quantum in report.quantaReports
    }


@pytest.mark.parametrize("how", HOW)
def test_the_same_is_left_and_reported(executed: Executed, how: str, tmp_path: Path) -> None:
    model, form = HOW[how]
    shutil.copytree(executed.template, tmp_path / "repo")
    graph = form(load(executed.template / "graph.qg"))
    ours = PipeBaseGraphExecutor(model(), str(tmp_path / "repo"))
    with separable(tmp_path / "repo") as executor:
        executor.pre_execute_qgraph(graph, register_dataset_types=True)
        if executed.failed:
            with pytest.raises(MPGraphExecutorError, match="3 of 10 quanta have not succeeded; isr "):
                executor.run_pipeline(graph, graph_executor=ours)
        else:
            executor.run_pipeline(graph, graph_executor=ours)
    assert_same_repository(tmp_path / "repo", executed.root)
    report = ours.getReport()
    assert len(report.quantaReports) == 10
    assert statuses(report) == statuses(executed.report)
    assert report.status == executed.report.status
    tasks = report.qgraphSummary.qgraphTaskSummaries
    assert tasks == executed.report.qgraphSummary.qgraphTaskSummaries


def provenance(path: Path) -> set[tuple[Any, ...]]:
    """Return what a provenance graph says of quanta and datasets."""
    with ProvenanceQuantumGraphReader.open(str(path)) as reader:
        reader.read_full_graph()
        nodes = reader.graph.bipartite_xgraph.nodes.values()
        logs = reader.fetch_logs(reader.graph.quantum_only_xgraph)
        found = {
            (node["data_id"], node.get("task_label") or node["dataset_type_name"], node.get("produced"))
            for node in nodes
        }
        status = {(node["data_id"], node["task_label"], node["status"]) for node in nodes if "status" in node}
        assert logs
        return found | status


def test_provenance_is_what_pipe_base_writes(make_repository: MakeRepository) -> None:
    """Its own executor can do that in one process only, and in older versions only if nothing fails."""
    written = []
    for name in ("ours", "theirs"):
        repository = make_repository(PIPELINES["all succeed"], name)
        graph = load(repository.graph)
        dimensions = graph.pipeline_graph.universe.empty
        with separable(repository.root) as executor:
            executor.pre_execute_qgraph(graph, register_dataset_types=True)
            kind = DatasetType("run_provenance", dimensions, "ProvenanceQuantumGraph")
            executor._butler.registry.registerDatasetType(kind)
            ours = PipeBaseGraphExecutor(InProcessExecutor(), str(repository.root))
            ref = DatasetRef(kind, DataCoordinate.make_empty(kind.dimensions.universe), "u/out/run")
            executor.run_pipeline(
                graph, graph_executor=ours if name == "ours" else None, provenance_dataset_ref=ref
            )
            written.append(provenance(Path(executor._butler.getURI(ref).ospath)))
    assert written[0] == written[1]
    assert len(written[0]) > 30


def test_provenance_has_failures(make_repository: MakeRepository, tmp_path: Path) -> None:
    repository = make_repository(PIPELINES["one fails"])
    graph = load(repository.graph)
    with separable(repository.root) as executor:
        executor.pre_execute_qgraph(graph, register_dataset_types=True)
        ours = PipeBaseGraphExecutor(InProcessExecutor(), str(repository.root))
        with pytest.raises(GraphExecutionError):
            ours.execute(graph, provenance_graph_file=str(tmp_path / "provenance.qg"))
    content = provenance(tmp_path / "provenance.qg")
    ended = {(label, status.name) for _, label, status in content if hasattr(status, "name")}
    assert {("isr", "FAILED"), ("characterize", "BLOCKED"), ("gather", "SUCCESSFUL")} < ended


def test_provenance_that_cannot_be_written_costs_nothing_else(
    make_repository: MakeRepository, tmp_path: Path
) -> None:
    repository = make_repository(MockPipeline(1, 1))
    graph = load(repository.graph)
    file = tmp_path / "file"
    file.write_text("no folder")
    ours = PipeBaseGraphExecutor(InProcessExecutor(), str(repository.root))
    with separable(repository.root) as executor:
        executor.pre_execute_qgraph(graph, register_dataset_types=True)
        with pytest.raises(PipetaskError, match="provenance graph"):
            ours.execute(graph, provenance_graph_file=str(file / "provenance.qg"))
    assert (ours.getReport().status, ours.getReport().exitCode) == (ExecutionStatus.SUCCESS, None)
    with Butler.from_config(str(repository.root)) as butler:
        assert len(butler.query_datasets("exposure_summary", "u/out/run")) == 1


def test_without_preparation_nothing_is_begun(repository: Repository) -> None:
    graph = load(repository.graph)
    ours = PipeBaseGraphExecutor(InProcessExecutor(), str(repository.root))
    with separable(repository.root) as executor:
        before = read_registry(repository.root), read_files(repository.root)
        with pytest.raises(PipetaskError, match="Dataset types of the graph are not registered"):
            executor.run_pipeline(graph, graph_executor=ours)
    assert (read_registry(repository.root), read_files(repository.root)) == before
    with pytest.raises(RuntimeError, match="no graph has been executed"):
        ours.getReport()


class Interrupts(Sink):
    """Does what Ctrl-C does, when the first quantum has ended."""

    def note(self, outcome: QuantumOutcome) -> None:
        os.kill(os.getpid(), signal.SIGINT)


def test_an_interrupt_is_one_for_the_caller_too(repository: Repository) -> None:
    graph = load(repository.graph)
    ours = PipeBaseGraphExecutor(InProcessExecutor(), str(repository.root), sinks=[Interrupts()])
    with separable(repository.root) as executor:
        executor.pre_execute_qgraph(graph, register_dataset_types=True)
        with pytest.raises(KeyboardInterrupt) as raised:
            executor.run_pipeline(graph, graph_executor=ours)
        assert isinstance(raised.value, RunInterrupted)
        assert raised.value.summary.signal == signal.SIGINT
    report = ours.getReport()
    assert report.status is ExecutionStatus.FAILURE
    assert [quantum.status for quantum in report.quantaReports].count(ExecutionStatus.SUCCESS) == 1


def test_the_example(repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one in the module's documentation."""
    pipeline = tmp_path / "pipeline.yaml"
    pipeline.write_text(YAML)
    names = {"root": str(repository.root), "inputs": ["input_chain"], "pipeline": str(pipeline)}
    result = doctest.testmod(pipe_base_adapter, extraglobs=names)
    assert result.attempted > 10
    assert not result.failed
    with Butler.from_config(str(repository.root)) as butler:
        for run in ("u/me/run", "u/me/simple"):
            assert len(butler.query_datasets("post_isr", run)) == 4
