"""Fixed seeds, each fault once; and that the campaign would notice what it looks for."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from campaign.checks import EndState, complaints_of_output, complaints_of_temporary_files
from campaign.disturbances import unsynced
from campaign.faults import FAULTS
from campaign.scenario import Scenario
from campaign.shim import Action, Operation, Shim, build_shim
from campaign.table import report
from campaign.workshop import Workshop

pytestmark = pytest.mark.campaign

SEEDS = (*range(len(FAULTS)), 144)
"""Each fault once, and one at which a config was cut without an error."""


@pytest.fixture(scope="session")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder that all workshops of this session share."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "campaign"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def workshop(workspace: Path) -> Iterator[Workshop]:
    made = Workshop(workspace)
    yield made
    made.close()


@pytest.mark.parametrize(
    "seed", [pytest.param(seed, id=f"{seed}: {Scenario.of(seed).kind}") for seed in SEEDS]
)
def test_a_disturbed_run_gets_there(seed: int, workshop: Workshop) -> None:
    result = workshop.run(seed)
    assert not result.complaints, report(result)


# That it would be noticed.

SPOILERS: dict[str, tuple[Callable[[Path], object], str]] = {
    "a file is gone": (lambda run: next(run.rglob("post_isr*.json")).unlink(), "lacks 1 files"),
    "a file is too much": (lambda run: (run / "x.tmp.json").touch(), "has too much 1 files"),
    "a file is empty": (lambda run: os.truncate(next(run.rglob("isr_log*.json")), 0), "empty"),
    "a file is cut": (lambda run: os.truncate(next(run.rglob("isr_log*.json")), 9), "not JSON"),
    "files have other modes": (lambda run: [path.chmod(0) for path in run.rglob("*.json")], "---------"),
    "a record is wrong": (lambda run: append(next(run.rglob("isr_log*.json"))), "file_datastore_records"),
}


def append(path: Path) -> None:
    path.write_text(path.read_text() + " ")


@pytest.fixture(scope="session")
def finished(workshop: Workshop, workspace: Path) -> Path:
    """Return a repository in which a run has finished."""
    seed = next(
        seed
        for seed in range(10_000)
        if Scenario.of(seed).shape_name == "chain" and Scenario.of(seed).model.registers
    )
    workshop.run(seed)
    return workspace / "chain-in-process" / "repo"


@pytest.mark.parametrize("name", SPOILERS)
def test_a_wrong_end_state_is_noticed(name: str, finished: Path, tmp_path: Path) -> None:
    spoil, words = SPOILERS[name]
    root = Path(shutil.copytree(finished, tmp_path / "repo"))
    wanted = EndState.of(finished)
    assert EndState.of(root).complaints(wanted) == []
    spoil(root / "u/out/run")
    assert any(words in complaint for complaint in EndState.of(root).complaints(wanted))


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("Traceback (most recent call last):\n  File ...", 0),
        ("--- Logging error ---", 0),
        ("", 1),
        ("pipetask: one\npipetask: two\npipetask: three\n", 1),
    ],
)
def test_what_should_not_be_said_is_noticed(text: str, code: int) -> None:
    assert complaints_of_output(text, code, verdict=False)
    assert not complaints_of_output("pipetask: it is so: do this\n", 1, verdict=False)


def test_temporary_files_are_noticed_unless_they_are_named(tmp_path: Path) -> None:
    kept = tmp_path / "folder" / "log"
    kept.parent.mkdir()
    kept.touch()
    assert complaints_of_temporary_files(tmp_path, "", set())
    assert not complaints_of_temporary_files(tmp_path, f"log: {kept}", set())


WRITE = """
import os, sys
from pathlib import Path
folder = Path(sys.argv[1])
for name in "abcd":
    with (folder / f"{name}.tmp").open("w") as file:
        file.write("x" * 100)
        if name != "a":
            file.flush()
            os.fsync(file.fileno())
    (folder / f"{name}.tmp").rename(folder / name)
"""


def under_the_shim(shim: Shim, workspace: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "LD_PRELOAD": str(build_shim(workspace)), "CAMPAIGN_SHIM": str(shim.path)}
    command = [sys.executable, "-c", WRITE, *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True)


@pytest.mark.parametrize(
    ("operation", "action", "number", "ending", "names"),
    [
        (Operation.WRITE, Action.FAIL, errno.ENOSPC, "No space left on device", {"a", "b.tmp"}),
        (Operation.OPEN, Action.FAIL, errno.EROFS, "Read-only file system", {"a"}),
        (Operation.RENAME, Action.FAIL, errno.EIO, "Input/output error", {"a", "b.tmp"}),
        (Operation.SYNC, Action.FAIL, errno.EIO, "", {"a", "b", "c.tmp"}),
        (Operation.RENAME, Action.SIGNAL_AFTER, 9, "", {"a", "b"}),
        (Operation.WRITE, Action.SHORT, 0, "", {"a", "b", "c", "d"}),
    ],
)
def test_the_second_operation_goes_wrong(
    operation: Operation,
    action: Action,
    number: int,
    ending: str,
    names: set[str],
    workspace: Path,
    tmp_path: Path,
) -> None:
    shim, folder = Shim(tmp_path / "shim"), tmp_path / "files"
    folder.mkdir()
    shim.disturb(operation, folder, action, number, first=2, last=2)
    done = under_the_shim(shim, workspace, str(folder))
    assert ending in done.stderr
    assert {path.name for path in folder.iterdir()} == names
    assert shim.hits == 1
    assert done.returncode == {Action.FAIL: 1, Action.SIGNAL_AFTER: -9, Action.SHORT: 0}[action]


@pytest.mark.parametrize(("lies", "lost"), [(False, "a"), (True, "abcd")])
def test_what_was_not_synced_is_known(lies: bool, lost: str, workspace: Path, tmp_path: Path) -> None:
    shim, folder = Shim(tmp_path / "shim"), tmp_path / "files"
    folder.mkdir()
    if lies:
        shim.disturb(Operation.SYNC, folder, Action.LIE)
    shim.keep_journal(folder, tmp_path / "journal")
    assert under_the_shim(shim, workspace, str(folder)).returncode == 0
    assert unsynced(tmp_path / "journal") == {folder / name for name in lost}
