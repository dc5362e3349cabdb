"""A submission that is interrupted at any point is continued, and nothing is submitted twice.

The commands of Slurm are wrapped here: before or after the real one, the wrapper kills who has called it, or says that
there was no answer.
"""

from __future__ import annotations

import json
import os
import sys
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
from slurm.wrapped import wrap

from conftest import run_pipetask  # isort: skip

WRAPPER = """#!/bin/sh
# Signal the caller once before and once after each request that changes something.
key=$(basename "$0")
for word in "$@"; do
  case $word in --comment=*|release) key="$key $word";; --test-only|show) exec {real} "$@";; esac
done
for moment in before after; do
  [ $moment = before ] || {real} "$@" || exit
  [ $moment = before ] || echo "$key" >> '{notes}/done'
  if ! grep -qsxF "$moment $key" '{notes}/killed'; then
    echo "$moment $key" >> '{notes}/killed'
    {signal}
    exit 1
  fi
done
"""

KILL = "kill -KILL $PPID"
END = """case $(($(wc -l < '{notes}/killed') % 4)) in
      0|1) kill -INT -$(cut -d ' ' -f 5 /proc/$PPID/stat);;  # its whole group, as Ctrl-C in a terminal does
      *) kill -TERM $PPID;;
    esac"""
"""How the caller is ended."""

DEAF = """#!/bin/sh
# The first request is carried out, and the answer is lost.
[ -e '{notes}/once' ] && exec {real} "$@"
for word in "$@"; do case $word in --test-only) exec {real} "$@";; esac; done
touch '{notes}/once'
{real} "$@" >> '{notes}/ids'
echo 'sbatch: error: Batch job submission failed: Socket timed out on send/recv operation' >&2
exit 1
"""

CANCELLING = """#!/bin/sh
# Cancel the run right before one of its arrays is submitted.
case "$*" in *' 1 {array} '*) {python} -m pipetask.cli cancel '{run}' >> '{notes}/cancel' 2>&1;; esac
exec {real} "$@"
"""

COUNTS, EDGES = {"a": 2, "b": 2}, [(0, 2), (0, 3), (1, 2), (1, 3)]


def system() -> SlurmSystem:
    return SlurmSystem(SlurmOptions(slurm=("memory=100MB", "time=5min", "error_retries=0")))


def write_run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> PlainRun:
    """Return a run that was written, and not submitted."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]), prepend=os.pathsep)
    bench = LocalBench("slurm.test_submission:system", folder)
    written = PlainRun(bench, COUNTS, EDGES, options={"bundle_size": 1, "submit": False})
    written.submit()
    return written


@pytest.fixture
def run(machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PlainRun:
    return write_run(tmp_path, monkeypatch)


def the_same_command_is_refused(run: PlainRun) -> None:
    """Submit a run whose directory exists already, as one who repeats the command."""
    description = run.path.with_suffix(".json")
    content = json.loads(description.read_text())
    content["options"]["submit"] = True
    description.write_text(json.dumps(content))
    done = run.bench.run(sys.executable, "-m", "pipetask.testing.plain_runs", str(description))
    assert (done.returncode, done.stdout) == (1, "")
    assert f"Run directory {run.path} exists: " in done.stderr
    assert done.stderr.endswith(f"go on with it: pipetask restart {run.path}\n")


@pytest.mark.slow
@pytest.mark.parametrize(("signal", "codes"), [(KILL, {-9}), (END, {130, 143})], ids=["killed", "ended"])
def test_a_submission_that_is_interrupted_at_every_step_is_continued(
    run: PlainRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, signal: str, codes: set[int]
) -> None:
    seen = set()
    with monkeypatch.context() as patched:
        text = WRAPPER.replace("{signal}", signal)
        patched.setenv("PATH", wrap(tmp_path / "bin", text, "sbatch", "scontrol"))
        while (done := run_pipetask("restart", str(run.path))).code:
            assert "Traceback" not in done.err
            if not seen:
                the_same_command_is_refused(run)
            seen.add(done.code)
            kills = (tmp_path / "bin" / "killed").read_text().splitlines()
            assert len(kills) < 50
    assert seen == codes
    notes = (tmp_path / "bin" / "done").read_text().splitlines()
    submitted = [line for line in notes if line.startswith("sbatch")]
    assert len(submitted) == len(set(submitted)) == 3, "each array once"
    assert len(kills) == 2 * len(submitted) + 2, "before and after each, and the release"
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


@pytest.mark.slow
@pytest.mark.parametrize("array", [0, 1])
def test_a_submission_that_is_cancelled_leaves_no_jobs_behind(
    machine: Machine, run: PlainRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, array: int
) -> None:
    """Also if nothing was in the queue yet."""
    text = CANCELLING.replace("{array}", str(array)).replace("{run}", str(run.path))
    text = text.replace("{python}", sys.executable)
    with monkeypatch.context() as patched:
        patched.setenv("PATH", wrap(tmp_path / "bin", text, "sbatch"))
        done = run.command("restart")
    assert "Cancelled" in (tmp_path / "bin" / "cancel").read_text()
    assert (done.returncode, done.stderr) == (
        1,
        f"pipetask: {run.path} was cancelled meanwhile, so its jobs were removed.\n",
    )
    assert run.status()["phase"] == "cancelled"
    id = RunDirectory(run.path).facts.id
    assert {job.state for job in machine.jobs() if f" {id} " in job.comment} == {"CANCELLED"}
    assert run.command("restart").returncode == 0
    assert run.wait()["phase"] == "succeeded"
    assert [run.attempts(position) for position in range(4)] == [1] * 4


INSIDE = {
    "SBATCH_ARRAY_INX": "5-9",
    "SBATCH_DEPENDENCY": "x",
    "SBATCH_EXPORT": "NONE",
    "SBATCH_MEM_PER_NODE": "77",
    "SBATCH_PARTITION": "urgent",
    "SBATCH_TIMELIMIT": "3",
    "SBATCH_WAIT": "1",
    "SLURM_ARRAY_TASK_ID": "9",
    "SLURM_CPUS_PER_TASK": "3",
    "SLURM_JOB_ID": "1",
    "SLURM_MEM_PER_CPU": "333",
    "SQUEUE_FORMAT": "%A",
    "SQUEUE_STATES": "RUNNING",
}
"""Variables such as a job and its user have."""


@pytest.mark.slow
def test_a_job_that_submits_asks_for_nothing_of_its_own(
    machine: Machine, run: PlainRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        for name, text in INSIDE.items():
            patched.setenv(name, text)
        assert run.command("restart").returncode == 0
    out = machine.run("squeue", "-h", "-r", "-t", "all", "-o", "%k|%P|%m|%C|%l").stdout
    id = RunDirectory(run.path).facts.id
    ours = [line.partition("|")[2] for line in out.splitlines() if f" {id} " in line]
    assert (len(ours), set(ours)) == (5, {"main|100M|1|5:00"})


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
    status = run.status()
    assert status["phase"] == "failed"
    assert status["notes"][0].endswith("that job was removed, or has vanished.")
    assert run.command("restart").returncode == 0
    assert run.wait()["phase"] == "succeeded"
    assert RunDirectory(run.path).facts.batch_system == "slurm"
