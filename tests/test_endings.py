"""How a run ends when something other than a quantum goes wrong: a table of faults, and what must hold after each.

Whatever ends a run, the summary is there, whole, with each quantum exactly once, and the exit code is true.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import sqlite3
import subprocess
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from lsst.daf.butler import Butler
from lsst.pipe.base.quantum_reports import Report

from pipetask.errors import UsageError
from pipetask.execution.graph_executor import QuantumGraphExecutor
from pipetask.execution.interruption import RunInterrupted
from pipetask.executors.base import ExecutionContext, QuantumExecutor
from pipetask.executors.in_process import InProcessExecutor
from pipetask.executors.pool import MultiprocessExecutor
from pipetask.observe.sink import Sink
from pipetask.observe.summary import RunSummary
from pipetask.observe.summary_file import SummaryFile
from pipetask.options.execution import PreUpdateOptions, RunOptions
from pipetask.outcome import QuantumOutcome, Status
from pipetask.testing.plain_runs import wait_until

from conftest import Repository  # isort: skip
from test_runs import bombed  # isort: skip

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("speaks_of_flags")]

QUANTA = 10
BOMBED_QUANTA = 14
MODELS = {"in-process": InProcessExecutor, "-j 2": lambda: MultiprocessExecutor(2)}
MOMENTS = {"at the start": 1, "midway": 5, "at the end": QUANTA - 1}
OF_ALL_MOMENTS = pytest.mark.parametrize("moment", MOMENTS)


@dataclass
class At(Sink):
    """Does something when a number of quanta have ended."""

    number: int
    act: Callable[[], object]

    def note(self, outcome: QuantumOutcome) -> None:
        self.number -= 1
        if self.number == 0:
            self.act()


def execute(
    repository: Repository, model: QuantumExecutor, *sinks: Sink, graph: Path | None = None
) -> RunSummary:
    options = RunOptions(pre_update=PreUpdateOptions(register_dataset_types=True))
    executor = QuantumGraphExecutor(model, str(repository.root), options, sinks)
    return executor.execute(str(graph or repository.graph))


def read_summary(path: Path, summary: RunSummary) -> dict[str, Any]:
    """Read a summary, check what holds of every one, and that nothing else is left beside it."""
    assert [each.name for each in path.parent.iterdir()] == [path.name]
    content: dict[str, Any] = json.loads(path.read_text())
    report = Report.model_validate(content)
    ids = [quantum["quantumId"] for quantum in content["quanta"]]
    assert len(ids) == len(set(ids)) == QUANTA
    assert [str(quantum.quantumId) for quantum in report.quantaReports] == ids
    assert content["exitCode"] == summary.exit_code
    assert (content["exitCode"] == 0) == (content["outcome"] == "succeeded")
    return content


def n_registered(root: Path) -> int:
    """Return how many quanta have all that they wrote in the registry."""
    with Butler.from_config(str(root)) as butler:
        return sum(
            ref.datasetType.name.endswith("_metadata")
            for ref in butler.query_all_datasets("u/out/run", limit=None)
        )


# The registry.


def break_registry(root: Path) -> None:
    with closing(sqlite3.connect(root / "gen3.sqlite3")) as database:
        database.execute(
            "CREATE TRIGGER broken BEFORE INSERT ON dataset BEGIN INSERT INTO nonesuch VALUES (1); END"
        )


def mend_registry(root: Path) -> None:
    with closing(sqlite3.connect(root / "gen3.sqlite3")) as database:
        database.execute("DROP TRIGGER broken")


@pytest.fixture
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let outputs be registered at once."""
    monkeypatch.setattr("pipetask.repository.registrar.LONGEST_WAIT", 0.0)


