"""A run comes back after its command, or its engine, has died: nothing is lost, and nothing is run twice."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from brokers import need, running_broker, running_celery, running_endpoint
from engines import ENGINES, mpi_launcher, running_dask
from peer import assert_same_repository
from pipetask.executors.base import ExecutionContext
from pipetask.executors.futures import FuturesExecutor
from pipetask.executors.futures.bundle_file import BundleFile, BundleTakenError, BundleWriter
from pipetask.executors.futures.engines.local import Threads
from pipetask.executors.futures.shared_folder import SharedFolder
from pipetask.executors.futures.survivors import Survivors
from pipetask.executors.process_identity import ProcessIdentity
from pipetask.executors.stop import StopLevel
from pipetask.outcome import QuantumOutcome, Status
from pipetask.testing import CallSpec, MockPipeline, enumerated
from pipetask.testing.plain_runs import wait_until
from pipetask.testing.work import NotedWork
from witnessed_tasks import WitnessedTask

from conftest import Repository, environment, run_pipetask, start_pipetask, wait_for_all_processes  # isort: skip
from test_equivalence import assert_same_contents  # isort: skip

LABELS = ("isr", "characterize", "gather")
N_QUANTA = 10


# What survivors are, without any engine.


def uuid_of(position: int) -> bytes:
    return position.to_bytes(16, "big")


def dead_process() -> ProcessIdentity:
    """Return the identity of a process that has been on this machine."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    identity = ProcessIdentity.here()._replace(pid=process.pid, start="0")
    process.communicate(b"\n")
    return identity


def as_of(process: ProcessIdentity, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ProcessIdentity, "here", classmethod(lambda cls: process))


def test_a_bundle_whose_process_lives_survives_until_it_ends(tmp_path: Path) -> None:
    folder = SharedFolder.make(tmp_path)
    with folder.recording(1, [uuid_of(3), uuid_of(4)]):
        survivors = Survivors([folder], lambda: [uuid_of(each) for each in range(9)])
        assert folder.level() is StopLevel.FINISH, "nothing more is to be begun"
        assert [survivors.run(uuid_of(each)) for each in (2, 3, 4)] == [False, True, True]
        assert not survivors.hold_all
        survivors.close()
        assert folder.path.exists(), "the worker writes there"
    survivors.look()
    assert not survivors
    assert not survivors.run(uuid_of(3))
    survivors.close()
    assert not folder.path.exists()


def test_a_bundle_of_a_dead_process_does_not_survive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = SharedFolder.make(tmp_path)
    with monkeypatch.context() as patch:
        as_of(dead_process(), patch)
        BundleWriter(folder.bundle(1), [uuid_of(3)])
    assert not Survivors([folder])


def test_a_silent_process_of_another_machine_is_believed_to_be_dead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipetask.executors.futures.survivors.SILENCE", 0.2)
    folder = SharedFolder.make(tmp_path)
    with monkeypatch.context() as patch:
        as_of(ProcessIdentity("another", 1, "0"), patch)
        BundleWriter(folder.bundle(1), [uuid_of(3)])
    survivors = Survivors([folder], lambda: [uuid_of(3)])
    assert survivors.run(uuid_of(3))

    def is_given_up() -> bool:
        survivors.look()
        return not survivors

    wait_until(is_given_up, "it is believed to be dead", pause=0.02)


def test_what_is_not_in_this_graph_holds_everything(tmp_path: Path) -> None:
    folder = SharedFolder.make(tmp_path)
    with folder.recording(1, [uuid_of(77)]):
        assert Survivors([folder], lambda: [uuid_of(1)]).hold_all
    assert not Survivors([folder], lambda: [uuid_of(1)]).hold_all


def test_only_folders_of_the_same_target_are_found(tmp_path: Path) -> None:
    ours, other, _ = (SharedFolder.make(tmp_path) for _ in range(3))
    ours.set_target("repo u/out/run")
    other.set_target("repo u/out/other")
    assert SharedFolder.of_target(tmp_path, "repo u/out/run") == [ours]
    ours.remove()
    assert SharedFolder.of_target(tmp_path, "repo u/out/run") == []


