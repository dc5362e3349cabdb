"""Messages of tasks that do not come from LSST's packages."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import pytest
from lsst.daf.butler import Butler

from fault_tasks import BombTask
from forked import run_forked
from pipetask.runner.task_logs import TaskLogs
from pipetask.testing import MockPipeline

from conftest import Repository, run_pipetask  # isort: skip


def messages(repository: Repository) -> str:
    with Butler.from_config(str(repository.root), collections="u/out/run") as butler:
        return str(butler.get("isr_log", instrument="Mock", exposure=0, detector=0))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("levels", "more", "heard"),
    [
        ([], ["-j", "1"], True),
        ([], ["-j", "1", "--output-butler", "full"], True),
        (["--log-level", "WARNING"], ["-j", "1"], False),
        (["--log-level", "fault_tasks=WARNING"], ["-j", "1"], False),
        pytest.param([], ["-j", "2"], True, marks=pytest.mark.slow),
    ],
)
def test_information_of_any_task_is_in_its_log(
    make_repository: Callable[..., Repository],
    tmp_path: Path,
    levels: list[str],
    more: list[str],
    heard: bool,
) -> None:
    config = {"bomb": "talk", "bomb_where": "exposure >= 0", "bomb_folder": str(tmp_path)}
    repository = make_repository(MockPipeline(1, 1, task_classes={"isr": BombTask}, configs={"isr": config}))
    run = run_forked if "1" in more else run_pipetask
    done = run(*levels, *repository.arguments(*more))
    assert done.code == 0, done.err
    assert ("information of a task" in messages(repository)) is heard


@pytest.mark.slow
def test_information_is_on_the_terminal_if_wanted(
    make_repository: Callable[..., Repository], tmp_path: Path
) -> None:
    config = {"bomb": "talk", "bomb_where": "exposure >= 0", "bomb_folder": str(tmp_path)}
    repository = make_repository(MockPipeline(1, 1, task_classes={"isr": BombTask}, configs={"isr": config}))
    done = run_forked("--log-tty", *repository.arguments("-j", "1"))
    assert "information of a task" in done.err


def test_levels_are_left_as_they_were() -> None:
    logger, chosen = logging.getLogger("some_tasks"), logging.getLogger("other_tasks")
    chosen.setLevel(logging.ERROR)
    root, lsst = logging.root.level, logging.getLogger("lsst").level
    logging.root.setLevel(logging.WARNING)
    logging.getLogger("lsst").setLevel(logging.INFO)
    try:
        logs = TaskLogs(["some_tasks.module.Task", "other_tasks.Task", "lsst.pipe.Task"])
        assert (logger.level, chosen.level) == (logging.INFO, logging.ERROR)
        logs.close()
        assert (logger.level, chosen.level) == (logging.NOTSET, logging.ERROR)
    finally:
        chosen.setLevel(logging.NOTSET)
        logging.root.setLevel(root)
        logging.getLogger("lsst").setLevel(lsst)
