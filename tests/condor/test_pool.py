"""The pool that other tests rely on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from condor import root
from condor.personal_pool import PersonalPool
from condor.pool import Pool, python_path
from conftest import TESTS, Finished
from pipetask.testing.plain_runs import wait_until

SUBMIT_DAG = """
import htcondor2, sys
print(htcondor2.Schedd().submit(htcondor2.Submit.from_dag(sys.argv[1])).cluster())
"""

DAG = """
SUBMIT-DESCRIPTION append {
    executable = append
    arguments = $(JOB)
    should_transfer_files = NO
}
JOB A append
JOB B append
JOB C append
PARENT A CHILD B
PARENT B CHILD C
"""

EAT_MEMORY = "import time; food = bytearray(400 * 2**20); time.sleep(300)"


def submit(pool: Pool, work: Path, script: str, **description: str) -> dict[str, object]:
    """Submit a shell script with a submit description; return a job ad."""
    write_script(work / "script", script)
    lines = {"executable": "script", "request_memory": "64", "should_transfer_files": "NO", **description}
    (work / "job").write_text("".join(f"{key} = {value}\n" for key, value in lines.items()) + "queue\n")
    assert not pool.jobs()
    done = pool.run("condor_submit", "job", cwd=work)
    assert done.code == 0, done.err
    (job,) = pool.jobs()
    return job


def write_script(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def wait_for(pool: Pool, job: dict[str, object]) -> dict[str, object]:
    """Wait until a job has left the queue; return its last ad."""
    wait_until(lambda: not pool.jobs("JobStatus != 5"), "the job ends")
    assert not pool.jobs(), "the job is held"
    (ended,) = pool.history(f"ClusterId == {job['ClusterId']}")
    return ended


def run_here(pool: Pool, *tests: str, **env: str) -> Finished:
    """Run tests of this module in the pool's world."""
    names = [f"{__file__}::{test}" for test in tests]
    options = ["-p", "no:cacheprovider", "-p", "no:xdist"]
    return pool.run(sys.executable, "-m", "pytest", *options, *names, cwd=TESTS.parent, env=env)


def living_in(namespace: str) -> list[int]:
    """Return the processes in a PID namespace."""
    found = []
    for pid in psutil.pids():
        with suppress(OSError):
            if os.readlink(f"/proc/{pid}/ns/pid") == namespace:  # noqa: PTH115 - not a path
                found.append(pid)
    return found


def command_of(pid: int) -> str:
    with suppress(psutil.Error):
        return " ".join(psutil.Process(pid).cmdline())
    return ""


def namespace_of(pool: PersonalPool) -> str:
    return pool.query("readlink", "/proc/self/ns/pid")


def test_a_job_runs(pool: Pool, work: Path) -> None:
    job = wait_for(pool, submit(pool, work, "id -u > out; exit 3"))
    assert job["ExitCode"] == 3
    assert int((work / "out").read_text()) == (work / "out").stat().st_uid != 0


def test_jobs_have_the_interpreter_and_what_the_tests_import(pool: Pool, work: Path) -> None:
    imports = "import pipetask, lsst.daf.butler, lsst.pipe.base, htcondor2, sqlite3, ssl, lzma, toy_work"
    script = f"{sys.executable} -c '{imports}' 2> error"
    job = wait_for(pool, submit(pool, work, script, request_memory="1024"))
    assert job["ExitCode"] == 0, (work / "error").read_text()


def test_a_dag_runs(pool: Pool, work: Path) -> None:
    write_script(work / "append", "echo $1 >> order")
    (work / "graph.dag").write_text(DAG)
    done = pool.run(sys.executable, "-c", SUBMIT_DAG, "graph.dag", cwd=work)
    assert done.code == 0, done.err
    dag = wait_for(pool, {"ClusterId": int(done.out)})
    assert dag["ExitCode"] == 0
    assert (work / "order").read_text().split() == ["A", "B", "C"]


