"""What is written for PBS and PJM, and what is read of them, as in their manuals.  Neither of them is needed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pipetask import BatchExecutor, BatchOptions, PbsOptions, PbsSystem, PjmOptions, PjmSystem
from pipetask.batch.pbs.client import CLIENT as PBS_CLIENT
from pipetask.batch.pbs.configuration import PbsConfiguration
from pipetask.batch.pbs.job_script import depend
from pipetask.batch.pbs.limits import limits_in
from pipetask.batch.pbs.queue import elements_of as pbs_elements
from pipetask.batch.pbs.queue import jobs_of
from pipetask.batch.pbs.said import output_of, said_by_pbs
from pipetask.batch.pjm.configuration import PjmConfiguration
from pipetask.batch.pjm.node_list import share
from pipetask.batch.pjm.queue import elements_of as pjm_elements
from pipetask.batch.pjm.said import said_by_pjm
from pipetask.batch.queueing import absence
from pipetask.batch.queueing.arrays import Demand, JobArray
from pipetask.batch.queueing.client import QueueLimitError, QueueUnknownError
from pipetask.batch.queueing.dialect import Written
from pipetask.batch.queueing.journal import Journal
from pipetask.batch.queueing.layout import Layout, RunRecord
from pipetask.batch.queueing.limits import Limits
from pipetask.batch.queueing.queue import Stage
from pipetask.batch.queueing.round import read_rounds
from pipetask.batch.run_directory import RunDirectory
from pipetask.batch.status import RunPhase
from pipetask.errors import PipetaskError, UsageError
from pipetask.executors.base import ExecutionContext
from pipetask.testing import CallSpec, enumerated

pytestmark = pytest.mark.usefixtures("speaks_of_flags")

GOLDEN = Path(__file__).parent / "golden"
ODD = Path('/a run\'s "folder" $HOME %A `x` \\ é')
SYSTEMS: dict[str, tuple[Any, Any]] = {
    "pbs": (PbsSystem(), PbsConfiguration),
    "pjm": (PjmSystem(), PjmConfiguration),
}


def array(*nodes: str, labels: tuple[str, ...] = ("isr", "co\nadd")) -> JobArray:
    return JobArray(3, labels, 1, 2, nodes or ("isr_co_add-4", "isr_co_add-7"), (0, 1), Demand(4000, 90))


def written(system: str, *overrides: str, path: Path = ODD, first: bool = True, **more: Any) -> Written[Any]:
    configuration = SYSTEMS[system][1].load(None, ("python=/opt/my python", *overrides))
    record = RunRecord("0123", "run-0123", first, {"A": "it's, $HOME", "no-name": "x"})
    each = more.get("array", array())
    settings = configuration.for_labels(["isr"]) if each.labels else configuration.for_node(each.nodes[0])
    return Written(each, 2, settings, configuration.run, path, record)


PILOTS = array("pilot.0", "pilot.1")


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("what", ["array", "pilots"])
def test_the_script_is_as_it_was(system: str, what: str) -> None:
    overrides = ("cpus=4", "container=run 'the image'", "environment.B=a  b")
    more = {"array": PILOTS} if what == "pilots" else {}
    text = SYSTEMS[system][0].script(written(system, *overrides, **more))
    path = GOLDEN / f"{system}_{what}.sh"
    if os.environ.get("PIPETASK_GOLDEN") == "write":
        path.write_text(text)
    assert text == path.read_text()
    assert subprocess.run(["sh", "-n"], input=text, text=True, check=False).returncode == 0


SHOW = f'#!/bin/sh\nprintf \'%s\\n\' "$PWD" "$A" "$PIPETASK_REQUESTED_MEMORY" "$@" >{"{}"}\n'


@pytest.mark.parametrize(
    ("variables", "element"),
    [
        ({"PBS_JOBID": "12[1].server.example.org", "PBS_ARRAY_INDEX": "1"}, "12_1"),
        ({"PBS_JOBID": "12[1].server.example.org", "PBS_ARRAYID": "1"}, "12_1"),
        ({"PBS_JOBID": "13.server"}, "13_0"),
    ],
)
def test_an_odd_path_reaches_a_job_of_pbs_as_it_is(
    tmp_path: Path, variables: dict[str, str], element: str
) -> None:
    run, shown = tmp_path / ODD.name, tmp_path / "shown"
    for folder in ("pbs/round-002", "pbs/logs", "logs"):
        (run / folder).mkdir(parents=True)
    (run / "pbs/round-002/array-3.nodes").write_text("isr_co_add-4\nisr_co_add-7\n")
    show = tmp_path / "show"
    show.write_text(SHOW.format(shown))
    show.chmod(0o755)
    text = SYSTEMS["pbs"][0].script(written("pbs", f"python={show}", path=run, first=False))
    subprocess.run(["sh"], input=text, env={"PATH": os.environ["PATH"], **variables}, text=True, check=True)
    node = ("isr_co_add-4", "isr_co_add-7")[int(element[-1])]
    words = [str(run), "it's, $HOME", "4000", "-m", "pipetask.cli", "run-node", str(run), node]
    words += ["-j", "1", "--keep-failures-since", "0"]
    assert shown.read_text().splitlines() == words
    links = {path.name: path.readlink() for path in (run / "logs").iterdir()}
    assert links == {
        f"{node}.{element}.{suffix}": Path(f"../pbs/logs/{element}.{suffix}") for suffix in ("out", "err")
    }


def test_an_odd_path_reaches_a_job_of_pjm_as_it_is(tmp_path: Path) -> None:
    run, shown = tmp_path / ODD.name, tmp_path / "shown"
    (run / "pjm/round-002").mkdir(parents=True)
    (run / "pjm/round-002/released").touch()
    show = tmp_path / "show"
    show.write_text(SHOW.format(shown))
    show.chmod(0o755)
    overrides = (f"python={show}", "slots=4", "memory=8000", "cpus=2")
    text = SYSTEMS["pjm"][0].script(written("pjm", *overrides, path=run, first=False))
    subprocess.run(["sh"], input=text, env={"PATH": os.environ["PATH"]}, text=True, check=True)
    program = ["-m", "pipetask.batch.pjm.node_list", str(run), "pjm/round-002/array-3.nodes"]
    words = [*program, "pjm/logs/round-002-array-3.begun", "2-3", "4", "2", "0"]
    assert shown.read_text().splitlines() == [str(run), "it's, $HOME", "4000", *words]


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_first_job_that_fails_lets_no_other_wait(tmp_path: Path, system: str) -> None:
    for folder in (f"{system}/round-002", f"{system}/logs", "logs"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / system / "round-002/released").touch()
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\nexit 7\n")
    program.chmod(0o755)

    def run(array: JobArray) -> int:
        (tmp_path / system / "round-002/array-3.nodes").write_text("".join(f"{n}\n" for n in array.nodes))
        text = SYSTEMS[system][0].script(written(system, f"python={program}", path=tmp_path, array=array))
        variables = {"PATH": os.environ["PATH"], "PBS_JOBID": "12.server"}
        return subprocess.run(["sh"], input=text, env=variables, text=True, check=False).returncode

    assert run(array("first", labels=())) == 7
    assert (tmp_path / "registry.failed-002").read_text() == "7\n"
    assert run(array("isr-1")) == 75, "at once, and its program was not run"


def test_settings_become_options_of_qsub() -> None:
    overrides = [
        "queue=short",
        "account=dm",
        "project=lsst",
        "gpus=2",
        "cpus=4",
        "select=arch=milan",
        "throttle=5",
    ]
    overrides += ["requeue=false", "qsub.W=group_list=lsst", "qsub.m=ae"]
    common = [
        "-S",
        "/bin/sh",
        "-j",
        "oe",
        "-o",
        "pbs/said/",
        "-r",
        "n",
        "-q",
        "short",
        "-A",
        "dm",
        "-P",
        "lsst",
    ]
    last = ["-l", "walltime=01:30:00", "-m", "ae", "-W", "group_list=lsst"]
    system = SYSTEMS["pbs"][0]
    select = "select=1:ncpus=4:mem=4000mb:ngpus=2:arch=milan"
    assert system.options(written("pbs", *overrides)) == ["-J", "0-1%5", *common, "-l", select, *last]
    nodes = ["-l", "nodes=1:ppn=4:gpus=2:arch=milan", "-l", "mem=4000mb"]
    torque = written("pbs", *overrides, "pbs.flavour=torque")
    assert system.options(torque) == ["-t", "0-1%5", *common, *nodes, *last]
    single = system.options(written("pbs", array=array("isr-1")))
    assert "-J" not in single, "some versions refuse an array of one element"


def test_arrays_wait_for_ends_in_the_words_of_each_flavour() -> None:
    needs = ["12[]", "13", "14[]"]
    assert depend(needs, torque=False) == "depend=afterany:12[]:13:14[]"
    words = "depend=afteranyarray:12[],afterany:13,afteranyarray:14[]"
    assert depend(needs, torque=True) == words


def test_settings_become_options_of_pjsub() -> None:
    system = SYSTEMS["pjm"][0]
    overrides = ["resource_unit=rscunit_ft01", "resource_group=small", "group=ra0", "machines=2", "slots=3"]
    overrides += [
        "memory=4000",
        "gpus=1",
        "resources=freq=2200",
        "pjsub.mail-list=me@example.org",
        "pjsub.m=b",
    ]
    asked = "rscunit=rscunit_ft01,rscgrp=small,node=2,node-mem=12000Mi,gpu=1,elapse=01:30:00,freq=2200"
    files = ["-o", "pjm/logs/round-002-array-3.out", "-e", "pjm/logs/round-002-array-3.err"]
    files += ["-s", "--spath", "pjm/logs/round-002-array-3.stats"]
    more = ["-g", "ra0", "--mail-list", "me@example.org", "-m", "b"]
    assert system.options(written("pjm", *overrides)) == ["-L", asked, *files, *more]
    vnode = system.options(written("pjm", "resources=vnode=1,vnode-core=8", "memory=1GB"))[1]
    assert vnode == "elapse=01:30:00,vnode=1,vnode-core=8"
    final = system.options(written("pjm", "slots=3", array=array("final", labels=())))[1]
    assert final == "node=1,node-mem=4000Mi,elapse=01:30:00"
    grown = SYSTEMS["pjm"][1].load(None, ("memory=2GB", "slots=6")).for_labels(["isr"])
    assert [grown.slots_for(memory) for memory in (1024, 2048, 4096, 8192, 32768)] == [6, 6, 3, 1, 1]


@pytest.mark.parametrize(
    ("system", "override", "message"),
    [
        ("pbs", "queeu=x", "--pbs queeu=x: setting 'queeu' is unknown: did you mean 'queue'?"),
        ("pbs", "pbs.flavour=lsf", "--pbs pbs.flavour=lsf: flavour cannot be 'lsf': choose one of openpbs, torque."),
        ("pbs", "qsub.q=x", "qsub.q is set by a setting of its own: use queue."),
        ("pbs", "qsub.J=0-3", "qsub.J cannot be set: the run needs that option itself, or there is none."),
        ("pbs", "qsub.W=depend=afterok:1", "qsub.W cannot set depend: the graph says what a job waits for."),
        ("pbs", "time=5", "--pbs time=5: time cannot be '5': it is not a walltime such as 90min, 2h, 1d or '1:30:00'."),
        ("pjm", "machines=0", "--pjm machines=0: machines cannot be 0: it is not a whole number of at least 1."),
        ("pjm", "pjsub.g=x", "pjsub.g is set by a setting of its own: use group."),
        ("pjm", "pjsub.bulk=true", "pjsub.bulk cannot be set: the run needs that option itself, or there is none."),
        ("pjm", "launcher='a", 'launcher cannot be "\'a": No closing quotation.'),
    ],
)  # fmt: skip
def test_settings_that_mean_nothing_are_refused(system: str, override: str, message: str) -> None:
    with pytest.raises(UsageError) as refused:
        SYSTEMS[system][1].load(None, (override,))
    assert str(refused.value) == message


OPENPBS = """\
Job Id: 1234[].server.example.org
    Job_Name = run-0123
    Job_Owner = me@login1
    job_state = B
    queue = workq
    array = True
    array_state_count = Queued:1 Running:1 Exiting:0 Expired:1
    array_indices_submitted = 0-2
    Hold_Types = n
    Variable_List = PBS_O_HOME=/home/me,PBS_O_LANG=C.UTF-8,PBS_O_LOGNAME=me,
