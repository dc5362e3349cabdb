"""What becomes of runs on Slurm between rounds and looks: no Slurm is needed, and stand-ins say what it would say."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from pipetask import BatchExecutor, BatchOptions, ExecutionContext, SlurmOptions, SlurmSystem
from pipetask.batch import upstream
from pipetask.batch.exit_codes import ExitCode
from pipetask.batch.ledger import Ledger
from pipetask.batch.names import FIRST
from pipetask.batch.node import run_node
from pipetask.batch.queueing import last_job
from pipetask.batch.queueing.absence import APART, Absence
from pipetask.batch.queueing.arrays import Demand, JobArray
from pipetask.batch.queueing.client import QueueUnknownError
from pipetask.batch.queueing.control import Run, continue_run
from pipetask.batch.queueing.dialect import Written
from pipetask.batch.queueing.job_script import first_failed
from pipetask.batch.queueing.journal import Journal
from pipetask.batch.queueing.layout import Layout, RunRecord
from pipetask.batch.run_directory import RunDirectory
from pipetask.batch.slurm.accounting import Billing, most_jobs, room_for_user, user_name
from pipetask.batch.slurm.client import CLIENT
from pipetask.batch.slurm.configuration import SlurmConfiguration
from pipetask.batch.slurm.job_script import script
from pipetask.batch.slurm.reasons import ADVICE
from pipetask.batch.status import NodeState, RunPhase
from pipetask.errors import PipetaskError
from pipetask.outcome import Status
from pipetask.testing import CallSpec, enumerated
from small_disk import small_disk
from test_batch_runs import write_run
from toy_work import Recorder

StandIn = Callable[[str, str], None]


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    """Return a function that puts a shell script in the place of a command."""
    folder = tmp_path / "stand-ins"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")

    def make(name: str, text: str) -> None:
        path = folder / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)

    return make


class Folder:
    """The times at which a run was written to and looked at."""

    def __init__(self, path: Path):
        self.marker, self.journal = path / "absent", path / "journal"
        self.journal.touch()
        self.write(ago=3 * APART)

    def write(self, ago: float) -> None:
        self._set(self.journal, ago)

    def looked(self, ago: float) -> None:
        self._set(self.marker, ago)

    def _set(self, path: Path, ago: float) -> None:
        now = self.journal.stat().st_ctime
        os.utime(path, (now - ago, now - ago))

    def is_lost(self) -> bool:
        """Look as a command does that begins now."""
        return Absence(self.marker).is_for_good(lambda: self.journal.stat().st_mtime)


def test_one_look_is_no_loss_and_two_within_a_minute_are_none(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    assert not folder.is_lost()
    assert not folder.is_lost()
    folder.looked(ago=2 * APART)
    assert folder.is_lost()
    assert folder.is_lost(), "and that is not forgotten"
    assert {path.name for path in tmp_path.iterdir()} == {"absent", "journal"}


def test_a_look_of_yesterday_counts_if_nothing_was_written_since(tmp_path: Path) -> None:
    folder, day = Folder(tmp_path), 86_400.0
    folder.write(ago=2 * day)
    assert not folder.is_lost()
    folder.looked(ago=day)
    assert folder.is_lost()


def test_what_was_written_between_two_looks_makes_the_second_one_the_first(tmp_path: Path) -> None:
    """The run was there in between, and may have ended a moment ago."""
    folder = Folder(tmp_path)
    assert not folder.is_lost()
    folder.looked(ago=86_400)
    folder.write(ago=1)
    assert not folder.is_lost()
    folder.write(ago=3 * APART)
    folder.looked(ago=2 * APART)
    assert folder.is_lost()


def test_what_is_in_the_queue_again_was_not_lost(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    assert not folder.is_lost()
    folder.looked(ago=2 * APART)
    Absence(folder.marker).ends()
    assert not folder.is_lost()


def test_one_who_may_only_read_has_to_look_for_a_minute(tmp_path: Path) -> None:
    looks = Absence(tmp_path / "nowhere" / "absent")
    looks.ends()
    assert not looks.is_for_good(lambda: 0.0)
    assert not looks.is_for_good(lambda: 0.0)


CONFIGURATION = """cat <<'END'
ClusterName             = ours
AccountingStorageType   = accounting_storage/{storage}
MaxArraySize            = 1001
MaxJobCount             = 10000
END"""
ASSOCIATIONS = """case "$*" in
*withassoc*) cat <<'END'
ours|main|main|normal|long,normal|40|
ours|main|other|normal|long,normal|7|
theirs|main|main|normal|normal|1|
END
;;
*) cat <<'END'
normal||||
long|30||25
END
;;
esac"""


def room(*billings: Billing) -> int | None:
    return room_for_user(10, billings)


@pytest.mark.parametrize(("name", "unknown"), [("KILL", True), ("INT", False)])
def test_a_command_that_is_killed_may_have_had_an_effect(
    stand_in: StandIn, name: str, *, unknown: bool
) -> None:
    """After Ctrl-C, which all processes of a terminal hear, nothing is tried again."""
    stand_in("sbatch", f"kill -{name} $$")
    with pytest.raises(PipetaskError, match=f"command sbatch was ended by SIG{name}") as error:
        CLIENT.call("sbatch", [], patience=60)
    assert isinstance(error.value, QueueUnknownError) is unknown


def test_limits_of_accounting_are_respected(stand_in: StandIn) -> None:
    """The limit counts what the user has in the queue, whatever run that belongs to."""
    stand_in("scontrol", CONFIGURATION.format(storage="slurmdbd"))
    stand_in("sacctmgr", ASSOCIATIONS)
    stand_in("squeue", f'[ "$6" = -u ] && [ "$7" = {user_name()} ] && printf "7\\n7\\n8\\n"')
    assert room(Billing("", "")) == 40 - 3
    assert room(Billing("other", "")) == 7 - 3
    assert room(Billing("", "long")) == 25 - 3
    assert room(Billing("", ""), Billing("other", "long")) == 7 - 3
    assert room(Billing("unknown", "")) is None


def test_without_accounting_it_is_not_asked(stand_in: StandIn, tmp_path: Path) -> None:
    stand_in("scontrol", CONFIGURATION.format(storage="none"))
    stand_in("sacctmgr", f"touch {tmp_path}/asked")
    assert room(Billing("", "")) is None
    assert not (tmp_path / "asked").exists()


@pytest.mark.parametrize(
    "answer",
    ["echo 'sacctmgr: error: slurm_persist_conn_open_without_init' >&2; exit 1", "echo a|b", "exec sleep 60"],
)
def test_accounting_that_does_not_answer_sets_no_limit(
    stand_in: StandIn, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    monkeypatch.setattr("pipetask.batch.slurm.accounting._PATIENCE", 0.3)
    stand_in("sacctmgr", answer)
    assert most_jobs("me", "ours", [Billing("", "")]) is None


def array(*nodes: str, labels: tuple[str, ...] = ("isr",)) -> JobArray:
    return JobArray(0, labels, 0, 0, nodes, (), Demand(100, 10))


def run_script(
    folder: Path, array: JobArray, program: str, *, first: bool = False, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run what the first element of an array runs, with a program in the place of the interpreter."""
    for name in ("round-001", "asked"):
        (folder / "slurm" / name).mkdir(parents=True, exist_ok=True)
    (folder / "logs").mkdir(exist_ok=True)
    (folder / "slurm/round-001/array-0.nodes").write_text("".join(f"{node}\n" for node in array.nodes))
    path = folder / "program"
    path.write_text(f"#!/bin/sh\n{program}\n")
    path.chmod(0o755)
    configuration = SlurmConfiguration.load(None, (f"python={path}", "restarts=2"))
    record = RunRecord("id", "name", first)
    written = Written(array, 1, configuration.for_labels(["isr"]), configuration.run, folder, record)
    return subprocess.run(
        ["sh"],
        input=script(written),
        env={"PATH": os.environ["PATH"], "SLURM_ARRAY_JOB_ID": "12", "SLURM_ARRAY_TASK_ID": "0", **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_first_job_that_fails_says_so_and_the_others_wait_no_more(tmp_path: Path) -> None:
    done = run_script(tmp_path, array(FIRST, labels=()), "exit 3")
    assert done.returncode == 3
    assert (tmp_path / first_failed(1)).read_text() == "3\n"
    done = run_script(tmp_path, array("isr-0"), "echo runs", first=True)
    assert (done.returncode, done.stdout) == (75, "")
    assert done.stderr == "the first job has not made the registry ready: see logs/first.*\n"
    (tmp_path / "registry.ready").touch()
    assert run_script(tmp_path, array("isr-0"), "echo runs", first=True).stdout == "runs\n"


def test_a_job_that_slurm_starts_again_too_often_is_given_up(tmp_path: Path) -> None:
    assert run_script(tmp_path, array("isr-0"), "echo runs", SLURM_RESTART_COUNT="2").stdout == "runs\n"
    assert not list((tmp_path / "slurm/asked").iterdir())
    done = run_script(tmp_path, array("isr-0"), "echo runs", SLURM_RESTART_COUNT="3")
    assert (done.returncode, done.stdout) == (75, "")
    assert [path.name for path in (tmp_path / "slurm/asked").iterdir()] == ["12_0.spent"]


def test_a_job_that_puts_itself_back_is_not_started_again_by_slurm(stand_in: StandIn, tmp_path: Path) -> None:
    stand_in("scontrol", f'echo "$@" >>{tmp_path}/asked')
    for count in range(5):
        done = run_script(tmp_path, array("isr-0"), "exit 79", SLURM_RESTART_COUNT=str(count))
        assert done.returncode == ExitCode.UNFINISHED, done.stderr
    assert (tmp_path / "asked").read_text().splitlines()[:2] == [
        "requeue 12_0",
        "update jobid=12_0 MinMemoryNode=100 TimeLimit=10",
    ]
    assert (tmp_path / "slurm/asked/12_0").read_text() == "100 10 5\n"


@pytest.mark.slow
def test_a_round_does_not_run_again_what_has_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also if its node has quanta that were blocked, and can run now."""
    monkeypatch.setattr(upstream, "PATIENCE", 0.0)
    counts, edges = {"a": 3, "b": 2}, [(0, 3), (1, 3), (1, 4), (2, 4)]
    graph = enumerated(counts, edges)
    ids = {quantum.position: quantum.id for quantum in graph}
    work = Recorder(tmp_path, bombs=((ids[3], "fail"),))
    directory: RunDirectory = write_run(tmp_path / "run", graph, CallSpec(work), bundle_size=2)
    assert run_node(directory, "0", since=0) == ExitCode.DONE
    assert run_node(directory, "2", since=0) == ExitCode.FAILED, "node 1 was killed, say"
    assert run_node(directory, "1", since=0) == ExitCode.DONE
    assert run_node(directory, "2", since=0) == ExitCode.FAILED
    assert [work.attempts(ids[position]) for position in (3, 4)] == [1, 1]
    statuses = Ledger(directory).statuses()
    assert (statuses[ids[3]], statuses[ids[4]]) == (Status.FAILED, Status.SUCCEEDED)


def after_a_round(path: Path, *settings: str) -> RunDirectory:
    """Write a run whose only job has vanished."""
    executor = BatchExecutor(
        SlurmSystem(SlurmOptions(slurm=settings)), BatchOptions(run_dir=str(path), submit=False)
    )
    context = ExecutionContext(enumerated({"a": 1}), CallSpec(print))
    list(executor.execute(context.graph, context))
    context.stop.close()
    journal = Journal(Layout(path, "slurm").journal)
    for array in (0, 1):
        journal.note("submitted", 1, array=array, job=str(array + 1))
    journal.note("released", 1)
    return RunDirectory(path)


def test_when_there_were_as_many_rounds_as_there_may_be_that_is_said(
    tmp_path: Path, stand_in: StandIn
) -> None:
    stand_in("squeue", "")
    run = Run.open(after_a_round(tmp_path / "run", "rounds=0"), SlurmSystem())
    with pytest.raises(PipetaskError, match="may submit 0 more rounds at most"):
        continue_run(run, 1)


REFUSES = "echo 'sbatch: error: Batch job submission failed: Resource temporarily unavailable' >&2; exit 1"


@pytest.mark.slow
def test_a_round_for_which_there_is_no_room_is_withdrawn_and_the_run_ends(
    tmp_path: Path, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its status says why, and a restart submits what is left when there is room."""
    monkeypatch.setattr(last_job, "_WAITS", (0.0, 3600.0))
    stand_in("scontrol", CONFIGURATION.format(storage="none"))
    stand_in("squeue", "")
    stand_in("sbatch", REFUSES)
    directory = after_a_round(tmp_path / "run")
    assert last_job.main(str(directory.path), 1) != 0
    seen = SlurmSystem().watch(directory).look()
    assert seen.phase is RunPhase.FAILED
    assert seen.notes[0].startswith(
        "In the final job, what has to run again was not submitted from a job (Slurm takes no more jobs"
    )
    with pytest.raises(
        PipetaskError, match=f"when there is room, continue with: pipetask restart {directory.path}"
    ):
        SlurmSystem().restart(directory)
    stand_in("sbatch", "echo 7")
    assert not SlurmSystem().restart(directory).found
    assert SlurmSystem().watch(directory).phase() is RunPhase.RUNNING


@pytest.mark.slow
def test_a_restart_on_a_full_disk_says_so_and_another_one_goes_on(tmp_path: Path, stand_in: StandIn) -> None:
    stand_in("scontrol", CONFIGURATION.format(storage="none"))
    stand_in("squeue", "")
    stand_in("sbatch", "echo 7")
    with small_disk(tmp_path / "disk", "1m") as disk:
        directory = after_a_round(disk.folder / "run")
        disk.fill()
        with pytest.raises(
            PipetaskError,
            match=f"^{directory.path} cannot be written \\(No space left on device\\): make room there",
        ):
            SlurmSystem().restart(directory)
        assert not list((directory.path / "slurm").glob(".round*")), "it leaves nothing half-written"
        disk.free()
        assert not SlurmSystem().restart(directory).found


@pytest.mark.slow
def test_a_final_job_waits_for_room_on_the_disk(
    tmp_path: Path, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in("scontrol", CONFIGURATION.format(storage="none"))
    stand_in("squeue", "")
    stand_in("sbatch", "echo 7")
    with small_disk(tmp_path / "disk", "1m") as disk:
        directory = after_a_round(disk.folder / "run")
        disk.fill()
        waits = []

        def wait(seconds: float) -> None:
            waits.append(seconds)
            disk.free()

        monkeypatch.setattr(last_job, "time", SimpleNamespace(monotonic=time.monotonic, sleep=wait))
        assert last_job.main(str(directory.path), 1) == ExitCode.DONE
        assert waits == [10.0]
        assert Journal(Layout(directory.path, "slurm").journal).read().last == 2


def test_a_node_whose_job_vanishes_is_submitted_again_as_often_as_its_budget_says(
    tmp_path: Path, stand_in: StandIn
) -> None:
    """And the budget is a new one after a restart."""
    stand_in("scontrol", CONFIGURATION.format(storage="none"))
    stand_in("squeue", "")
    stand_in("sbatch", "echo 7")
    directory = after_a_round(tmp_path / "run", "retries=2")
    for start in (1, 4):
        if start > 1:
            SlurmSystem().restart(directory)
        again = [continue_run(Run.open(directory, SlurmSystem()), start + each) for each in range(3)]
        assert again == [True, True, False]
    shipped = SlurmConfiguration.load(None, ())
    assert (shipped.for_labels(["a"]).retries, shipped.run.rounds) == (5, 10)


HELD = {
    "JobHeldUser": "let it start with: scontrol release 1_0",
    "JobHeldAdmin": "only an administrator can release it",
    "launch failed requeued held": "a machine could not start it, which those who run Slurm should know",
    "JobHoldMaxRequeue": "a machine could not start it",
    "job requeued in held state": "if its cause is gone, let it start with: scontrol release 1_0",
    "job requeued in special exit state": "if its cause is gone",
    "DependencyNeverSatisfied": "what it waits for has failed; let it start with: scontrol update jobid=1_0",
    "InvalidQOS": "pipetask cancel, change slurm/slurm.yaml, and pipetask restart",
    "PartitionTimeLimit": "pipetask cancel, change",
    "AssocMaxWallDurationPerJobLimit": "pipetask cancel, change",
    "QOSMaxMemoryPerJob": "pipetask cancel, change",
}
PASSING = (
    "Priority",
    "Resources",
    "BeginTime",
    "QOSMaxJobsPerUserLimit",
    "QOSMaxSubmitJobPerUserLimit",
    "Licenses",
)


def test_a_job_that_will_not_start_by_itself_is_shown_with_what_to_do(
    tmp_path: Path, stand_in: StandIn
) -> None:
    directory = after_a_round(tmp_path / "run")
    watch = SlurmSystem().watch(directory)
    for reason in (*HELD, *PASSING):
        stand_in("squeue", f"echo '1|0|PENDING|pipetask {directory.facts.id} 1 0|{reason}'")
        seen = watch.look()
        if reason in PASSING:
            assert (seen.states["a-0"], seen.holds) == (NodeState.IDLE, []), reason
            continue
        (hold,) = seen.holds
        assert (seen.states["a-0"], hold.node) == (NodeState.HELD, "a-0")
        assert hold.reason.startswith(f"{reason} (job 1_0): ")
        assert HELD[reason] in hold.reason


def test_the_guide_says_what_to_do_about_each_reason() -> None:
    guide = (Path(__file__).parents[1] / "doc/guide/slurm.md").read_text()
    for advice in ADVICE.values():
        assert advice.replace("{id}", "JOB") in guide
