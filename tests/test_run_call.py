"""One call that runs a graph: its keywords are the options of the command, and its errors speak of them."""

from __future__ import annotations

import inspect
import json
import os
import signal
import subprocess
import sys
import typing
import uuid
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import MISSING
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import pipetask
from pipetask import (
    InProcessExecutor,
    MultiprocessExecutor,
    PipetaskError,
    QuantumBackedGraphExecutor,
    QuantumGraphExecutor,
    UsageError,
)
from pipetask.batch.run_directory import RunDirectory
from pipetask.batch.status import RunPhase
from pipetask.errors import one_line
from pipetask.execution.graph_executor import _warn_of_kept_outputs
from pipetask.execution.run import MODEL_GROUPS, run
from pipetask.execution.whole_imports import whole_imports
from pipetask.journal.places import journals_in
from pipetask.monitor.local import LocalWatch
from pipetask.observe.sink import Audience
from pipetask.options.declaration import Declared, Option, item_type
from pipetask.options.execution import ExecutorOptions, RunOptions
from pipetask.options.keywords import keywords, values_of
from pipetask.options.records import RecordOptions
from pipetask.wording import speaking_of_flags

from conftest import Repository, environment, run_pipetask  # isort: skip

_POOL = ThreadPoolExecutor(1)  # it starts its threads when it is used

OF_THE_COMMAND = {"on_end", "no_journal"}
"""Options that need the command: it calls, or writes, what belongs to it."""

OPTIONS = {
    name: each
    for name, each in keywords([RunOptions, RecordOptions, *MODEL_GROUPS]).items()
    if name not in OF_THE_COMMAND
}
PARAMETERS = inspect.signature(run).parameters
HINTS = typing.get_type_hints(
    run,
    localns={"GraphLike": Any, "Sink": Any, "RunSummary": Any},
    globalns={**vars(sys.modules[run.__module__])},
)


def accepted(each: Declared) -> Any:
    """Return the type of the keyword for an option, which takes what is convenient, too."""
    item, container = item_type(each.annotation)
    assert isinstance(each.option, Option)
    if isinstance(item, type) and issubclass(item, Enum):
        item = item | str
    elif item is uuid.UUID:
        item = uuid.UUID | str
    elif item is str and (
        each.option.new_file or each.option.complete in ("files", "folders") or each.name == "run_dir"
    ):
        item = str | Path
    if container is not None:
        item = item | Iterable[item]
    return item | None if each.default is None else item


def test_keywords_are_the_options_of_the_command() -> None:
    own = {"repo", "graph", "mode", "route", "sinks"}
    assert set(PARAMETERS) - own == OPTIONS.keys()
    assert {"mode", "route"} <= keywords([ExecutorOptions]).keys()
    assert keywords([RecordOptions]).keys() >= OF_THE_COMMAND, "no longer there: take it off the list"


@pytest.mark.parametrize("name", OPTIONS)
def test_a_keyword_has_the_default_and_the_type_of_its_option(name: str) -> None:
    each, parameter = OPTIONS[name], PARAMETERS[name]
    assert each.default is not MISSING
    assert parameter.kind is inspect.Parameter.KEYWORD_ONLY
    assert parameter.default == each.default
    assert set(_parts(HINTS[name])) == set(_parts(accepted(each)))


def _parts(annotation: Any) -> tuple[Any, ...]:
    return (
        typing.get_args(annotation)
        if "|" in str(annotation) and typing.get_origin(annotation) is not Iterable
        else (annotation,)
    )


def test_the_help_describes_each_keyword() -> None:
    doc = inspect.getdoc(run) or ""
    assert "\nfail_fast\n    Stop at the first failure.\n" in doc
    assert "durability\n" in doc
    assert "\nclobber_outputs\n    With extend_run=True: replace outputs" in doc
    assert doc.index("\ntimings\n") < doc.index("\nReturns\n-------")
    for name in OPTIONS:
        assert f"\n{name}" in doc or f", {name}" in doc, name


