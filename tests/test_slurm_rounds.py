"""What becomes of runs on Slurm between rounds and looks: no Slurm is needed, and stand-ins say what it would say."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from pipetask.batch import upstream
from pipetask.batch.exit_codes import ExitCode
from pipetask.batch.ledger import Ledger
from pipetask.batch.names import FIRST
from pipetask.batch.node import run_node
from pipetask.batch.queueing.absence import APART, Absence
from pipetask.batch.queueing.arrays import Demand, JobArray
from pipetask.batch.queueing.dialect import Written
from pipetask.batch.queueing.job_script import first_failed
from pipetask.batch.queueing.layout import RunRecord
from pipetask.batch.run_directory import RunDirectory
from pipetask.batch.slurm.accounting import Billing, most_jobs, room_for_user, user_name
from pipetask.batch.slurm.configuration import SlurmConfiguration
from pipetask.batch.slurm.job_script import script
from pipetask.outcome import Status
from pipetask.testing import CallSpec, enumerated
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
        timeout=60,
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
