"""What is refused before anything is submitted, in one line; no pool is needed for that."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from pipetask.batch.condor import bindings
from pipetask.errors import PipetaskError
from repository_dump import read_registry

from conftest import Finished, Repository, run_pipetask  # isort: skip

pytestmark = pytest.mark.slow


def condor(repository: Repository, run_dir: Path, *more: str) -> Finished:
    return run_pipetask(*repository.arguments("--mode", "condor", "--run-dir", str(run_dir), *more))


@pytest.mark.skipif(os.geteuid() != 0, reason="this is about root")
def test_root_cannot_submit(repository: Repository, tmp_path: Path) -> None:
    before = read_registry(repository.root)
    finished = condor(repository, tmp_path / "run")
    assert finished.code == 1
    assert finished.err.splitlines()[-1] == (
        "pipetask: HTCondor runs no jobs for root: submit as an ordinary user."
    )
    assert not (tmp_path / "run").exists()
    assert read_registry(repository.root) == before


def test_without_bindings_one_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setitem(sys.modules, "htcondor2", None)
    with pytest.raises(PipetaskError, match="pip install htcondor"):
        bindings.schedd()


def test_a_repository_that_moved_is_not_submitted_for(repository: Repository, tmp_path: Path) -> None:
    assert condor(repository, tmp_path / "run", "--no-submit").code == 0
    repository.root.rename(tmp_path / "elsewhere")
    finished = run_pipetask("restart", str(tmp_path / "run"))
    assert finished.code == 1
    assert f"There is no repository at {repository.root}" in finished.err


def test_a_run_directory_that_exists_is_left_alone(repository: Repository, tmp_path: Path) -> None:
    assert condor(repository, tmp_path / "run", "--no-submit").code == 0
    before = sorted(path.name for path in (tmp_path / "run").rglob("*"))
    finished = condor(repository, tmp_path / "run", "--no-submit", "--extend-run")
    assert finished.code == 1
    assert f"held by run directory {tmp_path / 'run'}" in finished.err
    assert f"pipetask restart {tmp_path / 'run'}" in finished.err
    assert sorted(path.name for path in (tmp_path / "run").rglob("*")) == before


def test_a_variable_that_jobs_cannot_be_given_is_told_before_anything_is_touched(
    repository: Repository, tmp_path: Path
) -> None:
    before = read_registry(repository.root)
    finished = condor(repository, tmp_path / "run", "--no-submit", "--condor", "environment.NOTE=a\nb")
    assert finished.code == 2
    line = finished.err.splitlines()[-1]
    assert r"an environment variable is 'NOTE=a\nb': HTCondor takes no line breaks" in line
    assert line.endswith("Leave it out of pass_environment, or set it with environment.")
    assert not (tmp_path / "run").exists()
    assert read_registry(repository.root) == before