\tPBS_O_PATH=/usr/local/bin:/usr/bin:/bin,PIPETASK_JOB=0123/1/0,
\tPBS_O_WORKDIR=/home/me/run
    comment = Job Array Began at Thu Nov 26 at 10:00

Job Id: 1234[0].server.example.org
    Job_Name = run-0123
    job_state = X
    array_index = 0

Job Id: 1234[1].server.example.org
    Job_Name = run-0123
    job_state = R
    array_index = 1
    Variable_List = PBS_O_HOME=/home/me,PIPETASK_JOB=0123/1/0

Job Id: 1234[2].server.example.org
    Job_Name = run-0123
    job_state = Q
    array_index = 2
    comment = Not Running: Insufficient amount of resource: ncpus

Job Id: 1235[].server.example.org
    Job_Name = run-0123
    job_state = H
    depend = afterany:1234[].server.example.org@server.example.org
    Hold_Types = s
    Variable_List = PIPETASK_JOB=0123/1/1,PBS_O_HOME=/home/me

Job Id: 1235[0].server.example.org
    job_state = Q

Job Id: 1235[1].server.example.org
    job_state = Q

Job Id: 1236.server.example.org
    job_state = H
    depend = afterany:1234[].server.example.org@server.example.org
    Hold_Types = us
    Variable_List = PIPETASK_JOB=0123/1/2