def test_a_queued_job_survives_the_end_of_the_schedd(pool: Pool, work: Path) -> None:
    job = submit(pool, work, "exit 0", hold="True")
    pool.restart_schedd()
    assert [each["ClusterId"] for each in pool.jobs("JobStatus == 5")] == [job["ClusterId"]]
    pool.query("condor_release", str(job["ClusterId"]))
    assert wait_for(pool, job)["ExitCode"] == 0


def test_a_running_job_survives_the_end_of_the_schedd(pool: Pool, work: Path) -> None:
    job = submit(pool, work, "echo >> runs; while [ ! -e go ]; do sleep 0.1; done")
    wait_until((work / "runs").exists, "the job starts")
    pool.restart_schedd()
    (work / "go").touch()
    assert wait_for(pool, job)["ExitCode"] == 0
    assert (work / "runs").read_text() == "\n"


def test_without_a_schedd_nothing_can_be_submitted(pool: Pool) -> None:
    with pool.without_schedd():
        assert pool.run("condor_q").code != 0
    assert pool.answers()


def test_a_job_is_held_that_takes_too_much_memory(pool: Pool, work: Path) -> None:
    job = submit(pool, work, f"exec {sys.executable} -c '{EAT_MEMORY}'", request_memory="100")
    wait_until(lambda: bool(pool.jobs("JobStatus == 5")), "the job is held")
    (held,) = pool.jobs()
    assert held["ClusterId"] == job["ClusterId"]
    assert (held["HoldReasonCode"], held["HoldReasonSubCode"]) == (21, 102)


def test_a_command_can_be_interrupted(pool: Pool) -> None:
    script = "trap 'echo interrupted; exit 5' INT; echo ready; while :; do sleep 0.1; done"
    with pool.start("sh", "-c", script) as process:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        pool.send_signal(process, signal.SIGINT)
        assert process.communicate()[0] == "interrupted\n"
    assert process.returncode == 5


def test_a_command_that_hangs_is_killed(pool: Pool) -> None:
    with pytest.raises(TimeoutError, match="sleep 1000 hangs"):
        pool.run("sleep", "1000", timeout=0.5)


def test_the_execute_node_may_have_no_shared_folder(make_pool: Callable[..., PersonalPool]) -> None:
    pool = make_pool(shared=False, cpus=2, memory=256)
    assert (pool.slots, pool.memory) == (2, 256)
    work = pool.work / "transfer"
    work.mkdir()
    (work / "given").write_text("42")
    pool.hand_over(work)
    files = {"transfer_input_files": "given", "transfer_output_files": "made"}
    script = f"[ ! -e {work} ] && cp given made"
    job = wait_for(pool, submit(pool, work, script, should_transfer_files="YES", **files))
    assert job["ExitCode"] == 0
    assert (work / "made").read_text() == "42"


def test_a_pool_that_answers_is_used(pool: Pool) -> None:
    # In the pool's world one is its ordinary user, and a pool answers.
    tests = ["test_a_job_runs", "test_a_running_job_survives_the_end_of_the_schedd"]
    done = run_here(pool, *tests)
    assert done.code == 0, done.out
    assert "2 passed" in done.out


@pytest.mark.parametrize(("ci", "code", "result"), [("", 0, "SKIPPED"), ("true", 1, "ERROR")])
def test_no_pool_is_said_loudly(pool: Pool, ci: str, code: int, result: str) -> None:
    done = run_here(pool, "test_a_job_runs", CONDOR_CONFIG="/nonexistent", CI=ci)
    assert done.code == code
    (line,) = (line for line in done.out.splitlines() if line.startswith(result))
    assert "NOT TESTED ON A REAL HTCONDOR POOL: no pool answers" in line


