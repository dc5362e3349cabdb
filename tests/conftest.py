"""Fixtures: repositories that are made once and copied, the command, and the check that no process is left."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from hypothesis import HealthCheck, settings

from browser import Browser, processes_of_browser, start_browser
from needs import mark_tests, note_markers
from pipetask.testing import MockPipeline
from pipetask.testing.plain_runs import wait_until
from pipetask.wording import speaking_of_flags

TESTS = Path(__file__).parent

PATIENCE = 120
"""Seconds that processes of a test have to end after it; on a machine that is busy with others, they need some."""

# No example fails because the machine is busy; in CI, Hypothesis has its own profile below this one.
settings.register_profile(
    "any machine", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any machine")

# A shell without job control has what it starts in the background ignore this, and so would all that tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)
for _each in (signal.SIGHUP, signal.SIGQUIT):  # also with nohup
    if signal.getsignal(_each) is signal.SIG_IGN:
        signal.signal(_each, lambda *_: None)  # it goes on itself, and what it starts has the default


@pytest.hookimpl(tryfirst=True)  # before pytest deselects by marker
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    mark_tests(items)


@pytest.hookimpl(tryfirst=True)  # before fixtures are set up
def pytest_runtest_setup(item: pytest.Item) -> None:
    note_markers(item)


@dataclass(frozen=True)
class Finished:
    """A command that has ended."""

    code: int
    out: str
    err: str
    seconds: float

    @property
    def line(self) -> str:
        """The only line that was written to standard error."""
        lines = self.err.splitlines()
        assert len(lines) == 1, f"expected one line, got {len(lines)}:\n{self.err}"
        return lines[0]


@dataclass(frozen=True)
class Repository:
    """A repository with a graph in it."""

    root: Path
    graph: Path

    def arguments(self, *more: str) -> list[str]:
        base = ["run", "-b", str(self.root), "-g", str(self.graph), "-o", "u/out", "-i", "input_chain"]
        return [*base, "--register-dataset-types", *more]


def environment() -> dict[str, str]:
    path = [str(TESTS), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, path)), "COLUMNS": "200"}


def inner_pytest(folder: Path, *arguments: str) -> list[str]:
    """Return a command with which a test runs others; where their files go, there is nothing yet.

    Without that folder it would, when it ends, delete the files of earlier sessions, which takes minutes.
    """
    plugins = ["-p", "no:cacheprovider", "-p", "no:xdist"]
    return [sys.executable, "-m", "pytest", *plugins, f"--basetemp={folder / 'pytest'}", *arguments]


def start_pipetask(*arguments: str, **options: object) -> subprocess.Popen[str]:
    """Start the command as a user's shell would, in a session of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "pipetask.cli", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
        start_new_session=True,
        **options,  # type: ignore[call-overload]
    )


def run_pipetask(*arguments: str) -> Finished:
    start = time.monotonic()
    process = start_pipetask(*arguments)
    try:
        out, err = process.communicate(timeout=500)  # before pytest's own, to show what it printed
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        out, err = process.communicate()
        pytest.fail(f"pipetask {' '.join(arguments)} hangs:\n{out}\n{err}")
    return Finished(process.returncode, out, err, time.monotonic() - start)


@pytest.fixture(scope="module")  # where it goes on, other tests take its processes for some that were left
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with start_browser(tmp_path_factory.mktemp("browser")) as started:
        yield started


@pytest.fixture
def speaks_of_flags() -> Iterator[None]:
    """Let messages name flags, as where the command runs, and not arguments of Python."""
    with speaking_of_flags():
        yield


@pytest.fixture(scope="session")
def repository_template(tmp_path_factory: pytest.TempPathFactory) -> Callable[[MockPipeline], Path]:
    """Make each kind of repository once."""
    made: dict[str, Path] = {}

    def make(pipeline: MockPipeline) -> Path:
        key = repr(pipeline)
        if key not in made:
            root = tmp_path_factory.mktemp("template") / "repo"
            pipeline.make(root)
            made[key] = root
        return made[key]

    return make


@pytest.fixture
def make_repository(
    repository_template: Callable[[MockPipeline], Path], tmp_path: Path
) -> Callable[..., Repository]:
    """Return a function that makes a repository for one test."""

    def make(pipeline: MockPipeline | None = None, name: str = "repo") -> Repository:
        root = tmp_path / name
        shutil.copytree(repository_template(pipeline or MockPipeline()), root)
        return Repository(root, root / "graph.qg")

    return make


@pytest.fixture
def repository(make_repository: Callable[..., Repository]) -> Repository:
    return make_repository()


def processes_of_this_test() -> set[int]:
    """Return what runs below this process, and what was started by commands of this test and outlived them."""
    ours = {child.pid for child in psutil.Process().children(recursive=True)}
    marker = f"PIPETASK_TEST={os.environ['PIPETASK_TEST']}"
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if marker in (f"{key}={value}" for key, value in process.environ().items()):
                ours.add(process.pid)
    ours.discard(os.getpid())
    return {pid for pid in ours if _lives(pid)}


def wait_for_all_processes() -> None:
    """Wait until nothing is left that this test has started, whoever its parent is by now."""
    wait_until(lambda: not processes_of_this_test() - _helpers(), "all processes have ended", 200)


def _lives(pid: int) -> bool:
    with contextlib.suppress(psutil.Error):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False


@pytest.fixture(autouse=True)
def state_folder(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let no test write journals into the user's home."""
    folder = tmp_path_factory.getbasetemp() / "state" / uuid.uuid4().hex
    monkeypatch.setenv("XDG_STATE_HOME", str(folder))
    return folder


@pytest.fixture(autouse=True)
def no_process_left(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fail a test that leaves a process behind."""
    monkeypatch.setenv("PIPETASK_TEST", f"{os.getpid()}-{request.node.name}")
    before = processes_of_this_test()
    yield

    def left() -> set[int]:
        return processes_of_this_test() - before - _helpers()

    try:
        wait_until(lambda: not left(), "no process is left", PATIENCE, pause=0.05)
    except TimeoutError:
        described = [_end(pid) for pid in left()]
        pytest.fail(f"processes are left: {described}")


def _end(pid: int) -> str:
    """Kill a process, and return its command line."""
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(pid)
        line = " ".join(process.cmdline())
        process.kill()
        return line
    return f"{pid}, which has ended"


def _helpers() -> set[int]:
    """Return what outlives a test: resource trackers of multiprocessing and loky, the browser, and the campaign's."""
    modules = ("multiprocessing.resource_tracker", "loky.backend.resource_tracker")
    trackers = (sys.modules[name]._resource_tracker for name in modules if name in sys.modules)
    pids = {getattr(tracker, "_pid", None) for tracker in trackers}
    workshops = sys.modules["campaign.workshop"].PROCESSES if "campaign.workshop" in sys.modules else set()
    return {pid for pid in pids if pid} | processes_of_browser() | _workers_of_ray() | workshops


def _workers_of_ray() -> set[int]:
    """Return what a cluster of Ray that is shared by tests has started: it does so when it likes to."""
    if "ray" not in sys.modules:
        return set()
    found = set()
    for each in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if each.name() == "raylet":
                found |= {child.pid for child in each.children()}
    return found