@pytest.mark.usefixtures("no_waiting")
@pytest.mark.parametrize(
    ("moment", "model"), [*((moment, "in-process") for moment in MOMENTS), ("midway", "-j 2")]
)
def test_registration_fails(repository: Repository, tmp_path: Path, moment: str, model: str) -> None:
    path = tmp_path / "out" / "summary.json"
    path.parent.mkdir()
    sinks = [SummaryFile(str(path), []), At(MOMENTS[moment], lambda: break_registry(repository.root))]
    summary = execute(repository, MODELS[model](), *sinks)
    content = read_summary(path, summary)
    done = summary.total[Status.SUCCEEDED]
    assert summary.exit_code == 1
    assert summary.unregistered == content["unregistered"] == done - n_registered(repository.root) > 0
    assert f"Outputs of {summary.unregistered} quanta could not be registered" in str(summary.error)
    assert "nonesuch" in content["exceptionInfo"]["message"]
    assert set(summary.total) <= {Status.SUCCEEDED, Status.CANCELLED}


@pytest.mark.usefixtures("no_waiting")
def test_what_could_not_be_registered_is_tried_once_more(
    repository: Repository, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "pipetask.repository.registrar")

    class Mends(InProcessExecutor):
        """Runs two quanta while the registry is broken, and no others."""

        def execute(self, quanta: Any, context: ExecutionContext) -> Generator[QuantumOutcome, None, None]:
            executed = super().execute(quanta, context)
            break_registry(repository.root)
            yield next(executed)
            wait_until(lambda: "Could not register" in caplog.text, "it was tried")
            yield next(executed)
            assert context.stop, "it is asked for as soon as something cannot be registered"
            mend_registry(repository.root)
            yield from executed

    summary = execute(repository, Mends())
    assert summary.total == {Status.SUCCEEDED: 2, Status.CANCELLED: QUANTA - 2}
    assert (summary.unregistered, summary.error, summary.exit_code) == (0, None, 1)
    assert n_registered(repository.root) == 2


# The graph.


def cut(path: Path) -> None:
    os.truncate(path, 100)


def replace(path: Path) -> None:
    shutil.copy(path, path.with_name("other.qg"))
    path.with_name("other.qg").replace(path)


@pytest.mark.parametrize(
    ("act", "model"), [*((act, "in-process") for act in (Path.unlink, replace, cut)), (Path.unlink, "-j 2")]
)
def test_the_graph_is_gone_at_the_end(
    repository: Repository, tmp_path: Path, act: Callable[[Path], None], model: str
) -> None:
    path = tmp_path / "out" / "summary.json"
    path.parent.mkdir()
    at_the_end = At(QUANTA, lambda: act(repository.graph))
    summary = execute(repository, MODELS[model](), SummaryFile(str(path), []), at_the_end)
    assert summary.exit_code == 0
    content = read_summary(path, summary)
    tasks = content["qgraphSummary"]["qgraphTaskSummaries"]
    assert {label: task["numQuanta"] for label, task in tasks.items()} == {
        "isr": 4,
        "characterize": 4,
        "gather": 2,
    }
    assert ("numInputs" in tasks["isr"]) == (act is not cut), "what is open can be read, unless it was cut"


# The execution model.


class BreaksOff(InProcessExecutor):
    """Raises after some quanta."""

    def __init__(self, number: int):
        super().__init__()
        self.number = number

    def execute(self, quanta: Any, context: ExecutionContext) -> Generator[QuantumOutcome, None, None]:
        executed = super().execute(quanta, context)
        for _ in range(self.number):
            yield next(executed)
        raise OSError(28, "No space left on device", "/somewhere")


@OF_ALL_MOMENTS
def test_the_model_breaks_off(repository: Repository, tmp_path: Path, moment: str) -> None:
    path = tmp_path / "out" / "summary.json"
    path.parent.mkdir()
    number = MOMENTS[moment]
    summary = execute(repository, BreaksOff(number), SummaryFile(str(path), []))
    content = read_summary(path, summary)
    assert summary.exit_code == 1
    assert str(summary.error) == "The run broke off: /somewhere: No space left on device."
    assert summary.total == {Status.SUCCEEDED: number, Status.CANCELLED: QUANTA - number} or number == QUANTA
    assert content["exceptionInfo"]["message"] == str(summary.error)
    assert n_registered(repository.root) == number, "what was done is registered"


