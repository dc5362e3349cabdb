"""The pool where the machine has little to give, and where what started the workers dies."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import psutil
import pytest

from pipetask.errors import UsageError
from pipetask.executors.base import ExecutionContext
from pipetask.executors.pool import MultiprocessExecutor
from pipetask.executors.pool.bundling import BundlePolicy
from pipetask.executors.pool.launcher import _forked, _request
from pipetask.executors.pool.limits import check_descriptors
from pipetask.executors.pool.server import N_PIPES, Fork, _Server
from pipetask.executors.pool.worker_handle import WorkerHandle
from pipetask.outcome import Status
from pipetask.testing import CallSpec, enumerated
from pipetask.testing.conformance import execute
from pipetask.testing.plain_runs import wait_until
from toy_work import Recorder, lives

from conftest import environment  # isort: skip
from test_faults import once_begun  # isort: skip

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("speaks_of_flags")]


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A place of temporary files that no other test uses, with a path too long for the name of a socket."""
    folder = tmp_path / ("long-" * 40)
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return folder


def servers() -> list[psutil.Process]:
    found = []
    for child in psutil.Process().children():
        with contextlib.suppress(psutil.NoSuchProcess):
            if "pool.server" in " ".join(child.cmdline()):
                found.append(child)
    return found


@pytest.mark.parametrize("start_method", ["forkserver", "spawn"])
def test_a_long_path_of_temporary_files(tmp_path: Path, scratch: Path, start_method: str) -> None:
    outcomes = execute(MultiprocessExecutor(1, start_method), enumerated({"a": 2}), Recorder(tmp_path))
    assert {outcome.status for outcome in outcomes.values()} == {Status.SUCCEEDED}
    assert not list(scratch.iterdir())


def test_no_place_for_temporary_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    bombs = ((1, "log_without_room"), (2, "kill_self"))
    with monkeypatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
        outcomes = execute(MultiprocessExecutor(1), enumerated({"a": 4}), Recorder(tmp_path, bombs=bombs))
    assert [outcomes[id].status.value for id in range(4)] == ["succeeded", "succeeded", "killed", "succeeded"]
    assert outcomes[2].log is None
    assert "Traceback" not in capfd.readouterr().err