Job Id: 1237.server.example.org
    job_state = R
    Variable_List = PIPETASK_JOB=4567/1/0
"""

TORQUE = """\
Job Id: 77[0].master
    Job_Name = run-0123
    Job_Owner = me@login1
    job_state = C
    Variable_List = PBS_O_QUEUE=batch,PIPETASK_JOB=0123/1/0

Job Id: 77[1].master
    Job_Name = run-0123
    job_state = H
    Hold_Types = o
    Variable_List = PBS_O_QUEUE=batch,PIPETASK_JOB=0123/1/0

Job Id: 77[2].master
    job_state = C
    exit_status = 271
    Variable_List = PBS_O_QUEUE=batch,PIPETASK_JOB=0123/1/0
"""

HISTORY = """\
Job Id: 1240[].server.example.org
    job_state = F
    substate = 92
    array = True
    Variable_List = PIPETASK_JOB=0123/1/0

Job Id: 1240[0].server.example.org
    job_state = X
    substate = 91
    comment = Job run at Thu Nov 26 at 10:00 on (n1:ncpus=1) and terminated by me@login1
    Exit_status = 143

Job Id: 1240[1].server.example.org
    job_state = X
    substate = 91
    sched_preempted = Thu Nov 26 10:01:00 2026

Job Id: 1240[2].server.example.org
    job_state = X
    substate = 93
    Exit_status = 265

