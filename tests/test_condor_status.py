"""The state of a run on HTCondor, from the logs alone."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from rich.console import Console

from conftest import environment
from pipetask import BatchExecutor, BatchOptions, CondorSystem
from pipetask.batch.condor.event_log import BEGINNING
from pipetask.batch.condor.layout import OURS, Layout
from pipetask.batch.condor.node_status import NodeStatusFile
from pipetask.batch.node import run_node
from pipetask.batch.run_directory import RunDirectory
from pipetask.batch.status import NodeState, RunPhase, RunStatus
from pipetask.batch.status_display import status_table
from pipetask.batch.watch import RunWatch
from pipetask.errors import PipetaskError
from pipetask.executors.base import ExecutionContext
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
HELD_BY_HAND = HELD.replace("disk full", "via condor_hold").replace("Code 12 Subcode 28", "Code 1 Subcode 0")
DISCONNECTED = (
    "022 ({job:03}.000.000) 2026-01-01 00:00:30 Job disconnected, attempting to reconnect\n"
    "    Local schedd and job shadow died, schedd now running again\n    Trying to reconnect to slot1 <h>\n...\n"
)
RECONNECTED = (
    "023 ({job:03}.000.000) 2026-01-01 00:00:40 Job reconnected to slot1\n    startd address: <h>\n"
    "    starter address: <h>\n...\n"
)
NOT_RECONNECTED = (
    "024 ({job:03}.000.000) 2026-01-01 00:00:40 Job reconnection failed\n"
    "    Job disconnected too long: JobLeaseDuration (25 seconds) expired\n"
    "    Can not reconnect to slot1, rescheduling job\n...\n"
)
RELEASED = "013 ({job:03}.000.000) 2026-01-01 00:00:30 Job was released.\n\tvia condor_release\n...\n"
POST = (
    "016 ({job:03}.000.000) 2026-01-01 00:01:50 POST Script terminated.\n"
    "\t(1) Normal termination (return value 0)\n    DAG Node: {node}\n...\n"
)
NOT_SUBMITTED = POST.replace("{job:03}", "-01")
KILLED = ENDED.replace(
    "(1) Normal termination (return value {code})", "(0) Abnormal termination (signal 9)\n\t(0) No core file"
)
SIZE = "006 ({job:03}.000.000) 2026-01-01 00:00:15 Image size of job updated: 1000\n...\n"
NODE_STATUS = (Path(__file__).parent / "golden" / "failed.node_status").read_text()
"""What DAGMan of HTCondor 23.9 wrote about nodes a-0 to a-3 when a-1 had failed, for which a-3 waits."""

DAGMAN_OUT = (Path(__file__).parent / "golden" / "refused.dagman.out").read_text()
"""What DAGMan of HTCondor 23.9 wrote about jobs that were refused: for a limit, and a folder that is gone."""

ABORTED = "009 ({job:03}.000.000) 2026-01-01 00:00:40 Job was aborted.\n\tvia condor_rm\n...\n"


class Run:
    """A run of four nodes of two quanta each, whose logs a test writes."""

    def __init__(self, folder: Path):
        graph = enumerated({"a": 8})
        executor = BatchExecutor(
            CondorSystem(), BatchOptions(run_dir=str(folder / "run"), submit=False, bundle_size=2)
        )
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
    for number, events in enumerate([(SUBMITTED, STARTED), (SUBMITTED, STARTED), (SUBMITTED,)]):
        run.node(number, *events)
    run.node(0, ENDED)
    status = RunWatch(run.directory).look()
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
    status = RunWatch(run.directory).look()
    assert status.phase is RunPhase.FAILED
    assert status.failed == ["a-1"]
    assert status.counts["a"][NodeState.DONE] == 1
    assert status.counts["a"][NodeState.FAILED] == 1


def test_what_waits_for_a_failure_is_blocked_and_takes_no_time(run: Run) -> None:
    run.dagman(SUBMITTED, STARTED)
    run.node(0, SUBMITTED, STARTED)
    run.node(1, SUBMITTED, STARTED)
    run.node(0, ENDED)
    assert run_node(run.directory, "1") == 1
    run.node(1, ENDED, code=1)
    look = RunWatch(run.directory).look
    assert look().nodes == {NodeState.DONE: 1, NodeState.FAILED: 1, NodeState.WAITING: 2}
    assert look().seconds_left == pytest.approx(4 * 100 / 3)
    run.layout.node_status.write_text(NODE_STATUS)
    status = look()
    assert status.nodes == {
        NodeState.DONE: 1,
        NodeState.FAILED: 1,
        NodeState.WAITING: 1,
        NodeState.BLOCKED: 1,
    }
    assert status.counts["a"] == {
        NodeState.DONE: 3,
        NodeState.FAILED: 1,
        NodeState.WAITING: 2,
        NodeState.BLOCKED: 2,
    }
    assert status.seconds_left == pytest.approx(2 * 100 / 3)
    shown = io.StringIO()
    Console(file=shown, width=200).print(status_table(status))
    assert shown.getvalue().splitlines()[0].split() == [
        "task",
        "waiting",
        "idle",
        "running",
        "done",
        "failed",
        "blocked",
        "held",
    ]
    assert "running: nodes 1 waiting, 1 done, 1 failed, 1 blocked," in shown.getvalue()


def test_a_job_that_could_do_nothing_is_blocked_whatever_its_script_says(run: Run) -> None:
    run.dagman(SUBMITTED, STARTED)
    run.node(0, SUBMITTED, STARTED, ENDED, POST, code=1)
    run.node(1, SUBMITTED, STARTED, ENDED, POST, code=77)
    run.node(2, SUBMITTED, STARTED, KILLED, POST)
    run.node(3, SUBMITTED, STARTED, ENDED, POST, code=0)
    status = RunWatch(run.directory).look()
    assert status.failed == ["a-0", "a-2"]
    assert status.nodes == {NodeState.FAILED: 2, NodeState.BLOCKED: 1, NodeState.DONE: 1}
    assert status.counts["a"] == {NodeState.BLOCKED: 6, NodeState.DONE: 2}


def test_a_job_that_the_schedd_never_took_has_failed(run: Run) -> None:
    run.dagman(SUBMITTED, STARTED)
    run.node(0, NOT_SUBMITTED)
    assert RunWatch(run.directory).look().failed == ["a-0"]


def test_why_a_job_was_never_taken_is_told(run: Run) -> None:
    run.dagman(SUBMITTED, STARTED)
    for number in (0, 1, 2):
        run.node(number, NOT_SUBMITTED)
    run.layout.dagman_out.write_text(DAGMAN_OUT)
    status = RunWatch(run.directory).look()
    gone = "No such directory: /runs/run"
    assert status.reasons == {
        "a-0": gone,
        "a-1": gone,
        "a-2": "the schedd has as many jobs of this owner as it may have (MAX_JOBS_PER_OWNER)",
    }
    assert f"a-0 never got into the queue: {gone}" in shown(status)
    run.node(0, SUBMITTED)
    assert "a-0" not in RunWatch(run.directory).look().reasons, "of those only that are not in the queue"


@pytest.mark.parametrize(
    ("final", "out", "noted", "why"),
    [
        ((SUBMITTED, STARTED, ENDED), "", "the registry is read-only", "the registry is read-only"),
        ((SUBMITTED, STARTED, ABORTED), "", None, "the final job was removed, or ended without a word"),
        ((), DAGMAN_OUT, None, "the final job never got into the queue: No such directory: /runs/run"),
        ((), "", None, "the final job has not run"),
    ],
)
def test_a_run_that_is_over_and_not_registered_says_why(
    run: Run, final: tuple[str, ...], out: str, noted: str | None, why: str
) -> None:
    facts = json.loads((run.directory.path / "run.json").read_text())
    (run.directory.path / "run.json").write_text(json.dumps({**facts, "repository": "/repository"}))
    run.dagman(SUBMITTED, STARTED, ENDED, code=1)
    for number in range(4):
        run.node(number, SUBMITTED, STARTED, ENDED)
    run.node(7, *(event.replace("{node}", "final") for event in final), code=75)
    run.layout.dagman_out.write_text(out)
    if noted is not None:
        run.directory.unregistered.write_text(f"{noted}\n")
    directory = RunDirectory(run.directory.path)
    status = RunWatch(directory).look()
    assert status.phase is RunPhase.FAILED
    assert status.unregistered is not None
    assert status.unregistered.startswith(why)
    assert any(line.startswith(f"What is done has not been registered: {why}") for line in shown(status))
    run.directory.summary.write_text("{}")
    status = RunWatch(directory).look()
    assert (status.phase, status.unregistered) == (RunPhase.SUCCEEDED, None), "registered by hand"


def test_after_a_failed_run_nothing_waits(run: Run) -> None:
    run.dagman(SUBMITTED, STARTED, ENDED, code=1)
    run.node(1, SUBMITTED, STARTED, ENDED, code=1)
    assert RunWatch(run.directory).look().nodes == {NodeState.FAILED: 1, NodeState.BLOCKED: 3}


def test_events_are_newer_than_what_dagman_wrote_down(run: Run) -> None:
    run.dagman(SUBMITTED, STARTED)
    run.node(3, SUBMITTED, STARTED)
    run.layout.node_status.write_text(NODE_STATUS)
    status = RunWatch(run.directory).look()
    assert status.nodes == {NodeState.WAITING: 2, NodeState.FAILED: 1, NodeState.RUNNING: 1}


def test_what_dagman_wrote_down_while_all_went_well_is_not_read_further(tmp_path: Path) -> None:
    path = tmp_path / "status"
    path.write_text(NODE_STATUS.replace("NodesFutile = 1;", "NodesFutile = 0;"))
    assert NodeStatusFile(path).states() == {"a-1": NodeState.FAILED, "a-3": NodeState.BLOCKED}
    path.write_text(
        NODE_STATUS.replace("NodesFutile = 1;", "NodesFutile = 0;").replace(
            "NodesFailed = 1;", "NodesFailed = 0;"
        )
    )
    assert NodeStatusFile(path).states() == {}


def test_a_damaged_account_of_dagman_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "status"
    path.write_text("[\n  Nodes")
    with pytest.raises(PipetaskError, match="status cannot be read"):
        NodeStatusFile(path).states()


@pytest.mark.slow
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
    assert RunWatch(run.directory).look().phase is phase
    command = [sys.executable, "-m", "pipetask.cli", "status", str(run.directory.path), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment())
    assert done.returncode == exit_code, done.stderr
    assert json.loads(done.stdout)["phase"] == phase.value


def test_a_run_whose_last_jobs_are_all_held_says_so_with_reasons(run: Run) -> None:
    run.dagman(SUBMITTED, STARTED)
    for number, events in enumerate([(HELD_BY_HAND,), (HELD_BY_HAND,), (ENDED,), (ENDED,)]):
        run.node(number, SUBMITTED, STARTED, *events)
    status = RunWatch(run.directory).look()
    assert status.phase is RunPhase.HELD
    assert [(hold.node, hold.reason, hold.code, hold.subcode) for hold in status.holds] == [
        ("a-0", "via condor_hold", 1, 0),
        ("a-1", "via condor_hold", 1, 0),
    ]
    run.node(0, RELEASED)
    status = RunWatch(run.directory).look()
    assert status.phase is RunPhase.RUNNING
    assert [hold.node for hold in status.holds] == ["a-1"]


def test_a_hold_that_ends_by_itself_is_no_reason_to_act(run: Run) -> None:
    run.dagman(SUBMITTED, STARTED)
    for number, event in enumerate([HELD_BY_HAND, HELD, ENDED, ENDED]):
        run.node(number, SUBMITTED, STARTED, event)
    status = RunWatch(run.directory).look()
    assert status.phase is RunPhase.RUNNING
    assert shown(status)[2:4] == ["a-0 is held: via condor_hold", "a-1 is held for a while: disk full"]


def test_what_dagman_has_not_submitted_yet_is_waited_for(run: Run) -> None:
    run.dagman(SUBMITTED, STARTED)
    for number, event in enumerate([HELD_BY_HAND, ENDED, ENDED]):
        run.node(number, SUBMITTED, STARTED, event)
    look = RunWatch(run.directory).look
    assert look().phase is RunPhase.RUNNING, "node 3 waits for nothing"
    os.utime(run.layout.node_log, (0, 0))
    assert look().phase is RunPhase.HELD, "long since it should have been submitted"


def test_a_final_job_that_runs_or_is_held_is_part_of_the_run(run: Run) -> None:
    run.dagman(SUBMITTED, STARTED)
    for number in range(4):
        run.node(number, SUBMITTED, STARTED, ENDED)
    final = [event.replace("{node}", "final") for event in (SUBMITTED, STARTED)]
    run.node(7, *final)
    look = RunWatch(run.directory).look
    assert look().phase is RunPhase.RUNNING
    run.node(7, HELD_BY_HAND)
    assert look().phase is RunPhase.HELD


@pytest.mark.parametrize(
    ("event", "state", "waits"),
    [
        (None, NodeState.RUNNING, True),
        (RECONNECTED, NodeState.RUNNING, False),
        (NOT_RECONNECTED, NodeState.IDLE, False),
    ],
)
def test_jobs_that_wait_for_their_lease_are_named(
    run: Run, event: str | None, state: NodeState, waits: bool
) -> None:
    run.dagman(SUBMITTED, STARTED)
    run.node(0, SUBMITTED, STARTED, DISCONNECTED, *([event] if event else []))
    status = RunWatch(run.directory).look()
    assert (status.nodes[state], status.disconnected) == (1, ["a-0"] if waits else [])
    said = "1 jobs (such as a-0) wait for machines that do not answer; each starts again when its lease has ended"
    assert any(said in line for line in shown(status)) == waits


def shown(status: RunStatus) -> list[str]:
    out = io.StringIO()
    Console(file=out, width=200).print(status_table(status))
    return out.getvalue().splitlines()


def test_what_was_done_before_a_restart_counts(run: Run) -> None:
    run.layout.rescue(1).write_text(f"{OURS}\nDONE a-0\nDONE a-1\n")
    run.dagman(SUBMITTED, STARTED)
    assert RunWatch(run.directory).look().counts["a"][NodeState.DONE] == 4


def test_a_half_written_event_is_waited_for(run: Run) -> None:
    look = RunWatch(run.directory).look
    run.node(0, SUBMITTED)
    started = STARTED.format(job=2)
    with run.layout.node_log.open("a") as log:
        log.write(started[:30])
    assert look().counts["a"][NodeState.IDLE] == 2
    with run.layout.node_log.open("a") as log:
        log.write(started[30:])
    assert look().counts["a"][NodeState.RUNNING] == 2


def test_another_look_reads_only_what_is_new(run: Run) -> None:
    look = RunWatch(run.directory).look
    run.node(0, SUBMITTED, STARTED)
    assert look().nodes[NodeState.RUNNING] == 1
    read = run.layout.node_log.stat().st_size
    run.node(0, ENDED)
    run.dagman(SUBMITTED, STARTED)
    # What was read before and is read again would now be an error.
    with run.layout.node_log.open("r+") as log:
        log.seek(BEGINNING)
        log.write("x" * (read - BEGINNING - 1))
    status = look()
    assert status.phase is RunPhase.RUNNING
    assert status.nodes[NodeState.DONE] == 1


@pytest.mark.parametrize("seen_empty", [False, True])
def test_a_log_that_dagman_begins_anew_is_read_anew(run: Run, seen_empty: bool) -> None:
    look = RunWatch(run.directory).look
    run.dagman(SUBMITTED, STARTED, ENDED, code=1)
    run.node(0, SUBMITTED, STARTED, ENDED)
    run.node(1, SUBMITTED, STARTED, ENDED, code=1)
    assert look().nodes == {NodeState.DONE: 1, NodeState.FAILED: 1, NodeState.BLOCKED: 2}
    run.layout.rescue(1).write_text(f"{OURS}\nDONE a-0\n")
    run.dagman(SUBMITTED, STARTED)
    run.layout.node_log.write_text("")
    assert look().nodes == {NodeState.DONE: 1, NodeState.WAITING: 3}
    run.node(
        1, *[event.replace("{job:03}", "010") for event in (SUBMITTED, STARTED, SIZE, SIZE, SIZE, ENDED)]
    )
    run.node(2, SUBMITTED, *[SIZE] * 10)
    assert look().nodes == {NodeState.DONE: 2, NodeState.IDLE: 1, NodeState.WAITING: 1}


def test_events_that_change_nothing_may_come_alone(run: Run) -> None:
    look = RunWatch(run.directory).look
    run.node(0, SUBMITTED, STARTED)
    assert look().nodes[NodeState.RUNNING] == 1
    run.node(0, SIZE)
    assert look().nodes[NodeState.RUNNING] == 1


def test_a_log_that_cannot_be_read_is_one_line(run: Run) -> None:
    run.layout.node_log.mkdir()
    with pytest.raises(PipetaskError, match=r"nodes\.log cannot be read \(Is a directory\)"):
        RunWatch(run.directory).look()


def test_a_log_of_another_form_is_told(run: Run) -> None:
    run.layout.node_log.write_text('<c>\n    <a n="MyType"><s>SubmitEvent</s></a>\n</c>\n...\n')
    with pytest.raises(
        PipetaskError, match=r"begins with b'<c>.*': set HTCondor's DEFAULT_USERLOG_FORMAT_OPTIONS"
    ):
        RunWatch(run.directory).look()