def test_a_bundle_that_the_engine_gives_out_twice_is_begun_once(tmp_path: Path) -> None:
    folder = SharedFolder.make(tmp_path)
    with folder.recording(1, [uuid_of(0)]) as writer:
        writer.note(QuantumOutcome(0, Status.SUCCEEDED))
        with pytest.raises(BundleTakenError), folder.recording(1, [uuid_of(0)]):
            pytest.fail("it was begun twice")
    found = BundleFile.read(folder.bundle(1))
    assert found is not None
    assert (found.ended, [outcome.id for outcome in found.outcomes]) == (True, [0])


def test_a_bundle_that_the_engine_gives_out_when_it_is_over_is_not_begun(tmp_path: Path) -> None:
    folder = SharedFolder.make(tmp_path)
    with folder.recording(2, [uuid_of(0)]):
        pass
    folder.forget(2)
    with pytest.raises(BundleTakenError), folder.recording(2, [uuid_of(0)]):
        pytest.fail("it was begun again")
    assert not folder.bundles()
    for other in (1, 3):
        with folder.recording(other) as writer:
            assert writer.is_first


def test_a_bundle_that_was_given_up_is_ended_by_its_worker(tmp_path: Path) -> None:
    folder = SharedFolder.make(tmp_path)
    with folder.recording(1, [uuid_of(0)]) as writer:
        writer.beat()
        assert writer.level() is StopLevel.GO_ON
        folder.forget(1)
        writer.beat()
        assert writer.level() is StopLevel.KILL


@dataclass(frozen=True)
class TargetSpec(CallSpec):
    """Writes to a place that one run at a time may write to."""

    @property
    def target(self) -> str | None:
        return "here"


@pytest.mark.slow
def test_what_a_survivor_runs_is_started_when_it_has_ended(tmp_path: Path) -> None:
    parent, notes = tmp_path / "engine", tmp_path / "notes"
    notes.mkdir()
    before = SharedFolder.make(parent)
    before.set_target("here")
    graph, work = enumerated({"a": 6}), NotedWork(notes)
    context = ExecutionContext(graph, TargetSpec(work))
    held = next(quantum for quantum in graph if quantum.position == 2)
    outcomes = []
    with before.recording(1, [uuid_of(2)]):
        running = FuturesExecutor(Threads(2), folder=parent).execute(graph, context)
        for _ in range(5):
            outcomes.append(next(running))
        assert held.id not in {outcome.id for outcome in outcomes}
        assert not work.attempts(held.id)
    outcomes += running
    context.stop.close()
    assert sorted(outcome.id for outcome in outcomes) == list(range(6))
    assert {outcome.status for outcome in outcomes} == {Status.SUCCEEDED}
    assert not before.path.exists()


@pytest.mark.slow
def test_a_worker_ends_whose_command_has_died_before_it_could_look() -> None:
    """As with two Ctrl-C while workers start: the parent that it then has is another one."""
    module = "pipetask.executors.futures.engines.outliving"
    code = f"from {module} import *; end_after_parent({dead_process().pid}); input()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE) as process:
        assert process.wait() == 1


@pytest.mark.slow
def test_a_cluster_of_ipyparallel_ends_after_a_command_that_was_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    need("ipyparallel")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    module = "pipetask.executors.futures.engine"
    code = f"from {module} import *; print(find_engine('ipyparallel', 1).submit(abs, -7).result()); input()"
    command = [sys.executable, "-u", "-c", code]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "7\n"
        process.kill()
    wait_for_all_processes()


# With a real engine.


