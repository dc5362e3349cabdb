"""Profile, coverage and lsstDebug, in this process and in workers."""

from __future__ import annotations

import contextlib
import cProfile
import logging
import os
import pstats
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import Pipe
from pathlib import Path
from typing import Any

import psutil
import pytest
from coverage import CoverageData

import odd_tasks
from fault_tasks import BombTask
from forked import run_forked
from odd_tasks import BrokenTask
from pipetask.development.coverage import record_coverage
from pipetask.development.profile import record_profile
from pipetask.development.workers import recording, wanted_recorders
from pipetask.errors import PipetaskError, UsageError
from pipetask.execution.graph_executor import QuantumGraphExecutor
from pipetask.executors.base import ExecutionContext, QuantumExecutor
from pipetask.executors.in_process import InProcessExecutor
from pipetask.executors.pool import MultiprocessExecutor
from pipetask.executors.pool.worker import _Worker
from pipetask.observe.summary import RunSummary
from pipetask.options.development import CoverageOptions, ProfileOptions
from pipetask.options.execution import ExecutionOptions, PreUpdateOptions, RunOptions
from pipetask.outcome import QuantumOutcome, Status
from pipetask.runner import Interruption, Ticket
from pipetask.testing import MockPipeline
from repository_dump import read_files, read_registry
from terminals import Terminal

from conftest import Finished, Repository  # isort: skip

pytestmark = pytest.mark.usefixtures("speaks_of_flags")

MakeRepository = Callable[..., Repository]
MODES = {
    "in-process": [],
    "forkserver": ["-j", "2"],
    "spawn": ["--mode", "multiprocess", "--start-method", "spawn"],
}
DEBUG_MODULE = "import os, pathlib\npathlib.Path(__file__).with_name(f'imported-{os.getpid()}').touch()\n"
ODD = MockPipeline(3, 1, task_classes={"isr": BrokenTask})


@dataclass(frozen=True)
class Observed:
    """A run with all that this module is about, and where it ran."""

    folder: Path
    done: Finished
    mode: str


@pytest.fixture(scope="module", params=MODES)
def observed(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Observed]:
    folder = tmp_path_factory.mktemp(request.param)
    (folder / "debug.py").write_text(DEBUG_MODULE)
    repository = Repository(folder / "repo", ODD.make(folder / "repo"))
    asked = ["--profile", "where.txt", "--coverage", "--cov-packages", "odd_tasks", "--debug"]
    with contextlib.chdir(folder), pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        done = run_forked(*repository.arguments(*MODES[request.param], *asked))
        yield Observed(folder, done, request.param)


def calls(file: Path, function: str, module: str) -> int:
    """Return how often a function was called."""
    stats = pstats.Stats(str(file)).stats  # type: ignore[attr-defined]
    return sum(
        counts[1]
        for (path, _, name), counts in stats.items()
        if name == function and Path(path).stem == module
    )


@pytest.mark.slow
def test_the_profile_has_every_quantum(observed: Observed) -> None:
    """Those of all workers, in one file; its name does not matter."""
    assert observed.done.code == 0, observed.done.err
    assert calls(observed.folder / "where.txt", "runQuantum", "odd_tasks") == 3
    assert calls(observed.folder / "where.txt", "runQuantum", "_pipeline_task") == 9


@pytest.mark.slow
def test_coverage_has_what_was_run_wherever_it_was_run(observed: Observed) -> None:
    (file,) = observed.folder.glob(".coverage.*")
    data = CoverageData(str(file))
    data.read()
    assert data.measured_files() == {odd_tasks.__file__}
    assert data.has_arcs()  # branches
    source = Path(odd_tasks.__file__).read_text().splitlines()
    lines = data.lines(odd_tasks.__file__) or []
    ran = {source[line - 1].strip() for line in lines}
    assert "super().runQuantum(butlerQC, inputRefs, outputRefs)" in ran
    assert 'raise ValueError("it is broken")' not in ran


@pytest.mark.slow
def test_there_is_a_report(observed: Observed) -> None:
    assert "odd_tasks" in (observed.folder / "covhtml" / "index.html").read_text()


@pytest.mark.slow
def test_the_debug_module_is_imported_where_tasks_run(observed: Observed) -> None:
    imported = {int(path.name.removeprefix("imported-")) for path in observed.folder.glob("imported-*")}
    assert 1 <= len(imported) <= 2
    assert os.getpid() not in imported