@pytest.mark.parametrize("processes", [1, 2])
def test_no_worker_can_start_any_more(
    make_repository: Callable[..., Repository], tmp_path: Path, processes: int
) -> None:
    """The graph goes, and workers die whose places are to be taken."""
    repository = make_repository(bombed("lose_graph_and_die", "exposure IN (0, 1)", tmp_path))
    (tmp_path / "graph").write_text(str(repository.graph))
    path = tmp_path / "out" / "summary.json"
    path.parent.mkdir()
    summary = execute(repository, MultiprocessExecutor(processes), SummaryFile(str(path), []))
    total = summary.total
    assert 1 <= total[Status.KILLED] <= processes
    assert sum(total.values()) == BOMBED_QUANTA
    assert "A worker could not start" in str(summary.error)
    assert summary.exit_code == 1
    assert n_registered(repository.root) == total[Status.SUCCEEDED] > 0
    content = json.loads(path.read_text())
    assert sum(sum(counts.values()) for counts in content["counts"].values()) == BOMBED_QUANTA
    assert content["exceptionInfo"]["message"] == str(summary.error)


class Repeats(InProcessExecutor):
    """Yields each outcome twice, and not the last."""

    def execute(self, quanta: Any, context: ExecutionContext) -> Generator[QuantumOutcome, None, None]:
        for outcome in list(super().execute(quanta, context))[:-1]:
            yield outcome
            yield outcome


def test_a_model_that_counts_badly(repository: Repository, tmp_path: Path) -> None:
    path = tmp_path / "out" / "summary.json"
    path.parent.mkdir()
    summary = execute(repository, Repeats(), SummaryFile(str(path), []))
    read_summary(path, summary)
    assert summary.total == {Status.SUCCEEDED: QUANTA - 1, Status.CANCELLED: 1}
    assert summary.exit_code == 1


# Sinks.


@dataclass
class Broken(Sink):
    """Raises at some step."""

    step: str

    def __post_init__(self) -> None:
        setattr(self, self.step, self._break)

    def _break(self, *arguments: object) -> None:
        raise RuntimeError("no such thing")