@pytest.mark.slow
def test_one_call_runs_a_graph(repository: Repository, tmp_path: Path) -> None:
    summary = pipetask.run(
        repository.root,
        repository.graph,
        input="input_chain",
        output="u/out",
        register_dataset_types=True,
        durability="none",
        processes=2,
        timeout=2000,
        summary=tmp_path / "summary.json",
        journal=tmp_path / "journal",
    )
    (journal,) = journals_in(tmp_path / "journal")
    assert LocalWatch(journal).look().phase is RunPhase.SUCCEEDED
    assert (summary.status, len(summary.outcomes)) == ("succeeded", 10)
    assert json.loads((tmp_path / "summary.json").read_text())["exitCode"] == 0
    first = summary.outcomes[0]
    again = pipetask.run(
        str(repository.root), str(repository.graph), extend_run=True, mode="in-process", trust_registry=True
    )
    assert again.total == {pipetask.Status.SKIPPED: 10}
    with pytest.raises(PipetaskError, match=r"exists: add extend_run=True to continue it"):
        pipetask.run(repository.root, repository.graph)
    planned = pipetask.run(
        repository.root,
        repository.graph,
        extend_run=True,
        mode="dry-run",
        qgraph_node_id=summary.graph.quantum_id(first.id),
        plan=tmp_path / "plan",
    )
    assert len(planned.outcomes) == 1


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"timeout": 0}, "timeout=0: it must be more than 0."),
        ({"timeout": "600"}, "timeout='600': it must be a number."),
        ({"processes": 0}, "processes=0: it must be at least 1."),
        ({"processes": True}, "processes=True: it must be an integer."),
        ({"extend_run": "yes"}, "extend_run='yes': it must be True or False."),
        ({"output": 3}, "output=3: it must be a string."),
        ({"durability": "some"}, "durability='some': choose one of 'full', 'none'."),
        ({"prune_replaced": "keep"}, "prune_replaced='keep': choose one of 'unstore', 'purge'."),
        (
            {"memory_per_quantum": "much"},
            "memory_per_quantum='much': 'much' is not a size such as 2000 (megabytes)",
        ),
        ({"qgraph_node_id": "x"}, "qgraph_node_id='x': badly formed"),
        ({"mode": "multiproces"}, "mode='multiproces': no such mode: did you mean 'multiprocess'?"),
        ({"mode": "dask"}, "mode='dask': no such mode, but an engine: use mode='futures' with engine dask."),
        ({"mode": MultiprocessExecutor}, "mode=MultiprocessExecutor is a class: give an instance, such as"),
        ({"mode": _POOL}, "mode is of type ThreadPoolExecutor: wrap it, as in mode=FuturesExecutor(…)."),
        (
            {"mode": 8},
            "mode is of type int: give an instance of an execution model, or one of the names 'in-process'",
        ),
        (
            {"mode": InProcessExecutor(), "processes": 2},
            "processes=2 has no effect where mode is an instance",
        ),
        (
            {"bundle_size": 5},
            "bundle_size=5 is an option of mode='condor', and quanta run with mode='in-process'",
        ),
        (
            {"mode": "in-process", "timeout": 5},
            "timeout needs a process to kill: use mode='multiprocess' (with processes=1",
        ),
        (
            {"extend_run": True, "replace_run": True},
            "extend_run=True and replace_run=True exclude each other.",
        ),
        (
            {"registry_pre_update": "deferred"},
            "registry_pre_update='deferred' is for batch runs: use 'now' here.",
        ),
    ],
    ids=lambda value: str(value)[:40] if isinstance(value, str) else "",
)
def test_what_makes_no_sense_is_refused_in_one_line_that_names_the_argument(
    given: dict[str, Any], message: str, request: pytest.FixtureRequest
) -> None:
    repository = request.getfixturevalue("shared_repository")
    with pytest.raises(UsageError) as raised:
        pipetask.run(repository.root, repository.graph, **given)
    assert str(raised.value).startswith(message)
    assert "\n" not in str(raised.value)


@pytest.fixture(scope="module")
def shared_repository(repository_template: Any) -> Repository:
    root = repository_template(pipetask.testing.MockPipeline())
    return Repository(root, root / "graph.qg")


