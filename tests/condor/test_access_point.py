"""What the access point makes of a submission."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from condor.personal_pool import PersonalPool
from condor.plain_runs import PlainRun
from condor.pool import Pool


def test_an_older_schedd_that_bindings_refuse_is_explained(pool: Pool, work: Path) -> None:
    run = PlainRun(pool, work, {"a": 1}, name="5$ of $HOME")  # where a dollar is no macro
    done = run.try_to_submit(_CONDOR_SEC_FS_ENFORCE_CHANNEL_BINDING="True")
    assert done.code == 1
    *_, line = done.err.splitlines()
    assert "Directory name doesn't match server's network address" in line
    assert "put SEC_FS_ENFORCE_CHANNEL_BINDING = False into HTCondor's configuration" in line
    assert line.endswith(f"pipetask restart {run.run_dir}'.")
    assert not pool.jobs()
    assert run.command("restart").code == 0
    assert run.wait()["phase"] == "succeeded"


def test_a_macro_in_the_folders_name_is_refused(pool: Pool, work: Path) -> None:
    for name in ("$(HOME)", "$ENV(HOME)", "a$$b"):
        run = PlainRun(pool, work, {"a": 1}, name=name)
        done = run.try_to_submit()
        assert done.code == 1
        assert "which DAGMan takes for a macro: name another with run_dir." in done.err
        assert not run.run_dir.exists()


def test_a_job_that_the_schedd_does_not_take_says_why(make_pool: Callable[..., PersonalPool]) -> None:
    pool = make_pool(configuration="MAX_JOBS_PER_OWNER = 2")  # DAGMan itself, and one more
    bombs = ((0, "hang_until_defused"), (1, "hang_until_defused"))
    once = ("dagman.settings.DAGMAN_MAX_SUBMIT_ATTEMPTS=1",)
    folder, one_each = pool.new_folder("limited"), {"bundle_size": 1}
    join = [(0, 2), (1, 2)]
    run = PlainRun(pool, folder, {"a": 2, "b": 1}, join, bombs=bombs, condor=once, options=one_each)
    run.submit()
    run.wait_for_node("failed")
    (said,) = (line for line in run.command("status").out.splitlines() if "never got into the queue" in line)
    assert said.endswith(": the schedd has as many jobs of this owner as it may have (MAX_JOBS_PER_OWNER)")
    run.defuse()
    status = run.wait()
    assert (status["phase"], status["nodes"]) == ("failed", {"failed": 1, "done": 1, "blocked": 1})
    assert not pool.history('regexp("^b", DAGNodeName)'), "what waits for it is not begun"
    assert run.command("restart").code == 0
    assert run.wait()["phase"] == "succeeded"