def test_a_log_that_cannot_be_written_is_no_failure(
    tmp_path: Path, scratch: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    work = Recorder(tmp_path, bombs=((1, "log_without_room"),))
    outcomes = execute(MultiprocessExecutor(1), enumerated({"a": 3}), work)
    assert {outcome.status for outcome in outcomes.values()} == {Status.SUCCEEDED}
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize("dies", ["server", "server and worker"])
def test_a_dead_server_costs_nothing_else(
    tmp_path: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch, dies: str
) -> None:
    # The moment in which an idle worker that is believed to be dead may begin something is made long.
    take_back = WorkerHandle.take_back

    def slowly(self: WorkerHandle, **options: bool) -> list[int]:
        threading.Event().wait(0.3)
        return take_back(self, **options)

    monkeypatch.setattr(WorkerHandle, "take_back", slowly)
    # The one that the worker runs when it is killed goes on until then.
    bombs = ((2, "hang"),) if dies == "server and worker" else ()
    work = Recorder(tmp_path, seconds=0.2, bombs=bombs)
    context = ExecutionContext(enumerated({"a": 8}), CallSpec(work))
    outcomes = {}
    for outcome in MultiprocessExecutor(1, policy=BundlePolicy(seconds=1e9)).execute(context.graph, context):
        if len(outcomes) == 0:
            (server,) = servers()
            (worker,) = server.children()
            server.kill()
            server.wait()
        elif len(outcomes) == 1 and dies == "server and worker":
            wait_until(lambda: 2 in work.started(), "quantum 2 has begun")
            worker.kill()
        assert outcome.id not in outcomes
        outcomes[outcome.id] = outcome
    context.stop.close()
    lost = [outcome for outcome in outcomes.values() if outcome.status is not Status.SUCCEEDED]
    assert len(outcomes) == 8
    assert all(work.attempts(id) == 1 for id in outcomes)
    if dies == "server":
        assert not lost
        assert not list(scratch.iterdir())
    else:
        assert [outcome.status for outcome in lost] == [Status.KILLED]
        assert "the cause is not known" in (lost[0].reason or "")


def test_an_idle_worker_that_is_killed_leaves_no_log(tmp_path: Path, scratch: Path) -> None:
    work = Recorder(tmp_path, bombs=((0, "hang_until_defused"),))
    model = MultiprocessExecutor(2, policy=BundlePolicy(most=1))
    context = ExecutionContext(enumerated({"a": 2}), CallSpec(work))
    for outcome in model.execute(context.graph, context):
        assert outcome.status is Status.SUCCEEDED
        if outcome.id == 1:
            os.kill(outcome.pid or _worker_of(tmp_path, 1), signal.SIGKILL)
            (tmp_path / "defused").touch()
    context.stop.close()
    assert not list(scratch.iterdir())


def _worker_of(folder: Path, id: int) -> int:
    return int((folder / f"{id}.start").read_text().split()[0])


@contextlib.contextmanager
def limited(kind: int, soft: int) -> Iterator[None]:
    before = resource.getrlimit(kind)
    resource.setrlimit(kind, (soft, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(kind, before)


def test_descriptors_are_counted_before_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with limited(resource.RLIMIT_NOFILE, 64):
        needed = check_descriptors(16)
        assert needed is not None
        assert 136 <= needed <= hard
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (256, 256))
    with pytest.raises(
        UsageError, match=r"-j 100000 needs \d+ open files, and the limit .* is 256: use at most -j"
    ):
        check_descriptors(100_000)


@pytest.mark.parametrize("start_method", ["forkserver", "spawn"])
@pytest.mark.parametrize("prepared", [True, False])
def test_the_limit_is_raised_for_this_process_alone_and_for_a_while(
    tmp_path: Path, start_method: str, prepared: bool
) -> None:
    work = Recorder(tmp_path, bombs=((0, "note_open_files"), (3, "note_open_files")))
    context = ExecutionContext(enumerated({"a": 60}), CallSpec(work))
    model = MultiprocessExecutor(60, start_method)
    soft = len(list(Path("/proc/self/fd").iterdir())) + 100
    limits = set()
    with limited(resource.RLIMIT_NOFILE, soft):
        if prepared:
            model.prepare()
        model.check(context)
        # It asks for sixty workers, and has work for two at a time.
        for _ in model.execute(islice(context.graph, 4), context):
            limits.add(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == soft
    context.stop.close()
    assert min(limits) > soft + 200
    assert (tmp_path / "open_files").read_text().split() == [str(soft)] * 2


def test_fewer_workers_where_there_are_no_more_descriptors(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    # Enough for a few workers, whatever is open already; each quantum takes long enough for all to be wanted.
    n_open = len(list(Path("/proc/self/fd").iterdir()))
    with limited(resource.RLIMIT_NOFILE, n_open + 30):
        outcomes = execute(MultiprocessExecutor(12), enumerated({"a": 40}), Recorder(tmp_path, seconds=0.2))
    assert {outcome.status for outcome in outcomes.values()} == {Status.SUCCEEDED}
    assert "workers can be started (Too many open files)" in caplog.text


def test_a_server_that_cannot_fork_says_why_and_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def fork() -> int:
        raise BlockingIOError(errno.EAGAIN, "no more processes")

    monkeypatch.setattr(os, "fork", fork)
    ours, theirs = socket.socketpair()
    handler = signal.getsignal(signal.SIGCHLD)
    server = _Server(theirs, 256)
    try:
        for _ in range(2):
            status = _request(ours, Fork(), [os.open(os.devnull, os.O_RDONLY) for _ in range(N_PIPES)])
            server._obey()
            with pytest.raises(BlockingIOError):
                _forked(status)
    finally:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, handler)
        ours.close()
        theirs.close()


def test_more_open_files_than_select_can_wait_for(tmp_path: Path) -> None:
    work = Recorder(tmp_path, bombs=((1, "hang"),))
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with limited(resource.RLIMIT_NOFILE, min(hard, 2000)), contextlib.ExitStack() as files:
        for _ in range(1100):
            files.enter_context(Path(os.devnull).open())
        outcomes = once_begun(MultiprocessExecutor(1), work, lambda context: context.stop.ask("enough"))
    assert [outcome.status for outcome in outcomes] == [Status.SUCCEEDED] + [Status.CANCELLED] * 3


FOREMAN = """
import sys
from pathlib import Path
from pipetask.executors.pool import MultiprocessExecutor
from pipetask.testing import enumerated
from pipetask.testing.conformance import execute
from pipetask.testing.plain_runs import wait_until
from toy_work import Recorder, lives

execute(MultiprocessExecutor(1), enumerated({"a": 1}), Recorder(Path(sys.argv[1]), bombs=((0, "hang"),)))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel tells of a parent's death on Linux only")
def test_a_worker_that_is_stopped_to_be_killed_ends_with_a_foreman_that_dies_meanwhile(
    tmp_path: Path,
) -> None:
    foreman = subprocess.Popen([sys.executable, "-c", FOREMAN, str(tmp_path)], env=environment())
    note = tmp_path / "0.start"

    def has_begun() -> bool:
        assert foreman.poll() is None
        return note.exists() and note.read_text().endswith("\n")

    wait_until(has_begun, "the quantum has begun")
    worker = psutil.Process(int(note.read_text().split()[0]))
    worker.suspend()
    foreman.kill()
    foreman.wait()
    wait_until(lambda: not lives(worker), "the worker has ended")
