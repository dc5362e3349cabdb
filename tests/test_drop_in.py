"""Details in which programs and scripts written for LSST's executors rely on what LSST does."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from lsst.daf.butler import Butler
from lsst.pipe.base.mp_graph_executor import MPGraphExecutorError, MPTimeoutError
from lsst.pipe.base.simple_pipeline_executor import SimplePipelineExecutor
from rich.console import Console

import pipetask
from fault_tasks import UnsociableTask
from pipetask import (
    GraphExecutionError,
    InProcessExecutor,
    MultiprocessExecutor,
    OutputOptions,
    PipeBaseGraphExecutor,
    PipetaskError,
    PreUpdateOptions,
    QuantumGraphExecutor,
    QuantumOutcome,
    RunOptions,
    Status,
    UsageError,
)
from pipetask.cli import graphs
from pipetask.execution.pipe_base_adapter import GraphTimeoutError, _raise_for
from pipetask.testing import MockPipeline
from test_adapter import YAML, load, separable
from test_observe import failed, summarize

from conftest import Repository, run_pipetask  # isort: skip

MakeRepository = Callable[..., Repository]
REGISTER = PreUpdateOptions(register_dataset_types=True)


def test_an_input_collection_may_be_gone_if_its_datasets_are_there(repository: Repository) -> None:
    with Butler.from_config(str(repository.root), writeable=True) as butler:
        butler.collections.x_remove("input_chain")
    summary = pipetask.run(repository.root, repository.graph, register_dataset_types=True, durability="none")
    assert summary.status == "succeeded"


@pytest.mark.slow
@pytest.mark.parametrize("exposure", [0, 1], ids=["of the first quantum", "of another"])
def test_a_removed_input_is_the_matter_of_its_quantum(repository: Repository, exposure: int) -> None:
    with Butler.from_config(str(repository.root), writeable=True) as butler:
        where = f"exposure={exposure} AND detector=0"
        refs = butler.query_datasets("raw", "input_chain", where=where, instrument="Mock")
        assert len(refs) == 1
        butler.pruneDatasets(refs, disassociate=True, unstore=True, purge=True)
    summary = pipetask.run(repository.root, repository.graph, register_dataset_types=True, durability="none")
    assert summary.total[Status.SUCCEEDED] >= 6, "all that does not need it"


@pytest.mark.slow
def test_a_graph_of_another_repository_is_refused(make_repository: MakeRepository) -> None:
    ours, other = make_repository(MockPipeline(2, 2), "ours"), make_repository(MockPipeline(2, 3), "other")
    with pytest.raises(PipetaskError, match="was it built for another repository"):
        pipetask.run(other.root, ours.graph, register_dataset_types=True)


@pytest.mark.slow
def test_a_local_butler_of_pipe_bases(repository: Repository, tmp_path: Path) -> None:
    """Its repository has the inputs, and not the collections that they came from."""
    (tmp_path / "pipeline.yaml").write_text(YAML)
    butler = SimplePipelineExecutor.prep_butler(str(repository.root), ["input_chain"], "u/me/simple")
    simple = SimplePipelineExecutor.from_pipeline_filename(str(tmp_path / "pipeline.yaml"), butler=butler)
    local = str(tmp_path / "local")
    simple.use_local_butler(local)
    options = RunOptions(collections=OutputOptions(extend_run=True), pre_update=REGISTER)
    PipeBaseGraphExecutor(InProcessExecutor(), local, options).execute(simple.predicted)
    with Butler.from_config(local) as found:
        assert len(found.query_datasets("post_isr", simple.predicted.header.output_run)) == 4


@pytest.mark.slow
def test_versions_need_not_be_saved(repository: Repository) -> None:
    graph = load(repository.graph)
    ours = PipeBaseGraphExecutor(InProcessExecutor(), repository.root)
    with separable(repository.root) as executor:
        executor.pre_execute_qgraph(graph, register_dataset_types=True, save_versions=False)
        executor.run_pipeline(graph, graph_executor=ours)
    assert ours.getReport().status.value == "success"


def test_a_timeout_is_pipe_bases_error_too() -> None:
    late = QuantumOutcome(0, Status.TIMED_OUT, 1.0, 2.0, reason="took longer than 1 s")
    with pytest.raises(MPTimeoutError) as raised:
        _raise_for(summarize([late, QuantumOutcome(1, Status.SUCCEEDED)]))
    assert isinstance(raised.value, GraphTimeoutError)
    with pytest.raises(MPGraphExecutorError) as raised_otherwise:
        _raise_for(summarize([late, failed(1)]))
    assert not isinstance(raised_otherwise.value, MPTimeoutError)


class Unprepared(MultiprocessExecutor):
    """Starts no process before it executes."""

    def prepare(self) -> None:
        pass


@pytest.mark.slow
def test_a_task_that_cannot_multiprocess_is_pipe_bases_error_too(make_repository: MakeRepository) -> None:
    repository = make_repository(MockPipeline(1, 1, task_classes={"isr": UnsociableTask}))
    options = RunOptions(collections=OutputOptions(output="u/out"), pre_update=REGISTER)
    ours = PipeBaseGraphExecutor(Unprepared(2, preload=False), repository.root, options)
    with pytest.raises(MPGraphExecutorError, match="Task 'isr' does not support multiprocessing") as raised:
        ours.execute(load(repository.graph))
    assert isinstance(raised.value, GraphExecutionError)


@pytest.mark.slow
def test_a_program_may_execute_a_graph_without_quanta(tmp_path: Path) -> None:
    graph = MockPipeline(exposures=0).make(tmp_path / "repo")
    for model in (InProcessExecutor(), MultiprocessExecutor(2)):
        options = RunOptions(collections=OutputOptions(extend_run=True), pre_update=REGISTER)
        summary = QuantumGraphExecutor(model, tmp_path / "repo", options).execute(graph)
        assert (summary.status, summary.outcomes) == ("succeeded", [])
        assert "0 quanta" in repr(summary)


@pytest.mark.slow
def test_the_command_refuses_a_graph_without_quanta(tmp_path: Path) -> None:
    graph = MockPipeline(exposures=0).make(tmp_path / "repo")
    ended = run_pipetask("run", "-b", str(tmp_path / "repo"), "-g", str(graph), "-o", "u/out")
    assert (ended.code, "graph.qg has no quanta: there is nothing to run." in ended.line) == (1, True)


@pytest.mark.slow
def test_a_summary_has_exit_codes_of_processes_and_pipe_bases_class(
    make_repository: MakeRepository, tmp_path: Path
) -> None:
    pipeline = MockPipeline(2, 2, configs={"isr": {"fail_condition": "exposure=1 and detector=0"}})
    file = tmp_path / "summary.json"
    for processes in (1, 2):
        repository = make_repository(pipeline, str(processes))
        pipetask.run(
            repository.root,
            repository.graph,
            register_dataset_types=True,
            processes=processes,
            durability="none",
            summary=file,
        )
        content = json.loads(file.read_text())
        assert (
            content["exceptionInfo"]["className"] == "lsst.pipe.base.mp_graph_executor.MPGraphExecutorError"
        )
        codes = {(each["status"], each.get("exitCode")) for each in content["quantaReports"]}
        if processes == 1:
            assert codes == {("success", None), ("failure", None), ("skipped", None)}
        else:
            assert codes == {("success", 0), ("failure", 1), ("skipped", None)}


@pytest.mark.slow
def test_what_is_finished_can_be_run_again(repository: Repository) -> None:
    run = {"register_dataset_types": True, "durability": "none"}
    first = pipetask.run(repository.root, repository.graph, **run)  # type: ignore[arg-type]
    assert first.status == "succeeded"
    ids = [first.graph.quantum_id(first.by_label()[label][0].id) for label in ("gather", "isr")]
    again = pipetask.run(
        repository.root,
        repository.graph,
        qgraph_node_id=ids[:1],
        extend_run=True,
        clobber_outputs=True,
        rerun_finished=True,
        **run,  # type: ignore[arg-type]
    )
    assert [outcome.status for outcome in again.outcomes] == [Status.SUCCEEDED]
    assert again.outcomes[0].start is not None, "it ran"
    everything = pipetask.run(
        repository.root,
        repository.graph,
        extend_run=True,
        clobber_outputs=True,
        rerun_finished=True,
        **run,  # type: ignore[arg-type]
    )
    assert everything.total == {Status.SUCCEEDED: 10}
    with Butler.from_config(str(repository.root)) as butler:
        assert len(butler.query_datasets("exposure_summary", "u/out/run")) == 2
    with pytest.raises(
        UsageError, match="rerun_finished=True requires extend_run=True and clobber_outputs=True"
    ):
        pipetask.run(repository.root, repository.graph, rerun_finished=True)


@pytest.mark.slow
def test_the_log_file_has_the_size_of_the_graph(repository: Repository, tmp_path: Path) -> None:
    log = tmp_path / "log"
    words = ["qgraph", "-b", str(repository.root), "-g", str(repository.graph)]
    ended = run_pipetask("--log-file", str(log), *words)
    assert ended.code == 0, ended.err
    assert "QuantumGraph contains 10 quanta for 3 tasks" in log.read_text()


def test_a_table_in_a_file_is_not_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    label = "a_label_of_" * 20
    with (tmp_path / "err").open("w") as file:
        monkeypatch.setattr("sys.stderr", file)
        graphs.print_quanta({label: 12, "b": 1})
    text = (tmp_path / "err").read_text()
    assert f"{label}      12\n" in text
    assert Console().width < len(label), "or else it proves nothing"
    assert os.environ.get("COLUMNS") is None


def test_pipe_bases_caller_may_hand_over_nothing(tmp_path: Path) -> None:
    """Without quanta, nothing has to be prepared."""
    graph = MockPipeline(exposures=0).make(tmp_path / "repo")
    ours = PipeBaseGraphExecutor("in-process", tmp_path / "repo")
    ours.execute(load(graph))
    report = ours.getReport()
    assert (report.status.value, report.quantaReports) == ("success", [])
