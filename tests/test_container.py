"""Quanta of an engine in a real container: bubblewrap's, with another root folder and other mounts."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from needs import not_tested
from pipetask.errors import PipetaskError
from pipetask.executors.base import ExecutionContext
from pipetask.executors.futures import FuturesExecutor
from pipetask.executors.futures.engine import find_engine
from pipetask.outcome import QuantumOutcome, Status
from pipetask.settings.engine import EngineSettings
from pipetask.testing import CallSpec, MockPipeline, enumerated
from toy_work import Recorder

from conftest import TESTS, Finished, Repository, run_pipetask  # isort: skip
from repository_dump import read_files  # isort: skip
from test_engine_settings import _plain  # isort: skip

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("speaks_of_flags")]

SYSTEM = ("/usr", "/etc", "/opt", "/bin", "/sbin", "/lib", "/lib32", "/lib64")


@pytest.fixture(autouse=True)
def temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Use a folder for temporary files that has nothing else in it, so that the container sees nothing else."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    # Another Python does not inherit sys.path.
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(TESTS), *filter(None, sys.path)]))
    return folder


def container(*more: str) -> list[str]:
    """Return a command that starts another one in a container, which sees this Python, and what is said besides."""
    if (bwrap := shutil.which("bwrap")) is None:
        not_tested("CONTAINERS ARE NOT TESTED: there is no bwrap (Debian's package bubblewrap).")
    words = [bwrap, "--proc", "/proc", "--dev", "/dev"]
    for path in map(Path, SYSTEM):
        if path.is_symlink():
            words += ["--symlink", str(path.readlink()), str(path)]
        elif path.exists():
            words += ["--ro-bind", str(path), str(path)]
    words += [word for path in _places_of_python() for word in ("--ro-bind", path, path)]
    words += [*more, "--"]
    _try([*words, sys.executable, "-c", "pass"])
    return words


def _places_of_python() -> list[str]:
    """Return the folders without which this Python finds neither itself nor our modules."""
    wanted = [
        sys.prefix,
        sys.base_prefix,
        sysconfig.get_path("stdlib"),
        Path(sys.executable).resolve().parent,
    ]
    found = {Path(path).resolve() for path in (*wanted, *sys.path, TESTS) if path and Path(path).is_dir()}
    found |= {Path(sys.prefix)}
    outer = [path for path in found if not any(parent in found for parent in path.parents)]
    return sorted(str(path) for path in outer if not path.is_relative_to("/usr"))


@cache
def _trial(words: tuple[str, ...]) -> str | None:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    return done.stderr or str(done.returncode) if done.returncode else None


def _try(words: list[str]) -> None:
    if (reason := _trial(tuple(words))) is not None:
        not_tested(f"CONTAINERS ARE NOT TESTED: bwrap cannot make one here ({reason.strip()}).")


def execute(command: list[str], work: Callable[[int], object], n_quanta: int) -> dict[int, QuantumOutcome]:
    graph = enumerated({"a": n_quanta})
    context = ExecutionContext(graph, CallSpec(work), timeout=10.0)
    settings = EngineSettings(python=sys.executable, container=command)
    model = FuturesExecutor(find_engine("threads", 2), settings=settings)
    model.check(context)
    outcomes = {outcome.id: outcome for outcome in model.execute(graph, context)}
    context.stop.close()
    model.settle()
    return outcomes


def test_a_container_loses_no_more_than_the_quantum_that_crashes_or_hangs(
    tmp_path: Path, temporary_folder: Path
) -> None:
    notes = tmp_path / "notes"
    notes.mkdir()
    shared = [word for path in (notes, temporary_folder) for word in ("--bind", str(path), str(path))]
    work = Recorder(notes, bombs=((3, "segfault"), (5, "hang_in_children"), (7, "note_root")))
    outcomes = execute(container(*shared), work, 10)
    assert {id: outcome.status for id, outcome in outcomes.items()} == {
        **dict.fromkeys(range(10), Status.SUCCEEDED),
        3: Status.KILLED,
        5: Status.TIMED_OUT,
    }
    assert (notes / "root").read_text() != str(Path("/").stat().st_dev), "it has a root folder of its own"
    assert outcomes[3].log is not None, "logs of what was killed come out of the container"
    assert "about to crash" in Path(outcomes[3].log).read_text()


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--bind", "TMP", "TMP", "--unshare-pid"], "numbers of their own"),
        (["--bind", "TMP", "TMP", "--tmpfs", str(TESTS.parent / "python")], "No module named 'pipetask"),
        (
            ["--bind", "TMP", "TMP", "--setenv", "PYTHONPATH", "EDITED"],
            r"other files in pipetask.*\(text.py\)",
        ),
        ([], "temporary files, .*, is not seen there: let the container see it under the same name"),
    ],
)
def test_a_container_that_quanta_could_not_use_is_refused(
    more: list[str], words: str, tmp_path: Path, temporary_folder: Path
) -> None:
    edited = temporary_folder / "edited"
    shutil.copytree(TESTS.parent / "python", edited, ignore=shutil.ignore_patterns("*.pyc", "*.egg-info"))
    with (edited / "pipetask" / "text.py").open("a") as file:
        file.write("# edited\n")
    path = os.pathsep.join([str(edited), *filter(None, sys.path)])
    command = container(
        *(word.replace("TMP", str(temporary_folder)).replace("EDITED", path) for word in more)
    )
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "mine.py").write_text("")
    code = {str(tmp_path / "code"): None} if not more else None
    settings = EngineSettings(python=sys.executable, container=command, code=code)
    context = ExecutionContext(enumerated({"a": 1}), CallSpec(print))
    with pytest.raises(PipetaskError, match=words) as raised:
        FuturesExecutor(find_engine("threads", 1), settings=settings).check(context)
    context.stop.close()
    assert "\n" not in str(raised.value)


def test_a_run_in_a_container_that_sees_the_repository_under_another_name(
    make_repository: Callable[..., Repository],
    tmp_path: Path,
    temporary_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As Podman's and Docker's, it begins in another folder, and without the variables of its host."""
    monkeypatch.chdir(tmp_path)
    configs = {"characterize": {"fail_condition": "detector=1 AND exposure=1"}}
    pipeline = MockPipeline(2, 2, configs=configs, datastore_records=False)
    here = tmp_path / "here"
    here.mkdir()
    near, far = make_repository(pipeline), make_repository(pipeline, "here/repo")
    settings = tmp_path / "there.yaml"
    words = far.arguments("--mode", "futures", "-j", "2", "--engine-settings", str(settings))
    relative = [word.removeprefix(f"{tmp_path}/") for word in words]
    assert "here/repo" in relative

    def run(bind: str) -> Finished:
        shared = ["--bind", str(temporary_folder), str(temporary_folder), bind, str(here), "/data"]
        bare = ["--chdir", "/", "--unsetenv", "PYTHONPATH"]
        said = {
            "container": container(*shared, *bare),
            "python": sys.executable,
            "paths": {str(here): "/data"},
            "environment": {"PYTHONPATH": os.environ["PYTHONPATH"]},
        }
        settings.write_text(json.dumps(said))
        return run_pipetask(*relative)

    read_only = run("--ro-bind")
    assert f"cannot write to the datastore in /data/repo, which is {far.root} here" in read_only.line
    done = run("--bind")
    reference = run_pipetask(*near.arguments())
    assert done.code == reference.code == 1, done.err
    assert _plain(far) == _plain(near)
    assert read_files(far.root).keys() == read_files(near.root).keys()