@pytest.mark.parametrize("step", ["begin", "note", "end"])
def test_a_broken_sink_is_left_out(
    repository: Repository, tmp_path: Path, step: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "out" / "summary.json"
    path.parent.mkdir()
    summary = execute(repository, InProcessExecutor(), Broken(step), SummaryFile(str(path), []))
    read_summary(path, summary)
    assert summary.exit_code == 0
    (line,) = [record.getMessage() for record in caplog.records if record.name == "pipetask.observe.sink"]
    assert "Broken: RuntimeError: no such thing" in line


# The summary's file.


def test_a_summary_that_cannot_be_written_costs_nothing_else(
    repository: Repository, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    gone = At(QUANTA, lambda: shutil.rmtree(folder))
    summary = execute(repository, InProcessExecutor(), SummaryFile(str(folder / "summary.json"), []), gone)
    assert summary.exit_code == 0
    assert f"could not be written to {folder}/summary.json: No such file or directory." in caplog.text


def test_an_older_summary_stays_if_the_disk_is_full(repository: Repository, tmp_path: Path) -> None:
    path = tmp_path / "summary.json"
    path.write_text("older")

    class Full(SummaryFile):
        def fields(self, summary: RunSummary) -> Any:
            yield "status", "success"
            raise OSError(28, "No space left on device")

    assert execute(repository, InProcessExecutor(), Full(str(path), [])).exit_code == 0
    assert path.read_text() == "older"
    assert {each.name for each in tmp_path.iterdir()} == {"summary.json", "repo"}


def test_what_killed_commands_have_left_is_removed(repository: Repository, tmp_path: Path) -> None:
    path = tmp_path / "out" / "summary.json"
    path.parent.mkdir()
    with subprocess.Popen(["true"]) as ended:
        pass
    of_the_dead, of_the_living = (path.with_name(f".summary.json.{pid}") for pid in (ended.pid, os.getppid()))
    of_the_dead.touch()
    of_the_living.touch()
    summary = execute(repository, InProcessExecutor(), SummaryFile(str(path), []))
    assert not of_the_dead.exists()
    of_the_living.unlink()
    read_summary(path, summary)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=str)
def test_a_signal_while_the_summary_is_written_waits(
    repository: Repository, tmp_path: Path, number: int
) -> None:
    path = tmp_path / "out" / "summary.json"
    path.parent.mkdir()

    class Interrupted(SummaryFile):
        def fields(self, summary: RunSummary) -> Any:
            for field in super().fields(summary):
                os.kill(os.getpid(), number)
                yield field

    summary = execute(repository, InProcessExecutor(), Interrupted(str(path), []))
    assert summary.exit_code == 0
    read_summary(path, summary)


def test_a_task_may_go_elsewhere(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    sink = SummaryFile("out/summary.json", [])
    summary = execute(
        repository,
        InProcessExecutor(),
        sink,
        At(1, lambda: os.chdir("elsewhere")),
        graph=Path("repo/graph.qg"),
    )
    assert summary.exit_code == 0
    read_summary(tmp_path / "out" / "summary.json", summary)


def test_what_is_no_file_is_not_replaced(repository: Repository, tmp_path: Path) -> None:
    link, target, pipe = tmp_path / "link.json", tmp_path / "target.json", tmp_path / "pipe"
    link.symlink_to(target)
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    assert (
        execute(repository, InProcessExecutor(), *(SummaryFile(str(p), []) for p in (link, pipe))).exit_code
        == 0
    )
    assert link.is_symlink()
    assert json.loads(target.read_text())["outcome"] == "succeeded"
    assert pipe.is_fifo()
    assert os.read(reader, 10).startswith(b"{")
    os.close(reader)


def test_a_place_that_cannot_be_is_refused_at_once(tmp_path: Path) -> None:
    for name in ("nowhere/summary.json", "."):
        with pytest.raises(UsageError, match="--summary"):
            SummaryFile(str(tmp_path / name), [])


@pytest.mark.parametrize(
    "model", [InProcessExecutor, lambda: MultiprocessExecutor(2)], ids=["here", "workers"]
)
def test_an_interrupt_ends_a_program_too_after_what_is_done_is_registered(
    repository: Repository, model: Callable[[], QuantumExecutor]
) -> None:
    """The next cells of a notebook must not run, and nothing that was finished is lost."""
    interrupt = At(3, lambda: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(KeyboardInterrupt) as raised:
        execute(repository, model(), interrupt)
    assert isinstance(raised.value, RunInterrupted)
    summary = raised.value.summary
    assert (summary.status, len(summary.outcomes)) == ("cancelled", 10)
    done = summary.total[Status.SUCCEEDED]
    assert 3 <= done <= 10
    assert f"{done} of 10 quanta are done, and stay so" in str(raised.value)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler, "the next one is Python's again"
    with Butler.from_config(str(repository.root)) as butler:
        names = ("post_isr", "calibrated", "exposure_summary")
        found = [ref for name in names for ref in butler.query_datasets(name, "u/out/run", explain=False)]
    assert len(found) == done, "each has one output"


def test_another_signal_is_in_the_summary(repository: Repository) -> None:
    terminate = At(1, lambda: os.kill(os.getpid(), signal.SIGTERM))
    assert execute(repository, InProcessExecutor(), terminate).signal == signal.SIGTERM