@dataclass(frozen=True)
class Scene:
    """A repository whose tasks leave word, and a copy in which nothing has happened."""

    repository: Repository
    untouched: Path
    notes: Path

    @classmethod
    def make(cls, make_repository: Callable[..., Repository], folder: Path, **what: str) -> Scene:
        notes = folder / "notes"
        notes.mkdir()
        configs = {label: {"notes": str(notes)} for label in LABELS}
        configs["characterize"] |= what
        pipeline = MockPipeline(2, 2, configs=configs, task_classes=dict.fromkeys(LABELS, WitnessedTask))
        repository = make_repository(pipeline)
        untouched = Path(shutil.copytree(repository.root, folder / "untouched"))
        return cls(repository, untouched, notes)

    def words(self, *more: str) -> list[str]:
        folder = self.repository.root.parent / "engine"
        return self.repository.arguments("--mode", "futures", "--engine-folder", str(folder), *more)

    def count(self, what: str) -> dict[str, int]:
        """Return how often each quantum has begun, or ended."""
        return {path.stem: len(path.read_text().splitlines()) for path in self.notes.glob(f"*.{what}")}

    def wait_for(self, n_ended: int, begun: str = "") -> None:
        """Wait until so many quanta have ended, and one has begun."""

        def is_there() -> bool:
            return len(self.count("ended")) >= n_ended and (not begun or begun in self.count("begun"))

        wait_until(is_there, f"{n_ended} have ended, and {begun or 'any'} has begun", 200)

    def assert_whole(self, most_twice: int = 0) -> None:
        """Check that each quantum has ended well once, and that what is left is what an undisturbed run leaves.

        Workers that are killed can each be at the end of a quantum that is not recorded yet, which then ends twice.
        """
        counts = self.count("ended")
        assert len(counts) == N_QUANTA
        assert sum(counts.values()) <= N_QUANTA + most_twice, counts
        alone = Repository(self.untouched, self.untouched / "graph.qg")
        (self.notes / "gate").touch()
        (self.notes / "killed").touch()
        done = run_pipetask(*alone.arguments("-j", "2"))
        assert done.code == 0, done.err
        assert_same_repository(self.repository.root, self.untouched)
        assert_same_contents(self.repository.root, self.untouched)


def command_line(process: psutil.Process) -> list[str]:
    """Return the command line of a process, which may have ended."""
    with suppress(psutil.NoSuchProcess):
        return list(process.cmdline())
    return []


def kill(process: subprocess.Popen[str]) -> None:
    """Kill a command as the kernel does when memory runs out: its children are not told, and keep its pipes."""
    process.kill()
    process.wait()
    for pipe in (process.stdout, process.stderr):
        assert pipe is not None
        pipe.close()


@contextmanager
def outliving(name: str, folder: Path) -> Iterator[list[str]]:
    """Start what goes on after a command that was killed, with one worker; give the options for it."""
    with ExitStack() as stack:
        match name:
            case "dask":
                address, _ = stack.enter_context(running_dask(folder / name))
                yield ["--engine", f"dask:{address}"]
            case "celery":
                need("celery")
                url, _ = stack.enter_context(running_broker())
                stack.enter_context(running_celery(url, folder / "celery.log", 1))
                yield ["--engine", f"celery:{url}"]
            case "globus":
                need("globus_compute_sdk", "globus-compute")
                endpoint = stack.enter_context(running_endpoint())
                yield ["--engine", f"globus_stand_in.GlobusCompute:{endpoint}", "-j", "2"]
            case "parsl":  # its processes belong to the command, and have to end some time after it
                need("parsl")
                yield ["--engine", "parsl", "-j", "1"]
            case _:
                raise AssertionError(name)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "n_ended"),
    [("dask", 0), ("dask", 5), ("celery", 0)],
    ids=["dask-early", "dask-in the middle", "celery-early"],
)
def test_a_command_that_was_killed_comes_back(
    name: str, n_ended: int, make_repository: Callable[..., Repository], tmp_path: Path
) -> None:
    scene = Scene.make(make_repository, tmp_path)
    with outliving(name, tmp_path) as engine:
        words = scene.words(*engine)
        first = start_pipetask(*words)
        scene.wait_for(n_ended, begun="isr-Mock-0-0")
        kill(first)
        second = run_pipetask(*words, "--extend-run")
    assert second.code == 0, second.err
    assert scene.count("begun") == scene.count("ended")
    scene.assert_whole()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["dask", "celery", "globus", "parsl"])
