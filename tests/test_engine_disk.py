"""A disk that gets full while an engine runs a graph: a real one, with the engine folder on it."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from engines import running_dask
from needs import not_tested
from pipetask.errors import UsageError
from pipetask.executors.futures import FuturesExecutor
from pipetask.executors.futures.engine import find_engine
from pipetask.testing import MockPipeline
from witnessed_tasks import WitnessedTask, fill

from conftest import Repository, run_pipetask, start_pipetask  # isort: skip
from test_reuniting import LABELS, Scene  # isort: skip

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("speaks_of_flags")]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a small file system; everything sees it, also an engine that goes on."""
    folder = tmp_path / "engine"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode:
        not_tested(
            f"A FULL ENGINE FOLDER IS NOT TESTED: no file system can be mounted here ({mounted.stderr})."
        )
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_an_engine_folder_gets_full_and_then_the_command_dies(
    small_disk: Path, make_repository: Callable[..., Repository], tmp_path: Path
) -> None:
    notes = tmp_path / "notes"
    notes.mkdir()
    (notes / "fill").touch()
    configs = {label: {"notes": str(notes), "fills": str(small_disk)} for label in LABELS}
    configs["gather"] |= {"kills_command_where": "exposure=1"}
    pipeline = MockPipeline(2, 2, configs=configs, task_classes=dict.fromkeys(LABELS, WitnessedTask))
    repository = make_repository(pipeline)
    scene = Scene(repository, Path(shutil.copytree(repository.root, tmp_path / "untouched")), notes)
    with running_dask(tmp_path / "dask", workers=2) as (address, _):
        words = scene.words("--engine", f"dask:{address}")
        first = start_pipetask(*words)
        (notes / "command").write_text(str(first.pid))
        _, told = first.communicate()
        assert first.returncode == -9, told
        (notes / "fill").unlink()
        fill(small_disk)
        with pytest.raises(UsageError, match=f"^--engine-folder {small_disk}: No space left on device.$"):
            FuturesExecutor(find_engine("threads", 1), folder=small_disk).prepare()
        for path in [small_disk / "filler", *(small_disk / "kept").iterdir()]:
            path.unlink()
        (small_disk / "kept").rmdir()
        second = run_pipetask(*words, "--extend-run")
    assert (
        told.count("No space left on device")
        == told.count("if the engine loses one, what it had not yet told")
        == 1
    )
    assert second.code == 0, second.err
    assert "No space left" not in second.err
    assert list(small_disk.iterdir()) == [], "nothing is left of either run"
    assert scene.count("begun") == scene.count("ended")
    scene.assert_whole()
