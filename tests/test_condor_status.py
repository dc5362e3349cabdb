"""The state of a run on HTCondor, from the logs alone."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from conftest import environment
from pipetask.executors.base import ExecutionContext
from pipetask.executors.condor import CondorExecutor
from pipetask.executors.condor.events import run_status
from pipetask.executors.condor.layout import OURS, Layout
from pipetask.executors.delayed.node import run_node
from pipetask.executors.delayed.run_directory import RunDirectory
from pipetask.executors.delayed.status import NodeState, RunPhase
from pipetask.options.delayed import DelayedOptions
from pipetask.testing import CallSpec, enumerated
from toy_work import Recorder

SUBMITTED = (
    "000 ({job:03}.000.000) 2026-01-01 00:00:00 Job submitted from host: <h>\n    DAG Node: {node}\n...\n"
)
STARTED = "001 ({job:03}.000.000) 2026-01-01 00:00:10 Job executing on host: <h>\n...\n"
ENDED = (
    "005 ({job:03}.000.000) 2026-01-01 00:01:40 Job terminated.\n"
    "\t(1) Normal termination (return value {code})\n"
    "\t\tUsr 0 00:00:00, Sys 0 00:00:00  -  Run Remote Usage\n"
    "\t\tUsr 0 00:00:00, Sys 0 00:00:00  -  Run Local Usage\n"
    "\t\tUsr 0 00:00:00, Sys 0 00:00:00  -  Total Remote Usage\n"
    "\t\tUsr 0 00:00:00, Sys 0 00:00:00  -  Total Local Usage\n...\n"
)
HELD = "012 ({job:03}.000.000) 2026-01-01 00:00:20 Job was held.\n\tdisk full\n\tCode 12 Subcode 28\n...\n"
RELEASED = "013 ({job:03}.000.000) 2026-01-01 00:00:30 Job was released.\n\tvia condor_release\n...\n"
ABORTED = "009 ({job:03}.000.000) 2026-01-01 00:00:40 Job was aborted.\n\tvia condor_rm\n...\n"


class Run:
    """A run of four nodes of two quanta each, whose logs a test writes."""

    def __init__(self, folder: Path):
        graph = enumerated({"a": 8})
        executor = CondorExecutor(DelayedOptions(run_dir=str(folder / "run"), submit=False, bundle_size=2))
        context = ExecutionContext(graph, CallSpec(Recorder(folder, bombs=((3, "fail"),))))
        assert len(list(executor.execute(graph, context))) == 8
        context.stop.close()
        self.directory = RunDirectory(folder / "run")
        self.layout = Layout(self.directory.path)

    def node(self, number: int, *events: str, code: int = 0) -> None:
        with self.layout.node_log.open("a") as log:
            for event in events:
                log.write(event.format(job=number + 2, node=f"a-{number}", code=code))

    def dagman(self, *events: str, code: int = 0) -> None:
        with self.layout.dagman_log.open("a") as log:
            for event in events:
                log.write(event.format(job=1, node="-", code=code))


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path)


def test_labels_by_states_rate_and_time_left(run: Run) -> None:
    run.dagman(SUBMITTED, STARTED)
    run.node(0, SUBMITTED, STARTED, ENDED)
    run.node(1, SUBMITTED, STARTED)
    run.node(2, SUBMITTED)
    status = run_status(run.directory)
    assert status.phase is RunPhase.RUNNING
    assert status.counts == {
        "a": Counter({NodeState.DONE: 2, NodeState.RUNNING: 2, NodeState.IDLE: 2, NodeState.WAITING: 2})
    }
    assert status.rate == pytest.approx(2 / 100)
    assert status.seconds_left == pytest.approx(300)


def test_what_has_ended_in_a_job_that_failed_is_told_apart(run: Run) -> None:
    assert run_node(run.directory, "1") == 1
    run.dagman(SUBMITTED, STARTED, ENDED, code=1)
    run.node(1, SUBMITTED, STARTED, ENDED, code=1)
    status = run_status(run.directory)
    assert status.phase is RunPhase.FAILED
    assert status.failed == ["a-1"]
    assert status.counts["a"][NodeState.DONE] == 1
    assert status.counts["a"][NodeState.FAILED] == 1


@pytest.mark.parametrize(
    ("events", "code", "phase", "exit_code"),
    [
        ((), 0, RunPhase.WRITTEN, 6),
        ((SUBMITTED, STARTED), 0, RunPhase.RUNNING, 3),
        ((SUBMITTED, STARTED, ENDED), 0, RunPhase.SUCCEEDED, 0),
        ((SUBMITTED, STARTED, ENDED), 1, RunPhase.FAILED, 1),
        ((SUBMITTED, STARTED, ABORTED), 0, RunPhase.CANCELLED, 5),
        ((SUBMITTED, STARTED, ABORTED, SUBMITTED, STARTED), 0, RunPhase.RUNNING, 3),
        ((SUBMITTED, STARTED, HELD), 0, RunPhase.HELD, 4),
    ],
)
def test_the_exit_code_says_what_the_run_is_up_to(
    run: Run, events: tuple[str, ...], code: int, phase: RunPhase, exit_code: int
) -> None:
    run.dagman(*events, code=code)
    assert run_status(run.directory).phase is phase
    command = [sys.executable, "-m", "pipetask.cli", "status", str(run.directory.path), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment(), timeout=60)
    assert done.returncode == exit_code, done.stderr
    assert json.loads(done.stdout)["phase"] == phase.value


def test_a_run_whose_last_jobs_are_all_held_says_so_with_reasons(run: Run) -> None:
    run.dagman(SUBMITTED, STARTED)
    for number in (0, 1):
        run.node(number, SUBMITTED, STARTED, HELD)
    status = run_status(run.directory)
    assert status.phase is RunPhase.HELD
    assert [(hold.node, hold.reason, hold.code, hold.subcode) for hold in status.holds] == [
        ("a-0", "disk full", 12, 28),
        ("a-1", "disk full", 12, 28),
    ]
    run.node(0, RELEASED)
    status = run_status(run.directory)
    assert status.phase is RunPhase.RUNNING
    assert [hold.node for hold in status.holds] == ["a-1"]


def test_what_was_done_before_a_restart_counts(run: Run) -> None:
    run.layout.rescue(1).write_text(f"{OURS}\nDONE a-0\nDONE a-1\n")
    run.dagman(SUBMITTED, STARTED)
    assert run_status(run.directory).counts["a"][NodeState.DONE] == 4


def test_a_half_written_event_is_waited_for(run: Run) -> None:
    run.node(0, SUBMITTED)
    with run.layout.node_log.open("a") as log:
        log.write(STARTED.format(job=2)[:30])
    assert run_status(run.directory).counts["a"][NodeState.IDLE] == 2
