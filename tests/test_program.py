"""The command as a program: its signals, its standard streams, its last words."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from in_process import run_here
from pipetask.testing import MockPipeline
from pipetask.testing.plain_runs import wait_until

from conftest import Repository, environment, start_pipetask  # isort: skip
from test_runs import registered  # isort: skip

pytestmark = pytest.mark.slow

FAILING = MockPipeline(configs={"characterize": {"fail_condition": "exposure = 0 AND detector = 1"}})


@contextmanager
def pipe_without_reader() -> Iterator[int]:
    reader, writer = os.pipe()
    os.close(reader)
    yield writer
    os.close(writer)


@contextmanager
def lost_terminal() -> Iterator[int]:
    primary, secondary = pty.openpty()
    os.close(primary)
    yield secondary
    os.close(secondary)


@contextmanager
def full_disk() -> Iterator[int]:
    descriptor = os.open("/dev/full", os.O_WRONLY)
    yield descriptor
    os.close(descriptor)


@pytest.mark.parametrize(
    ("stream", "mode"),
    [
        (pipe_without_reader, ["-j", "1"]),
        (pipe_without_reader, ["-j", "2"]),
        (lost_terminal, ["-j", "1"]),
        (full_disk, ["-j", "1"]),
    ],
)
def test_nobody_reads_standard_error(
    make_repository: Callable[..., Repository], tmp_path: Path, stream: Callable, mode: list[str]
) -> None:
    repository = make_repository(FAILING)
    path = tmp_path / "summary.json"
    arguments = repository.arguments(*mode, "--summary", str(path))
    with stream() as descriptor:
        done = subprocess.run(
            [sys.executable, "-m", "pipetask.cli", *arguments],
            stdout=descriptor if stream is not full_disk else subprocess.DEVNULL,
            stderr=descriptor,
            env=environment(),
            check=False,
        )
    content = json.loads(path.read_text())
    assert done.returncode == content["exitCode"] == 1
    assert len(content["quanta"]) == 10
    assert registered(repository.root)["isr_metadata"] == 4


def test_closed_streams_are_not_given_to_files(repository: Repository, tmp_path: Path) -> None:
    """Else words for a person would be written into the first file that is opened, a database say."""
    path = tmp_path / "summary.json"
    words = [sys.executable, "-m", "pipetask.cli", *repository.arguments("--summary", str(path))]
    script = 'exec "$@" <&- >&- 2>&-'
    done = subprocess.run(["bash", "-c", script, "bash", *words], env=environment(), check=False)
    assert done.returncode == 0
    assert json.loads(path.read_text())["outcome"] == "succeeded"
    assert registered(repository.root)["exposure_summary"] == 2


def test_what_cannot_be_printed_is_an_error(repository: Repository) -> None:
    """What a command prints on standard output is its product."""
    with full_disk() as descriptor:
        done = subprocess.run(
            [sys.executable, "-m", "pipetask.cli", "--help"],
            stdout=descriptor,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(),
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr == "pipetask: standard output: No space left on device.\n"


def handles(process: subprocess.Popen[str], number: int) -> bool:
    status = Path(f"/proc/{process.pid}/status").read_text()
    caught = next(line for line in status.splitlines() if line.startswith("SigCgt")).split()[1]
    return bool(int(caught, 16) & 1 << number - 1)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=str)
@pytest.mark.parametrize("seconds", [0.0, 0.3, 1.0, 3.0])
def test_interrupted_in_the_first_seconds(
    make_repository: Callable[..., Repository], seconds: float, number: int
) -> None:
    """Whenever it comes, imports and children included, there is no traceback."""
    repository = make_repository(MockPipeline(1, 2, configs={"isr": {"sleep": 60.0}}))
    process = start_pipetask(*repository.arguments("-j", "2"))
    wait_until(lambda: handles(process, signal.SIGTERM), "the command has begun", pause=0.02)
    time.sleep(seconds)
    os.killpg(process.pid, number)  # as a terminal does
    _, err = process.communicate()
    assert process.returncode == 128 + number, err
    assert "Traceback" not in err
    assert "Exception ignored" not in err
    assert "KeyboardInterrupt" not in err
    assert number.name in err


@pytest.mark.parametrize(
    "error", [EOFError(), BrokenPipeError(32, "Broken pipe"), ConnectionRefusedError(111, "no")]
)
def test_an_error_of_ours_is_no_interrupt(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(invocation: object) -> int:
        raise error

    monkeypatch.setattr("pipetask.cli.status.run", broken)
    done = run_here("status", "somewhere")
    assert done.code == 1
    assert done.err.startswith(f"pipetask: {type(error).__name__}: ")
    assert "abort" not in done.err