Job Id: 1241.server.example.org
    job_state = F
    substate = 92
    Exit_status = 0
    Variable_List = PIPETASK_JOB=0123/1/1
"""


def test_the_listing_of_pbs_is_read() -> None:
    found = [
        (each.id, each.job, each.task, each.round, each.array, each.stage)
        for each in pbs_elements(jobs_of(OPENPBS), "0123")
    ]
    assert found == [
        ("1234[0]", "1234[]", 0, 1, 0, Stage.OVER),
        ("1234[1]", "1234[]", 1, 1, 0, Stage.RUNNING),
        ("1234[2]", "1234[]", 2, 1, 0, Stage.IDLE),
        ("1235[0]", "1235[]", 0, 1, 1, Stage.WAITING),
        ("1235[1]", "1235[]", 1, 1, 1, Stage.WAITING),
        ("1236", "1236", 0, 1, 2, Stage.AS_SUBMITTED),
    ]
    reasons = [each.reason for each in pbs_elements(jobs_of(OPENPBS), "0123")]
    assert reasons[2] == "Not Running: Insufficient amount of resource: ncpus"
    assert reasons[-1] == "Hold_Types = us"


def test_the_listing_of_torque_is_read() -> None:
    found = [(each.job, each.task, each.stage, each.reason) for each in pbs_elements(jobs_of(TORQUE), "0123")]
    held = ("77[]", 1, Stage.HELD, "Hold_Types = o")
    assert found == [("77[]", 0, Stage.OVER, ""), held, ("77[]", 2, Stage.OVER, "")]


def test_what_has_ended_by_request_is_told_from_what_has_not() -> None:
    ends = {each.id: each.how for each in pbs_elements(jobs_of(HISTORY), "0123")}
    assert ends == {"1240[0]": "cancelled", "1240[1]": "preempted", "1240[2]": "", "1241": ""}
    assert [each.how for each in pbs_elements(jobs_of(TORQUE), "0123")] == ["", "", "cancelled"]


@pytest.mark.parametrize(("said", "how"), [("", "cancelled"), ("walltime 3618 exceeded limit 3600", "time")])
def test_what_pbs_has_written_counts_more_than_how_torque_has_ended_a_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, how: str
) -> None:
    (tmp_path / "pbs" / "said").mkdir(parents=True)
    (tmp_path / "pbs" / "said" / "run-0123.o77-2").write_text(f"=>> PBS: job killed: {said}\n")
    (tmp_path / "list").write_text(TORQUE)
    for name, text in (("qselect", '[ "$1" != -x ] && echo "77[]"'), ("qstat", f"cat '{tmp_path}/list'")):
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    found = PbsSystem().look_at_ended(Layout(tmp_path, "pbs"), RunRecord("0123", "run-0123", False), 10)
    assert {each.id: each.how for each in found}["77[2]"] == how


def test_an_array_whose_elements_are_not_listed_is_in_the_queue_all_the_same() -> None:
    whole = OPENPBS.partition("Job Id: 1234[0]")[0]
    (found,) = pbs_elements(jobs_of(whole), "0123")
    assert (found.job, found.task, found.is_over) == ("1234[]", -1, False)


def test_limits_of_a_server_are_read() -> None:
    text = "Server: pbs\n    max_array_size = 2000\n    max_queued = [u:PBS_GENERIC=500]\n"
    assert limits_in(text) == Limits(2000, 500)
    assert limits_in("Server: torque\n    max_job_array_size = 100\n    max_user_queuable = 50\n") == Limits(
        100, 50
    )
    assert limits_in("Server: pbs\n") == PbsSystem.shipped_limits


@pytest.mark.parametrize(
    ("text", "how"),
    [
        ("=>> PBS: job killed: walltime 3618 exceeded limit 3600", "time"),
        ("=>> PBS: job killed: mem 2097153kb exceeded limit 2097152kb", "memory"),
        ("=>> PBS: job killed: vmem 3gb exceeded limit 2gb", "memory"),
        ("=>> PBS: job killed: node 1 (n2) requested job terminate", "node failure"),
        ("Cgroup mem limit exceeded: oom-kill:constraint=CONSTRAINT_MEMCG", "memory"),
        ("a task says that walltime is over", ""),
    ],
)
def test_how_a_job_ended_is_read_in_what_pbs_writes(tmp_path: Path, text: str, how: str) -> None:
    path = tmp_path / "12.OU"
    path.write_text(f"before\n{text}\nTerminated\n")
    assert said_by_pbs(path) == how
    assert said_by_pbs(tmp_path / "none") == ""


def test_output_of_pbs_is_found_whatever_a_version_calls_it(tmp_path: Path) -> None:
    found = {}
    for name in ("12[1].srv.OU", "run-0123.o13.2", "run-0123.o14-3", "15.srv.OU", "run.o1.o16", "else"):
        (tmp_path / name).touch()
    for job, task in (("12[]", 1), ("13[]", 2), ("14[]", 3), ("15", 0), ("16", 0), ("12[]", 2)):
        path = output_of(tmp_path, job, task)
        found[job, task] = None if path is None else path.name
    assert list(found.values()) == [
        "12[1].srv.OU", "run-0123.o13.2", "run-0123.o14-3", "15.srv.OU", "run.o1.o16", None,
    ]  # fmt: skip


def test_a_run_whose_final_job_was_removed_too_says_how_its_jobs_have_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(absence, "APART", -1.0)
    options = BatchOptions(run_dir=str(tmp_path / "run"), submit=False, bundle_size=1)
    context = ExecutionContext(enumerated({"isr": 3}, ()), CallSpec(print))
    list(BatchExecutor(PbsSystem(), options).execute(context.graph, context))
    context.stop.close()
    directory = RunDirectory(tmp_path / "run")
    journal = Journal(Layout(directory.path, "pbs").journal)
    for array, job in enumerate(("1240[]", "1241")):
        journal.note("submitted", 1, array=array, job=job)
    journal.note("released", 1)
    (tmp_path / "list").write_text(HISTORY.replace("0123", directory.facts.id))
    for name, text in (
        ("qselect", '[ "$1" != -x ] || echo "1240[]" 1241'),
        ("qstat", f"cat '{tmp_path}/list'"),
    ):
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    watch = PbsSystem().watch(directory)
    assert watch.look().phase is RunPhase.RUNNING, "one look does not tell"
    seen = watch.look()
    assert (seen.phase, set(seen.notes)) == (
        RunPhase.FAILED,
        {
            "Nothing of the run is in the queue, and its final job has not said that the run is over: that job was "
            "removed, or has vanished.",
            "Given up, because its job was cancelled with qdel: isr-0.",
            "Given up, because its job was preempted: isr-1.",
            "Given up, because its job was killed or has vanished; PBS does not say why (see its log): isr-2.",
        },
    )
    assert watch.how_ended("isr-0") == "its job was cancelled with qdel"


@pytest.mark.parametrize(("job", "output"), [("12[1]", "12[1].srv.OU"), ("13", "run-0123.o13")])
def test_a_pilot_of_pbs_that_was_killed_for_its_memory_is_known_by_its_output(
    tmp_path: Path, job: str, output: str
) -> None:
    context = ExecutionContext(enumerated({"isr": 1}, ()), CallSpec(print))
    options = BatchOptions(run_dir=str(tmp_path / "run"), submit=False)
    list(BatchExecutor(PbsSystem(), options).execute(context.graph, context))
    context.stop.close()
    directory = RunDirectory(tmp_path / "run")
    assert PbsSystem.how_pilot_ended(directory, job) == ""
    said = "=>> PBS: job killed: mem 2097153kb exceeded limit 2097152kb\n"
    (directory.path / "pbs" / "said" / output).write_text(said)
    assert PbsSystem.how_pilot_ended(directory, job) == "memory"


PJSTAT = """\

  ACCEPT QUEUED  RUNING  RUNOUT  HOLD  ERROR  TOTAL
       0      3       1       0     0      0      4