def test_the_last_job_of_a_batch_run_writes_what_shows_it(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    summary = run(
        repository.root,
        repository.graph,
        mode="condor",
        output="u/records",
        input="input_chain",
        register_dataset_types=True,
        run_dir="batch",
        submit=False,
        html="page.html",
        trace="trace.json",
        summary="summary.json",
    )
    assert summary.exit_code == 0
    assert (tmp_path / "summary.json").exists()
    assert not (tmp_path / "page.html").exists()
    later = RunDirectory(tmp_path / "batch").recipe().later
    assert later is not None
    asked = RecordOptions(html=f"{tmp_path}/page.html", trace=f"{tmp_path}/trace.json")
    assert later.records == asked


def test_a_misspelt_keyword_names_the_one_that_was_meant() -> None:
    with pytest.raises(TypeError, match=r"^run\(\) has no argument 'procesess': did you mean 'processes'\?$"):
        run("repo", "graph.qg", procesess=2)  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: QuantumGraphExecutor("in-process", "repo", pipetask.OutputOptions()),
            "options is of type OutputOptions: give RunOptions(collections=OutputOptions(…)).",
        ),
        (
            lambda: QuantumGraphExecutor("in-process", "repo", pipetask.QuantumOptions()),
            "options is of type QuantumOptions: give RunOptions(execution=ExecutionOptions("
            "quantum=QuantumOptions(…))).",
        ),
        (
            lambda: QuantumGraphExecutor(
                "in-process", "repo", RunOptions(collections=pipetask.RetryOptions())
            ),
            "options.collections is of type RetryOptions: give OutputOptions(…).",
        ),
        (
            lambda: pipetask.PipeBaseGraphExecutor("in-process", "repo", pipetask.OutputOptions()),
            "options is of type OutputOptions: give RunOptions(collections=OutputOptions(…)).",
        ),
        (
            lambda: QuantumBackedGraphExecutor("in-process", "repo", RunOptions()),
            "options is of type RunOptions: give QuantumBackedOptions(…).",
        ),
        (
            lambda: MultiprocessExecutor(pipetask.MultiprocessOptions()),
            "processes is of type MultiprocessOptions: options are for from_options(…).",
        ),
        (lambda: MultiprocessExecutor("8"), "processes is of type str: give an integer."),
        (
            lambda: InProcessExecutor(pipetask.InProcessOptions()),
            "debugger is of type InProcessOptions: options are for from_options(…).",
        ),
        *(
            (
                partial(model.from_options, RunOptions()),
                f"options is of type RunOptions: give {model.options_group.__name__}(…).",
            )
            for model in map(pipetask.find_executor, ("in-process", "multiprocess", "futures", "dry-run"))
        ),
        (
            lambda: pipetask.build_pipeline(pipetask.GraphBuildOptions()),
            "options is of type GraphBuildOptions: give PipelineOptions(…).",
        ),
        (
            lambda: pipetask.build_graph("repo", None, pipetask.OutputOptions()),
            "building is of type OutputOptions: give GraphBuildOptions(…).",
        ),
        (
            lambda: pipetask.CondorSystem(pipetask.BatchOptions()),
            "options is of type BatchOptions: give CondorOptions(…).",
        ),
        (
            lambda: pipetask.SlurmSystem(pipetask.CondorOptions()),
            "options is of type CondorOptions: give SlurmOptions(…).",
        ),
    ],
)
def test_options_of_another_class_are_refused_in_one_line(call: Callable[[], object], message: str) -> None:
    with pytest.raises(UsageError) as refused:
        call()
    assert str(refused.value) == message


def test_reports_and_pipelines_take_paths(repository: Repository, tmp_path: Path) -> None:
    graph = Path(repository.graph)
    run(repository.root, graph, output="u/out", input="input_chain", register_dataset_types=True)
    report = pipetask.report_on_graph(pipetask.ReportCommand(repo=Path(repository.root), qgraphs=(graph,)))
    assert report.tasks
    (file := tmp_path / "p.yaml").write_text(
        "description: one\ntasks: {a: lsst.pipe.base.tests.mocks.DynamicTestPipelineTask}\n"
    )
    assert pipetask.build_pipeline(pipetask.PipelineOptions(pipeline=file))


