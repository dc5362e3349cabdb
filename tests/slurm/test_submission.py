"""A submission that is interrupted at any point is continued, and nothing is submitted twice.

The commands of Slurm are wrapped here: before or after the real one, the wrapper kills who has called it, or says that
there was no answer.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pipetask import SlurmOptions, SlurmSystem
from pipetask.batch.queueing.journal import Journal
from pipetask.batch.queueing.layout import Layout
from pipetask.batch.run_directory import RunDirectory
from pipetask.outcome import Status
from pipetask.testing.plain_runs import LocalBench, PlainRun
from slurm.machine import Machine

WRAPPER = """#!/bin/sh
# Kill the caller once before and once after each request that changes something.
key=$(basename "$0")
for word in "$@"; do
  case $word in --comment=*|release) key="$key $word";; --test-only|show) exec {real} "$@";; esac
done
for moment in before after; do
  [ $moment = before ] || {real} "$@" || exit
  [ $moment = before ] || echo "$key" >> '{notes}/done'
  if ! grep -qsxF "$moment $key" '{notes}/killed'; then
    echo "$moment $key" >> '{notes}/killed'
    kill -KILL $PPID
    exit 1
  fi
done
"""

DEAF = """#!/bin/sh
# The first request is carried out, and the answer is lost.
[ -e '{notes}/once' ] && exec {real} "$@"
for word in "$@"; do case $word in --test-only) exec {real} "$@";; esac; done
touch '{notes}/once'
{real} "$@" >> '{notes}/ids'
echo 'sbatch: error: Batch job submission failed: Socket timed out on send/recv operation' >&2
exit 1
"""

COUNTS, EDGES = {"a": 2, "b": 2}, [(0, 2), (0, 3), (1, 2), (1, 3)]


def system() -> SlurmSystem:
    return SlurmSystem(SlurmOptions(slurm=("memory=100MB", "time=5min", "error_retries=0")))


def wrap(folder: Path, text: str, *programs: str) -> str:
    """Put wrappers around programs, and return the PATH on which they come first."""
    folder.mkdir(exist_ok=True)
    for program in programs:
        path = folder / program
        path.write_text(text.format(real=shutil.which(program), notes=folder))
        path.chmod(0o755)
    return f"{folder}{os.pathsep}{os.environ['PATH']}"


def write_run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> PlainRun:
    """Return a run that was written, and not submitted."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]), prepend=os.pathsep)
    bench = LocalBench("slurm.test_submission:system", folder, timeout=120)
    written = PlainRun(bench, COUNTS, EDGES, options={"bundle_size": 1, "submit": False})
    written.submit()
    return written


@pytest.fixture
def run(machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PlainRun:
    return write_run(tmp_path, monkeypatch)


@pytest.mark.slow
def test_a_submission_that_is_killed_at_every_step_is_continued(
    run: PlainRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setenv("PATH", wrap(tmp_path / "bin", WRAPPER, "sbatch", "scontrol"))
        kills = 0
        while (done := run.command("restart")).returncode:
            assert done.returncode == -9, done.stderr
            kills += 1
            assert kills < 50
    notes = (tmp_path / "bin" / "done").read_text().splitlines()
    submitted = [line for line in notes if line.startswith("sbatch")]
    assert len(submitted) == len(set(submitted)) == 3, "each array once"
    assert kills == 2 * len(submitted) + 2, "before and after each, and the release"
    assert run.wait()["phase"] == "succeeded"
    assert [run.attempts(position) for position in range(4)] == [1] * 4


def test_a_request_whose_answer_is_lost_is_looked_for(
    run: PlainRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setenv("PATH", wrap(tmp_path / "bin", DEAF, "sbatch"))
        done = run.command("restart")
        assert done.returncode == 0, done.stderr
    (lost,) = (tmp_path / "bin" / "ids").read_text().split()
    jobs = Journal(Layout(run.path, "slurm").journal).read().rounds[1].jobs
    assert jobs[0] == lost
    assert run.wait()["phase"] == "succeeded"
    assert run.statuses() == dict.fromkeys(range(4), Status.SUCCEEDED)
    assert [run.attempts(position) for position in range(4)] == [1] * 4


def test_a_controller_that_does_not_answer_is_no_end(
    run: PlainRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run.command("restart").returncode == 0
    silent = (
        "#!/bin/sh\necho 'squeue: error: Unable to contact slurm controller (connect failure)' >&2\nexit 1\n"
    )
    with monkeypatch.context() as patched:
        patched.setenv("PATH", wrap(tmp_path / "bin", silent, "squeue"))
        # Another absence would be an end.
        Layout(run.path, "slurm").absent.touch()
        for path in (Layout(run.path, "slurm").journal, Layout(run.path, "slurm").absent):
            os.utime(path, (0, 0))
        done = run.command("status")
        if done.returncode == 3:
            assert "What runs is not known: Slurm does not answer" in " ".join(done.stdout.split())
        else:  # it was faster
            assert done.returncode == 0
        cancelled = run.command("cancel")
        assert cancelled.returncode == 1
        assert cancelled.stderr.startswith("pipetask: Slurm does not answer (squeue: Unable to contact")
    assert run.wait()["phase"] == "succeeded"


@pytest.mark.slow
def test_a_run_whose_jobs_have_vanished_is_lost_after_two_looks(
    make_machine: Callable[..., Machine], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once is not enough, and not twice within a minute."""
    machine = make_machine()
    run = write_run(tmp_path, monkeypatch)
    machine.run("scontrol", "update", "partitionname=main", "state=down")
    assert run.command("restart").returncode == 0
    # A controller that starts from nothing gives the same numbers to other jobs.
    machine.kill("slurmctld")
    machine.start("slurmctld", "-c")
    machine.wait_for_nodes()
    machine.submit("sleep 60", "--hold", "--array=0-1")
    status = run.status()
    assert status["phase"] == "running"
    assert "Nothing of the run is in the queue" in status["notes"][0]
    assert run.status()["phase"] == "running"
    layout, hour_ago = Layout(run.path, "slurm"), time.time() - 3600
    for path in (layout.journal, layout.absent):
        os.utime(path, (hour_ago, hour_ago))
    assert run.status()["phase"] == "failed"
    assert run.command("restart").returncode == 0
    assert run.wait()["phase"] == "succeeded"
    assert RunDirectory(run.path).facts.batch_system == "slurm"