def test_nothing_else_is_left(observed: Observed) -> None:
    names = {path.name.partition("-")[0] for path in observed.folder.iterdir() if path.name != "__pycache__"}
    (data,) = (name for name in names if name.startswith(".coverage."))
    assert names == {"repo", "debug.py", "where.txt", "covhtml", "imported", data}


# What goes wrong.


def execute(repository: Repository, model: QuantumExecutor, **execution: object) -> RunSummary:
    options = RunOptions(
        pre_update=PreUpdateOptions(register_dataset_types=True), execution=ExecutionOptions(**execution)
    )
    executor = QuantumGraphExecutor(model, str(repository.root), options)
    return executor.execute(str(repository.graph))


@pytest.mark.slow
def test_what_a_killed_worker_knew_is_lost_and_that_is_said(
    make_repository: MakeRepository, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = {"bomb": "kill_self", "bomb_where": "exposure=2", "bomb_folder": str(tmp_path)}
    repository = make_repository(
        MockPipeline(3, 1, task_classes={"gather": BombTask}, configs={"gather": config})
    )
    file = tmp_path / "profile"
    summary = execute(repository, MultiprocessExecutor(1), profile=ProfileOptions(profile=str(file)))
    assert summary.total[Status.KILLED] == 1
    assert calls(file, "outcomes", "foreman") > 0
    assert calls(file, "runQuantum", "fault_tasks") == 0
    assert "There is no profile of workers that were killed (1)." in caplog.text


@pytest.mark.slow
def test_a_worker_that_is_interrupted_still_tells(
    make_repository: MakeRepository, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = {"bomb": "repeatable", "bomb_where": "exposure=0", "bomb_folder": str(tmp_path)}
    repository = make_repository(MockPipeline(3, 1, task_classes={"isr": BombTask}, configs={"isr": config}))
    file = tmp_path / "profile"
    profile = ProfileOptions(profile=str(file))
    summary = execute(repository, MultiprocessExecutor(1), profile=profile, fail_fast=True)
    assert summary.exit_code == 20
    assert calls(file, "repeatable", "fault_tasks") == 1
    assert "killed" not in caplog.text


class BreaksOff(InProcessExecutor):
    """Raises after the first quantum."""

    def execute(self, quanta: Any, context: ExecutionContext) -> Generator[QuantumOutcome, None, None]:
        yield next(super().execute(quanta, context))
        raise RuntimeError("the model is broken")


@pytest.mark.slow
def test_a_run_that_breaks_off_leaves_its_profile(repository: Repository, tmp_path: Path) -> None:
    file = tmp_path / "profile"
    summary = execute(repository, BreaksOff(), profile=ProfileOptions(profile=str(file)))
    assert "the model is broken" in str(summary.error)
    assert calls(file, "runQuantum", "_pipeline_task") == 1


def test_a_profile_that_cannot_be_written_does_not_cost_the_summary(
    repository: Repository, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    summary = execute(repository, InProcessExecutor(), profile=ProfileOptions(profile=str(tmp_path)))
    assert summary.exit_code == 0
    assert f"The profile could not be written to {tmp_path}: Is a directory." in caplog.text


@pytest.mark.skipif(sys.version_info < (3, 12), reason="older interpreters silently replace one by the other")
def test_only_one_profiler_can_be_active(tmp_path: Path) -> None:
    options = ProfileOptions(profile=str(tmp_path / "profile"))
    refused = pytest.raises(PipetaskError, match="another profiler is active")
    with cProfile.Profile(), refused, record_profile(options):
        pytest.fail("profiled by two")
    assert not wanted_recorders()


@pytest.mark.parametrize("empty", [None, ""])
def test_no_profile_is_none(empty: str | None) -> None:
    with record_profile(ProfileOptions(profile=empty)):
        assert not wanted_recorders()


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.mark.slow
def test_coverage_without_a_report_can_be_combined(repository: Repository, elsewhere: Path) -> None:
    """As scripts around LSST's command do."""
    done = run_forked(*repository.arguments("--coverage", "--no-cov-report"))
    assert done.code == 0, done.err
    (file,) = elsewhere.iterdir()
    assert file.name.startswith(".coverage.")
    subprocess.run([sys.executable, "-m", "coverage", "combine", "-q"], check=True, cwd=elsewhere)
    assert [path.name for path in elsewhere.iterdir()] == [".coverage"]


@pytest.mark.slow
def test_a_failed_run_leaves_its_coverage(make_repository: MakeRepository, elsewhere: Path) -> None:
    config = {"broken_where": "exposure=0"}
    pipeline = MockPipeline(1, 1, task_classes={"isr": BrokenTask}, configs={"isr": config})
    done = run_forked(*make_repository(pipeline).arguments("--coverage", "--cov-packages", "odd_tasks,os"))
    assert done.code == 1
    (file,) = elsewhere.glob(".coverage.*")
    data = CoverageData(str(file))
    data.read()
    source = Path(odd_tasks.__file__).read_text().splitlines()
    raised = next(number for number, line in enumerate(source, 1) if "it is broken" in line)
    assert raised in (data.lines(odd_tasks.__file__) or [])


@pytest.mark.slow
def test_coverage_of_nothing_is_said(repository: Repository, elsewhere: Path) -> None:
    done = run_forked(*repository.arguments("--coverage", "--cov-packages", "no_such_package"))
    assert done.code == 0, done.err
    assert "pipetask: --cov-packages no_such_package: there is no such package.\n" in done.err
    assert "There is no coverage report: No data to report.\n" in done.err


def test_without_the_package_nothing_is_begun(
    repository: Repository, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = read_registry(repository.root), read_files(repository.root)
    monkeypatch.setitem(sys.modules, "coverage", None)
    done = run_forked(*repository.arguments("--coverage"))
    assert done.code == 1
    assert done.err.splitlines() == [
        "pipetask: --coverage needs the package 'coverage', which is not installed: pip install coverage."
    ]
    assert (read_registry(repository.root), read_files(repository.root)) == before
    assert not list(elsewhere.iterdir())


def test_what_is_recorded_already_is_not_recorded_twice(elsewhere: Path) -> None:
    code = """if True:
        from pipetask.development.coverage import record_coverage
        from pipetask.development.workers import wanted_recorders
        from pipetask.options.development import CoverageOptions
        options = CoverageOptions(coverage=True, cov_report=False)
        with record_coverage(options), record_coverage(options):
            assert len(wanted_recorders()) == 1
        """
    subprocess.run([sys.executable, "-c", code], check=True, cwd=elsewhere)
    assert len(list(elsewhere.iterdir())) == 1


def test_recorders_reach_only_workers_that_begin_within(tmp_path: Path) -> None:
    assert not wanted_recorders()
    with record_profile(ProfileOptions(profile=str(tmp_path / "profile"))):
        (recorder,) = wanted_recorders()
    assert not wanted_recorders()
    with pytest.raises(FileNotFoundError), recording([recorder]):
        pytest.fail("no process would collect it")


def test_a_lost_worker_is_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    from pipetask.development.workers import collect, own_file

    with own_file(tmp_path) as path:
        path.write_text("all that I know")
    with contextlib.suppress(KeyboardInterrupt), own_file(tmp_path) as path:
        path.write_text("all that I")
        raise KeyboardInterrupt
    with caplog.at_level(logging.WARNING):
        (kept,) = collect(tmp_path, "memory")
    assert kept.read_text() == "all that I know"
    assert "There is no memory of workers that were killed (1)" in caplog.text


def test_no_coverage_is_none() -> None:
    with record_coverage(CoverageOptions()):
        assert not wanted_recorders()


# The debugger.


def bombed(folder: Path, where: str) -> MockPipeline:
    config = {"bomb": "fail", "bomb_where": where, "bomb_folder": str(folder)}
    return MockPipeline(3, 1, task_classes={"isr": BombTask}, configs={"isr": config})


@pytest.mark.slow
def test_workers_enter_the_debugger_one_at_a_time(make_repository: MakeRepository, tmp_path: Path) -> None:
    repository = make_repository(bombed(tmp_path, "exposure IN (0, 1)"))
    timeout = 6
    terminal = Terminal(*repository.arguments("--pdb", "-j", "2", "--timeout", str(timeout)))
    shown = terminal.read_until("(Pdb) ")
    assert re.search(r"isr \(instrument='Mock', detector=\d, exposure=\d\) raised ValueError: bomb", shown)
    assert 'raise ValueError("bomb") from cause' in shown
    terminal.type(f"import time; time.sleep({timeout + 1}); print(6 * 7)")  # longer than the timeout
    assert "\n42" in terminal.read_until("(Pdb) ")
    terminal.type("p 'the last of the first'")
    terminal.read_until("(Pdb) ")
    terminal.type("quit")
    terminal.read_until("(Pdb) ")
    terminal.type("up")
    assert "fault_tasks.py" in terminal.read_until("(Pdb) ")
    os.kill(
        terminal.process.pid, signal.SIGINT
    )  # ends what waits for a person; the quantum has failed all the same
    shown = terminal.read_until(None)
    assert terminal.close() == 130
    assert "2 failed" in shown
    assert "isr: 2 quanta failed" in shown
    assert "ValueError: bomb" in shown
    assert "timed" not in shown


class InterruptedAfterDebugger:
    """A runner whose quantum fails, is debugged, and is interrupted before its outcome is known."""

    def __init__(self, worker: _Worker):
        self._worker = worker

    def load(self, tickets: Sequence[Ticket]) -> None: ...

    def run(self, ticket: Ticket) -> QuantumOutcome:
        if ticket.id == 1:
            with self._worker._in_debugger(ValueError("bomb")):
                pass
        raise Interruption

    def close(self) -> None: ...


def test_what_was_debugged_before_an_interruption_has_failed() -> None:
    pipes = [Pipe(duplex=False) for _ in range(4)]
    (orders, _), (tokens, _), (halt, _), (_, results) = pipes
    worker = _Worker(orders, tokens, halt, results)
    runner = InterruptedAfterDebugger(worker)
    failed, cancelled = (worker._run(runner, Ticket(id, bytes(16))) for id in (1, 2))
    assert failed.status is Status.FAILED
    assert failed.error is not None
    assert failed.error.message == "bomb"
    assert cancelled.status is Status.CANCELLED


def leads_session(process: psutil.Process, parent: int) -> bool:
    """Return whether a process leads a session, and is no child of one; it may have ended."""
    with contextlib.suppress(psutil.NoSuchProcess, ProcessLookupError):
        return os.getsid(process.pid) == process.pid and process.ppid() != parent
    return False


@pytest.mark.slow
def test_what_had_failed_before_its_worker_died_has_failed(
    make_repository: MakeRepository, tmp_path: Path
) -> None:
    repository = make_repository(bombed(tmp_path, "exposure=0"))
    terminal = Terminal(*repository.arguments("--pdb", "-j", "1", "--timeout", "1000"))
    terminal.read_until("(Pdb) ")
    processes = psutil.Process(terminal.process.pid).children(recursive=True)
    # The server leads a session as well, but it is our child.
    (worker,) = (process for process in processes if leads_session(process, terminal.process.pid))
    worker.kill()
    shown = terminal.read_until(None)
    assert terminal.close() == 1
    assert "ValueError: bomb" in shown
    assert "6 succeeded, 1 failed, 2 blocked" in shown


@pytest.mark.slow
@pytest.mark.parametrize("how", ["c\n", "q\n", "\x04"], ids=["continue", "quit", "end of input"])
def test_however_a_debugger_is_left_the_task_is_not_blamed(
    how: str, make_repository: MakeRepository, tmp_path: Path
) -> None:
    terminal = Terminal(*make_repository(bombed(tmp_path, "exposure=0")).arguments("--pdb"))
    assert "(instrument='Mock', " in terminal.read_until("(Pdb) ").partition(" raised ValueError: bomb")[0]
    terminal.press(how)
    shown = terminal.read_until(None)
    assert terminal.close() == 1
    assert "leaves behind" not in shown
    assert "\n" in shown.partition("mean")[0], "the table of results begins on a line of its own"


@pytest.mark.slow
def test_a_debugger_that_fails_does_not_hide_the_failure(
    make_repository: MakeRepository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bad_debugger.py").write_text("def post_mortem(traceback):\n    raise SystemExit(3)\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    summary = execute(make_repository(bombed(tmp_path, "exposure=0")), InProcessExecutor("bad_debugger"))
    (failure,) = summary.failed
    assert failure.error is not None
    assert failure.error.type_name == "ValueError"


@pytest.mark.parametrize("module", ["no_such_module", "json", "", "../x", "a b", "x" * 3000])
def test_what_is_no_debugger_is_refused(module: str) -> None:
    for executor in (InProcessExecutor(module).check, lambda _: MultiprocessExecutor(2, debugger=module)):
        with pytest.raises(UsageError, match="no such debugger"):
            executor(None)  # type: ignore[arg-type]


def test_workers_need_a_terminal_for_a_debugger(monkeypatch: pytest.MonkeyPatch) -> None:
    with Path(os.devnull).open() as null:
        monkeypatch.setattr(sys, "stdin", null)
        with pytest.raises(UsageError, match=r"--pdb beside worker processes .* needs a terminal"):
            MultiprocessExecutor(2, debugger="pdb")
