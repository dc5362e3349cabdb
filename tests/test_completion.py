"""What shells offer when one presses Tab."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import Repository, environment, run_pipetask  # isort: skip

PIPELINE = """
description: two tasks
tasks:
  makeWarp: toy_work.Warp
  makeCoadd: toy_work.Coadd
subsets:
  step1: {subset: [makeWarp]}
"""


def complete(*words: str, cwd: Path | None = None, seconds: int = 200) -> list[str]:
    """Return what is offered for the last word; bash has broken words at ``=`` and ``:``."""
    asked = {
        "_PIPETASK_COMPLETE": "bash_complete",
        "COMP_WORDS": " ".join(words),
        "COMP_CWORD": str(len(words) - 1),
        "PIPETASK_COMPLETE_SECONDS": str(seconds),
    }
    done = subprocess.run(
        [sys.executable, "-c", "from pipetask.cli import main; main()"],
        env=environment() | asked,
        cwd=cwd,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split()


@pytest.fixture
def pipeline(tmp_path: Path) -> Path:
    path = tmp_path / "pipeline.yaml"
    path.write_text(PIPELINE)
    return path


def test_commands_are_offered() -> None:
    assert "plain,run" in complete("pipetask", "ru")


def test_options_are_offered() -> None:
    assert complete("pipetask", "run", "--replace") == ["plain,--replace-run"]


def test_choices_are_offered() -> None:
    assert complete("pipetask", "run", "--prune-replaced", "p") == ["plain,purge"]


def test_modes_are_offered() -> None:
    assert complete("pipetask", "run", "--mode", "mu") == ["plain,multiprocess"]


def test_files_are_left_to_the_shell() -> None:
    assert complete("pipetask", "run", "-g", "gra") == ["file,gra"]


@pytest.mark.slow
def test_task_labels_come_from_the_pipeline_file(pipeline: Path) -> None:
    offered = complete("pipetask", "run", "-p", str(pipeline), "--delete", "make")
    assert sorted(offered) == ["plain,makeCoadd", "plain,makeWarp"]
    assert complete("pipetask", "run", "-p", str(pipeline), "--select-tasks", "st") == ["plain,step1"]


@pytest.mark.slow
def test_a_pipeline_that_does_not_load_offers_nothing(tmp_path: Path) -> None:
    assert complete("pipetask", "run", "-p", str(tmp_path / "none.yaml"), "--delete", "make") == []


def test_items_to_show_are_offered() -> None:
    assert complete("pipetask", "build", "--show", "pipeline") == ["plain,pipeline", "plain,pipeline-graph"]
    assert complete("pipetask", "qgraph", "--show", "work") == ["plain,workflow"]


def test_components_and_levels_are_offered() -> None:
    assert complete("pipetask", "--log-level", "DE") == ["plain,DEBUG"]
    assert {"plain,lsst.daf=", "plain,lsst.daf.butler="} <= {*complete("pipetask", "--log-level", "lsst.d")}
    assert complete("pipetask", "--log-level", "lsst.daf", "=", "VE") == ["plain,VERBOSE"]
    assert complete("pipetask", "--log-level", "=", "lsst.daf", "=", "VE") == ["plain,VERBOSE"]


@pytest.mark.slow
def test_labels_and_subsets_are_offered_behind_the_file(pipeline: Path) -> None:
    assert complete("pipetask", "run", "-p", f"{pipeline}#step1,makeWarp..makeC") == [
        f"plain,{pipeline}#step1,makeWarp..makeCoadd"
    ]
    assert complete("pipetask", "build", "-p", str(pipeline), "--show", "dump-config", "=", "makeC") == [
        "plain,makeCoadd"
    ]


@pytest.mark.slow
def test_collections_and_dataset_types_come_from_the_repository(
    repository: Repository, tmp_path: Path
) -> None:
    base = ("pipetask", "run", "-b", str(repository.root))
    assert complete(*base, "-i", "input_chain,input_c") == ["plain,input_chain,input_chain"]
    (tmp_path / "pipetask.yaml").write_text(f"all: {{butler-config: {repository.root}}}")
    offered = complete("pipetask", "run", "--unmocked-dataset-types", "", cwd=tmp_path)
    assert "plain,raw" in offered


@pytest.mark.slow
def test_a_repository_that_does_not_answer_offers_nothing_in_the_end(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "butler.yaml")  # to open it waits for a writer
    assert complete("pipetask", "run", "-b", str(tmp_path / "butler.yaml"), "-i", "x", seconds=1) == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_scripts_are_read_by_their_shell(shell: str) -> None:
    finished = run_pipetask("completion", shell)
    assert finished.code == 0
    assert "_PIPETASK_COMPLETE" in finished.out
    if shutil.which(shell):
        subprocess.run([shell, "-n"], input=finished.out, text=True, check=True)


def test_bash_completes_with_the_script(tmp_path: Path) -> None:
    """As bash does it: the function that the script sets up is called and fills COMPREPLY."""
    command = tmp_path / "pipetask"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m pipetask.cli "$@"\n')
    command.chmod(0o755)
    script = """
eval "$(pipetask completion bash)"
COMP_WORDS=(pipetask run --exten) COMP_CWORD=2
_pipetask_completion pipetask
printf '%s\\n' "${COMPREPLY[@]}"
"""
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", script],
        env=environment() | {"PATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["--extend-run"]
