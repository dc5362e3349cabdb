"""What the access point makes of a submission."""

from __future__ import annotations

from pathlib import Path

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
        assert "which DAGMan takes for a macro: name another with --run-dir." in done.err
        assert not run.run_dir.exists()