def test_nothing_is_left(make_pool: Callable[..., PersonalPool]) -> None:
    pool = make_pool()
    namespace, mounts = namespace_of(pool), Path("/proc/mounts").read_text()
    with pool.start("setsid", "sleep", "1000"):
        wait_until(lambda: bool(pool.run("pgrep", "sleep").out), "an orphan")
        assert len(living_in(namespace)) > 10
        pool.stop()
        assert not living_in(namespace)
    assert not pool.work.parent.exists()
    assert Path("/proc/mounts").read_text() == mounts
    assert str(pool.work.parent) not in mounts


def folders_of_this_process() -> set[Path]:
    return set(Path("/var/tmp").glob(f"pipetask-condor-{os.getpid()}-*"))


def test_a_pool_that_cannot_be_used_is_none(session_pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not isinstance(session_pool, PersonalPool):
        pytest.skip("only root brings up pools")
    before = folders_of_this_process()
    monkeypatch.setattr(sys, "executable", "/usr/bin/false")
    with pytest.raises(root.PoolError, match="/usr/bin/false cannot be used"):
        PersonalPool()
    assert folders_of_this_process() == before


def test_a_pool_ends_with_its_owner(make_pool: Callable[..., PersonalPool]) -> None:
    code = """if True:
        import time
        from condor.personal_pool import PersonalPool
        pool = PersonalPool()
        print(pool.query("readlink", "/proc/self/ns/pid"), pool.work, flush=True)
        time.sleep(1000)
        """
    with start_python(code) as owner:
        assert owner.stdout
        namespace, work = owner.stdout.readline().split()
        assert len(living_in(namespace)) > 10
        owner.kill()
    wait_until(lambda: not living_in(namespace), "the pool ends")
    make_pool()  # removes what others have left
    assert not Path(work).parent.exists()


def start_python(code: str, **env: str) -> subprocess.Popen[str]:
    env = {**os.environ, "PYTHONPATH": python_path(), **env}
    return subprocess.Popen([sys.executable, "-c", code], env=env, stdout=subprocess.PIPE, text=True)


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a file in which a test writes how a root is made."""
    if os.geteuid() != 0:
        pytest.skip("only root makes roots")
    monkeypatch.setenv("PIPETASK_CONDOR_ROOT", str(tmp_path / "cache"))
    monkeypatch.setattr(root, "RECIPE", tmp_path / "recipe")
    return tmp_path / "recipe"


def test_the_root_is_made_once(recipe: Path) -> None:
    recipe.write_text('sleep 0.5; mkdir "$1/root"; echo >> "$1/../times"')
    with ThreadPoolExecutor() as threads:
        first, second = threads.map(lambda _: root.find_root(), range(2))
    assert first == second
    assert first.is_dir()
    assert (first.parent / "times").read_text() == "\n"
    recipe.write_text('mkdir "$1/root"')
    assert root.find_root() != first


def test_a_root_that_cannot_be_made_says_why(recipe: Path) -> None:
    recipe.write_text('mkdir "$1/root"; echo "no network" >&2; exit 1')
    with pytest.raises(root.PoolError, match=r"no network \(see .*build\.log\)"):
        root.find_root()
    assert {path.name for path in (recipe.parent / "cache").iterdir()} == {"build.log", "lock"}


def test_a_root_whose_making_was_killed_is_made_anew(recipe: Path) -> None:
    recipe.write_text(': > "$1/begun"; [ ! -e "$1/../../slow" ] || sleep 1000; mkdir "$1/root"')
    slow, cache = recipe.with_name("slow"), recipe.with_name("cache")
    slow.touch()
    code = f"from condor import root; root.RECIPE = root.Path({str(recipe)!r}); root.find_root()"
    with start_python(code) as owner:
        wait_until((cache / "unfinished" / "begun").exists, "the recipe runs")
        owner.kill()
    wait_until(lambda: not any(str(recipe) in command_of(pid) for pid in psutil.pids()), "the recipe ends")
    assert {path.name for path in cache.iterdir()} == {"build.log", "lock", "unfinished"}
    slow.unlink()
    assert root.find_root().is_dir()
