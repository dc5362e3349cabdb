"""What the batch system relies on holds for the Slurm that is installed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pipetask.testing.plain_runs import wait_until
from slurm.machine import Machine


def ended(machine: Machine, id: str) -> bool:
    states = machine.states(id)
    return bool(states) and set(states.values()) <= {"COMPLETED", "FAILED", "CANCELLED", "NODE_FAIL"}


def test_what_waits_for_an_array_waits_for_the_second_end_of_an_element_that_was_requeued(
    machine: Machine, tmp_path: Path
) -> None:
    note = f"echo $SLURM_ARRAY_TASK_ID:$SLURM_RESTART_COUNT >> {tmp_path}/notes"
    script = f"{note}; [ $SLURM_ARRAY_TASK_ID != 1 ] || while [ ! -e {tmp_path}/go ]; do sleep 0.1; done"
    array = machine.submit(script, "--array=0-2", "--requeue")
    after = machine.submit(f"echo after >> {tmp_path}/notes", f"--dependency=afterany:{array}")
    notes = tmp_path / "notes"
    wait_until(lambda: notes.exists() and "1:\n" in notes.read_text(), "the element has begun", 30)
    machine.run("scontrol", "requeue", f"{array}_1")
    wait_until(lambda: "1:1\n" in notes.read_text(), "the element has begun again", 60)
    (tmp_path / "go").touch()
    wait_until(lambda: ended(machine, after), "what waits has ended", 60)
    assert sorted(notes.read_text().split()) == ["0:", "1:", "1:1", "2:", "after"]
    assert notes.read_text().split()[-1] == "after"


def test_an_element_that_asks_for_more_and_requeues_itself_is_waited_for(
    machine: Machine, tmp_path: Path
) -> None:
    """Even if it is the last one, whose id is that of the array."""
    me = "${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID"
    more = f"scontrol requeuehold {me}; scontrol update jobid={me} MinMemoryNode=200 TimeLimit=20"
    script = (
        f"trap '' TERM; echo $SLURM_ARRAY_TASK_ID $SLURM_MEM_PER_NODE >> {tmp_path}/notes; "
        f'[ -n "$SLURM_RESTART_COUNT" ] || {{ {more}; scontrol release {me}; exit 76; }}'
    )
    array = machine.submit(script, "--array=0-1", "--mem=100", "--time=5", "--requeue")
    after = machine.submit(f"echo after >> {tmp_path}/notes", f"--dependency=afterany:{array}")
    wait_until(lambda: ended(machine, after), "what waits has ended", 60)
    lines = (tmp_path / "notes").read_text().splitlines()
    assert sorted(lines) == ["0 100", "0 200", "1 100", "1 200", "after"]
    assert lines[-1] == "after"


def test_what_is_held_is_found_by_its_comment_and_released_in_one_call(
    machine: Machine, tmp_path: Path
) -> None:
    ids: list[str] = []
    for number in range(3):
        after = [f"--dependency=afterany:{ids[-1]}"] if ids else []
        comment = f"--comment=pipetask:a-b:{number}"
        ids.append(machine.submit("true", "--array=0-1", "--hold", comment, "-J", "a 'b'", *after))
    assert all(id.isdecimal() for id in ids), "--parsable prints nothing but the id"
    waiting = [job for job in machine.jobs() if job.array in ids]
    assert {(job.array, job.comment) for job in waiting} == {
        (id, f"pipetask:a-b:{number}") for number, id in enumerate(ids)
    }
    assert {(job.state, job.reason) for job in waiting} == {("PENDING", "JobHeldUser")}
    named = machine.run("squeue", "-h", "-n", "a 'b'", "-o", "%F").stdout.split()
    assert set(named) == set(ids)
    released = machine.run("scontrol", "release", ",".join([*ids, "999999"]), check=False)
    assert released.returncode == 1, "for the one that it does not know"
    wait_until(lambda: all(ended(machine, id) for id in ids), "all have ended", 60)
    assert {state for id in ids for state in machine.states(id).values()} == {"COMPLETED"}


def test_an_unknown_job_counts_as_satisfied(machine: Machine) -> None:
    """So what waits for a job that was forgotten starts at once, also ``afterok``: upstream has to be looked at."""
    id = machine.submit("true", "--dependency=afterok:999999")
    wait_until(lambda: ended(machine, id), "it has run", 30)


def test_jobs_are_forgotten(make_machine: Callable[..., Machine]) -> None:
    machine = make_machine(settings={"MinJobAge": "2"})
    id = machine.submit("true")
    wait_until(lambda: not machine.states(id), "nothing is known of it", 120)
    asked = machine.run("squeue", "-h", "-j", id, check=False)
    assert (asked.returncode, asked.stdout) == (1, "")