s      0      3       1       0     0      0      4

JOB_ID       JOB_NAME      ST
64856        run-0123-1    RUN
64856_0      run-0123-1    EXT
64856_1      run-0123-1    RUN
64856_2      run-0123-1    QUE
64856_3      run-0123-1    CCL
64857_0      run-0123-2    QUE
64857_1      run-0123-2    HLD
64858_0      run-01234-1   RUN
64859        job.sh        RUN
"""


def test_the_listing_of_pjm_is_read() -> None:
    found = [
        (each.id, each.round, each.array, each.stage, each.how)
        for each in pjm_elements(PJSTAT, RunRecord("0123", "run-0123", False))
    ]
    assert found == [
        ("64856_0", 1, 0, Stage.OVER, ""),
        ("64856_1", 1, 1, Stage.RUNNING, ""),
        ("64856_2", 1, 2, Stage.WAITING, ""),
        ("64856_3", 1, 3, Stage.OVER, "cancelled"),
        ("64857_0", 2, 0, Stage.IDLE, ""),
        ("64857_1", 2, 1, Stage.HELD, ""),
    ]


@pytest.mark.parametrize(
    ("code", "how"), [(0, ""), (1, "cancelled"), (11, "time"), (12, "memory"), (20, "node failure")]
)
def test_how_a_job_ended_is_read_in_the_statistics_of_pjm(tmp_path: Path, code: int, how: str) -> None:
    path = tmp_path / "stats"
    path.write_text(f"Job Statistical Information\n\n  JOB ID        : 64856_1\n  PJM CODE      : {code}\n")
    assert said_by_pjm(path) == how
    assert said_by_pjm(tmp_path / "none") == ""


def test_machines_of_a_job_share_its_nodes() -> None:
    nodes = [f"a-{number}" for number in range(5)]
    shares = [
        share(nodes, {"OMPI_COMM_WORLD_RANK": str(rank), "OMPI_COMM_WORLD_SIZE": "2"}) for rank in (0, 1)
    ]
    assert shares == [["a-0", "a-2", "a-4"], ["a-1", "a-3"]]
    assert share(nodes, {}) == nodes


@pytest.mark.parametrize(
    ("said", "kind", "message"),
    [
        ("qsub: cannot connect to server pbs (errno=15010)", QueueUnknownError, "PBS does not answer (qsub: cannot"),
        ("qsub: would exceed queue generic's per-user limit", QueueLimitError, "PBS takes no more jobs (would exceed"),
        ("qsub: Unknown queue", PipetaskError, "PBS refuses (qsub: Unknown queue)."),
    ],
)  # fmt: skip
def test_what_pbs_refuses_is_told_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, kind: type[Exception], message: str
) -> None:
    qsub = tmp_path / "qsub"
    qsub.write_text(f'#!/bin/sh\necho "{said}" >&2\nexit 1\n')
    qsub.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    with pytest.raises(PipetaskError) as refused:
        PBS_CLIENT.call("qsub", [], patience=10)
    assert type(refused.value) is kind
    assert str(refused.value).startswith(message)
    assert "\n" not in str(refused.value)


def test_variables_of_a_job_are_no_options_of_another() -> None:
    given = {"PBS_JOBID": "1", "PBS_O_WORKDIR": "/", "PBS_DPREFIX": "x", "PBS_SERVER": "pbs", "HOME": "/h"}
    assert PBS_CLIENT.scrubbed(given) == {"PBS_SERVER": "pbs", "HOME": "/h"}


@pytest.mark.parametrize(
    "system",
    [
        PbsSystem(PbsOptions(pbs=("pbs.max_array=2",))),
        PjmSystem(PjmOptions(pjm=("pjm.max_array=2",))),
    ],
)
def test_a_run_is_written_without_the_system(tmp_path: Path, system: PbsSystem | PjmSystem) -> None:
    options = BatchOptions(run_dir=str(tmp_path / "9 runs"), submit=False, bundle_size=1)
    context = ExecutionContext(enumerated({"isr": 3, "co add": 1}, [(0, 3), (1, 3), (2, 3)]), CallSpec(print))
    assert len(list(BatchExecutor(system, options).execute(context.graph, context))) == 4
    context.stop.close()
    layout = Layout(RunDirectory(tmp_path / "9 runs").path, system.name)
    (first,) = read_rounds(layout)
    assert [(each.labels, each.nodes, each.needs) for each in first.arrays] == [
        (("isr",), ("isr-0", "isr-1"), ()),
        (("isr",), ("isr-2",), ()),
        (("co add",), ("co_add-3",), (0, 1)),
        ((), ("final",), (0, 1, 2)),
    ]
    name = layout.record().name
    assert name[0].isalpha()
    assert len(name) <= (system.longest_name or 0)
    assert f"{sys.executable}" in (layout.round(1) / "array-3.sh").read_text()