def test_what_runs_when_the_command_is_killed_is_waited_for(
    name: str, make_repository: Callable[..., Repository], tmp_path: Path
) -> None:
    """Where others wait at a broker or a scheduler for the one worker, these are not begun."""
    scene = Scene.make(make_repository, tmp_path, waits_where="exposure=0 AND detector=0")
    with outliving(name, tmp_path) as engine:
        words = scene.words(*engine)
        first = start_pipetask(*words)
        scene.wait_for(1, begun="characterize-Mock-0-0")
        kill(first)
        second = start_pipetask(*words, "--extend-run")
        assert second.stderr is not None
        lines = []
        while "these are waited for" not in (line := second.stderr.readline()):
            assert line, "".join(lines)
            lines.append(line)
        (scene.notes / "gate").touch()
        _, errors = second.communicate()
    assert second.returncode == 0, errors
    assert "still run 1 bundle of quanta" in line
    assert scene.count("begun") == dict.fromkeys(scene.count("begun"), 1), "nothing was started twice"
    scene.assert_whole()
    assert not list((tmp_path / "engine").iterdir()), "nothing is left of either run"
    wait_for_all_processes()  # also for a manager of Parsl that would wait for work


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "n_begun"),
    [("processes", 2), ("loky", 3), ("dask", 4), ("parsl", 1), ("executorlib", 3)],
)
def test_ctrl_c_while_an_engine_starts_shows_nothing_of_it(
    name: str, n_begun: int, make_repository: Callable[..., Repository], tmp_path: Path
) -> None:
    """A terminal sends it to all processes, at any moment."""
    scene = Scene.make(make_repository, tmp_path, waits_where="exposure=0 AND detector=0")
    with ENGINES[name].started() as engine:
        command = start_pipetask(*scene.words("--engine", engine, "-j", "2"))

        def have_begun() -> bool:
            return len(psutil.Process(command.pid).children(recursive=True)) >= n_begun

        wait_until(have_begun, f"{n_begun} processes have begun")
        os.killpg(command.pid, signal.SIGINT)
        _, errors = command.communicate()
    assert command.returncode == 130, errors
    assert "Traceback" not in errors
    wait_for_all_processes()


@pytest.mark.slow
def test_a_run_goes_on_with_another_engine_when_its_own_has_died(
    make_repository: Callable[..., Repository], tmp_path: Path
) -> None:
    scene = Scene.make(make_repository, tmp_path, waits_where="exposure=1 AND detector=1")
    first = start_pipetask(*scene.words("--engine", "parsl", "-j", "2"))
    scene.wait_for(4, begun="characterize-Mock-1-1")
    below = psutil.Process(first.pid).children(recursive=True)
    (interchange,) = (each for each in below if any("interchange" in word for word in command_line(each)))
    interchange.kill()
    _, errors = first.communicate()
    assert first.returncode == 1
    assert "The engine is gone: Parsl's interchange has ended." in errors
    (scene.notes / "gate").touch()
    second = run_pipetask(*scene.words("--engine", "threads", "-j", "2", "--extend-run"))
    assert second.code == 0, second.err
    scene.assert_whole()


@pytest.mark.slow
def test_a_run_goes_on_after_the_death_of_a_rank_of_mpi(
    make_repository: Callable[..., Repository], tmp_path: Path
) -> None:
    scene = Scene.make(make_repository, tmp_path, kills_where="exposure=1 AND detector=1")
    command = [*mpi_launcher(), "-m", "pipetask.cli", *scene.words("--engine", "mpi")]
    ends = []
    for more in ((), ("--extend-run",)):
        done = subprocess.run(
            [*command, *more], env=environment(), capture_output=True, text=True, check=False
        )
        ends.append(done)
    assert ends[0].returncode != 0, "MPI ends everything"
    assert (scene.notes / "killed").exists(), "what is tested must have happened"
    assert ends[1].returncode == 0, ends[1].stderr
    scene.assert_whole(most_twice=1)  # on the other rank