def test_an_empty_text_stands_for_the_default() -> None:
    assert values_of([RunOptions], {"memory_per_quantum": ""}) == {"memory": None}


def test_an_interruption_waits_for_the_end_of_imports() -> None:
    handler, imported = signal.getsignal(signal.SIGINT), []

    def interrupted_imports() -> None:
        with whole_imports():
            os.kill(os.getpid(), signal.SIGINT)
            imported.append("the rest")

    with pytest.raises(KeyboardInterrupt):
        interrupted_imports()
    assert imported == ["the rest"]
    assert signal.getsignal(signal.SIGINT) is handler


def test_an_executor_may_be_a_name(shared_repository: Repository) -> None:
    for kind in (QuantumGraphExecutor, QuantumBackedGraphExecutor):
        kind("multiprocess", shared_repository.root)
        with pytest.raises(UsageError, match="mode='multi': no such mode"):
            kind("multi", shared_repository.root)
        with pytest.raises(UsageError, match="executor=MultiprocessExecutor is a class: give an instance"):
            kind(MultiprocessExecutor, shared_repository.root)  # type: ignore[arg-type]
    summary = QuantumGraphExecutor("dry-run", shared_repository.root).execute(shared_repository.graph)
    assert summary.total[pipetask.Status.PLANNED] == 10


def test_messages_name_what_the_user_has_given() -> None:
    message = "-j 0: use --no-submit, --registry-pre-update skip, or --extend-run (--log-level DEBUG shows where); ls."
    error = UsageError(message)
    with speaking_of_flags():
        assert str(error) == message
        assert one_line(error) == message
    assert str(error) == (
        "processes=0: use submit=False, registry_pre_update='skip', or extend_run=True (its __cause__ shows where); ls."
    )
    refused = UsageError("put that right and try again; --log-level DEBUG shows where it is.")
    assert str(refused) == "put that right and try again; its __cause__ shows where it is."
    command = UsageError("Use mpiexec -n 2 python -m mpi4py.futures, or try --start-method spawn.")
    assert str(command) == "Use mpiexec -n 2 python -m mpi4py.futures, or try start_method='spawn'."


def test_a_sink_that_raises_is_named_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    class Mine(pipetask.Sink):
        def note(self, outcome: pipetask.QuantumOutcome) -> None:
            raise ValueError("no")

    outcome = pipetask.QuantumOutcome(0, pipetask.Status.SUCCEEDED, 1.0, 2.0)
    Audience([Mine()]).note(outcome)
    with speaking_of_flags():
        Audience([Mine()]).note(outcome)
    assert [record.message for record in caplog.records if record.levelname == "WARNING"] == [
        f"Mine: ValueError: no ({where} DEBUG shows where).  The run itself is not affected."
        for where in ("log level", "--log-level")
    ]


def test_a_warning_names_what_the_user_has_given(caplog: pytest.LogCaptureFixture) -> None:
    _warn_of_kept_outputs(frozenset({3}))
    with speaking_of_flags():
        _warn_of_kept_outputs(frozenset({3, 4}))
    one, two = caplog.messages
    assert one.startswith("1 quantum has failed before")
    assert "add clobber_outputs=True to" in one
    assert two.startswith("2 quanta have failed before")
    assert "add --clobber-outputs to" in two


@pytest.mark.slow
def test_the_command_names_flags(shared_repository: Repository) -> None:
    ended = run_pipetask(*shared_repository.arguments("--replace-run", "--extend-run"))
    assert ended.line == "pipetask: --extend-run and --replace-run exclude each other."


def test_the_package_lists_its_public_names() -> None:
    code = "import pipetask; print(*dir(pipetask)); print(pipetask.__version__)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env=environment(),
        check=True,
    )
    names, version = done.stdout.splitlines()
    assert names.split() == sorted([*pipetask.__all__, "__version__"])
    assert version.count(".") >= 1
