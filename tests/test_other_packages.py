"""Packages that are not the same on both sides of an engine: seen, told, and refused before anything is touched."""

from __future__ import annotations

import os
import shutil
import sys
import venv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipetask.errors import PipetaskError
from pipetask.executors.base import ExecutionContext
from pipetask.executors.futures import FuturesExecutor
from pipetask.executors.futures.engine import Engine, find_engine
from pipetask.executors.futures.packages import BASE, Package, look_at, package_of, place_of, words_for
from pipetask.graph.enumeration import EnumeratedGraph
from pipetask.graph.structure import GraphStructure
from pipetask.settings.engine import EngineSettings
from pipetask.testing import CallSpec, MockPipeline

from conftest import TESTS, Repository, run_pipetask  # isort: skip
from test_engine_deaths import OtherInterpreter  # isort: skip

pytestmark = pytest.mark.usefixtures("speaks_of_flags", "_forgets_modules")

SOURCES = TESTS.parent / "python"
NAME = "survey.tasks"
"""A package in a namespace, as most with tasks are."""

OLD_NAMESPACE = "import pkgutil\n__path__ = pkgutil.extend_path(__path__, __name__)\n"

TASK = "class DetectTask:\n    canMultiprocess = True\n"


@pytest.fixture
def _forgets_modules() -> Any:
    """Let each test import packages of the same name from elsewhere."""
    yield
    for name in [each for each in sys.modules if each.partition(".")[0] in ("survey", "oldstyle")]:
        del sys.modules[name]


def write(
    folder: Path, version: str | None = None, stated: str | None = None, name: str = NAME, **files: str
) -> Path:
    """Write the package, as if it was installed where a version is given; return the folder to search for it."""
    package = folder / name.replace(".", "/")
    package.mkdir(parents=True)
    for module, text in {"__init__": "", "detect": TASK, **files}.items():
        (package / f"{module}.py").write_text(text)
    if stated is not None:
        (package / "version.py").write_text(f'__all__ = ["__version__"]\n__version__ = "{stated}"\n')
    if version is not None:
        project = name.replace(".", "-")
        metadata = folder / f"{project.replace('-', '_')}-{version}.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project}\nVersion: {version}\n")
        paths = [path.relative_to(folder).as_posix() for path in package.iterdir()]
        (metadata / "RECORD").write_text("".join(f"{path},sha256=,\n" for path in paths))
    return folder


# What is seen.


def test_the_package_of_a_task_is_inside_of_its_namespaces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path)
    (tmp_path / "single.py").write_text(TASK)
    (tmp_path / "oldstyle" / "part").mkdir(parents=True)
    (tmp_path / "oldstyle" / "__init__.py").write_text(OLD_NAMESPACE)
    (tmp_path / "oldstyle" / "part" / "__init__.py").write_text(
        "raise RuntimeError('it is not to be imported')"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    found = {
        name: package_of(f"{name}.DetectTask")
        for name in ("survey.tasks.detect", "single", "oldstyle.part.x")
    }
    assert found == {"survey.tasks.detect": NAME, "single": "single", "oldstyle.part.x": "oldstyle.part"}
    assert package_of("lsst.pipe.base.tests.mocks.DynamicTestPipelineTask") == "lsst.pipe.base"
    assert [package_of(name) for name in ("no.such.Task", "Task", "survey.Task")] == [None] * 3
    seen = look_at("single")
    assert seen is not None
    assert list(seen.files) == ["single.py"]


def test_a_version_is_that_of_the_installation_that_has_brought_the_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, version="1.2", stated="1.2+stated")
    other = tmp_path / "survey_other-9.dist-info"
    other.mkdir()
    (other / "RECORD").write_text("survey/other/__init__.py,,\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    seen = look_at(NAME)
    assert seen is not None
    assert (seen.installed, seen.stated, sorted(seen.files)) == (
        "1.2",
        "1.2+stated",
        ["__init__.py", "detect.py"],
    )
    shutil.rmtree(tmp_path / "survey_tasks-1.2.dist-info")
    unknown = look_at(NAME)
    assert unknown is not None
    assert (unknown.installed, unknown.version) == (None, "1.2+stated")
    assert unknown.files == seen.files


def test_our_own_packages_are_seen() -> None:
    for name in BASE:
        seen = look_at(name)
        assert seen is not None
        assert "__init__.py" in seen.files
        assert look_at(name, place_of(name)) == Package(is_same=True)
    assert look_at("lsst.pipe.base").version is not None  # type: ignore[union-attr]
    assert look_at("no.such.package") is None
    assert look_at("sys") == Package()


A = Package("1.2", files={"a.py": "1", "b.py": "1", "c.py": "1"})


@pytest.mark.parametrize(
    ("ours", "theirs", "words"),
    [
        (A, A, None),
        (None, None, None),
        (A, None, "no x, and this is x 1.2"),
        (Package(files={"a.py": "1"}), None, "no x"),
        (A, Package("1.1", files=A.files), "x 1.1, and this is x 1.2"),
        (Package(stated="1", files=A.files), Package(stated="2"), "x 2, and this is x 1"),
        (A, Package(stated="1.2+more", files=A.files), None),
        (Package("1", "2", A.files), Package("1", "3", A.files), None),
        (A, Package(), None),
        (A, Package("1.2", files={**A.files, "b.py": "2"}), "other files in x 1.2 than this command (b.py)"),
        (
            Package(files=A.files),
            Package(files={"a.py": "1", "d.py": "1"}),
            "other files in x than this command (b.py only here, c.py only here and 1 more)",
        ),
    ],
)
def test_what_differs_is_named(ours: Package | None, theirs: Package | None, words: str | None) -> None:
    assert words_for("x", ours, theirs) == words


# What is made of it.


class _Tasks:
    """A graph's tasks, of which one is in the package."""

    def task_node(self, label: str) -> Any:
        class Node:
            class task_class:  # noqa: N801  an attribute of task nodes
                canMultiprocess = True

            task_class_name = f"{NAME}.detect.DetectTask"

        return Node


def check(engine: Engine, settings: EngineSettings | None = None) -> None:
    """Look around as before a run."""
    graph = EnumeratedGraph(GraphStructure.from_edges({"detect": 1}, ()), _Tasks())  # type: ignore[arg-type]
    context = ExecutionContext(graph, CallSpec(print))
    model = FuturesExecutor(engine, settings=settings)
    try:
        model.check(context)
    finally:
        context.stop.close()
        model._close()
        model.settle()


@pytest.fixture
def others(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Let another Python find what this one finds, but for what the test adds; return where."""
    folders = [*filter(None, sys.path), str(TESTS)]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(folders))
    return folders


INSTALL = ": install there what is here, or send it with code: in --engine-settings"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("there", "words"),
    [
        ({"version": "1.1"}, f"have {NAME} 1.1, and this is {NAME} 1.2{INSTALL}"),
        (
            {"version": "1.2", "detect": TASK + "# edited\n"},
            f"have other files in {NAME} 1.2 than this command (detect.py){INSTALL}",
        ),
        ({"stated": "7"}, None),
        (None, f"have no {NAME}, and this is {NAME} 1.2: install it there"),
    ],
)
def test_a_virtual_environment_with_other_tasks_is_refused(
    there: dict[str, str] | None,
    words: str | None,
    others: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    venv.create(tmp_path / "venv")
    (site,) = (tmp_path / "venv" / "lib").glob("python3*/site-packages")
    if there is not None:
        write(site, **there)
    monkeypatch.syspath_prepend(str(write(tmp_path / "here", version="1.2")))
    settings = EngineSettings(python=str(tmp_path / "venv" / "bin" / "python"))
    if words is None:
        check(find_engine("threads", 1), settings)
        return
    with pytest.raises(PipetaskError) as caught:
        check(find_engine("threads", 1), settings)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_workers_that_find_other_tasks_are_refused_or_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Without any settings: the engine's worker is elsewhere, and finds another checkout."""
    here = write(tmp_path / "here", stated="w.2026.48")
    there = write(tmp_path / "there", stated="w.2026.47")
    monkeypatch.syspath_prepend(str(here))
    engine = OtherInterpreter(sys.executable, there, *map(Path, filter(None, sys.path[1:])))
    words = f"have {NAME} w.2026.47, and this is {NAME} w.2026.48"
    with pytest.raises(PipetaskError, match=words):
        check(engine)
    assert not [each for each in caplog.messages if NAME in each]
    check(engine, EngineSettings(other_tasks="warn"))
    (message,) = [each for each in caplog.messages if NAME in each]
    assert message.endswith(f"{words}.")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("pipetask", r"other files in pipetask.* than this command \(text.py\): they must be the same\."),
        (
            "older pipetask",
            r"have pipetask 0.0.1 \(.*python.*\), and this is pipetask .*: they must be the same\.",
        ),
        ("lsst.pipe.base", r"lsst.pipe.base 1.0, and this is lsst.pipe.base \d.*: they must be the same\."),
    ],
)
def test_workers_with_another_pipetask_or_pipe_base_are_refused(
    name: str, words: str, tmp_path: Path
) -> None:
    if name == "pipetask":
        edited = shutil.copytree(SOURCES / name, tmp_path / name, ignore=shutil.ignore_patterns("*.pyc"))
        with (edited / "text.py").open("a") as file:
            file.write("# edited\n")
    elif name == "older pipetask":  # so old that it has nothing of what is asked for
        write(tmp_path, name="pipetask", version="0.0.1")
    else:
        write(tmp_path, name=name, version="1.0")
        for folder in ("lsst", "lsst/pipe"):
            (tmp_path / folder / "__init__.py").write_text(OLD_NAMESPACE)
    engine = OtherInterpreter(sys.executable, tmp_path, TESTS, *map(Path, filter(None, sys.path)))
    with pytest.raises(PipetaskError, match=words) as caught:
        check(engine, EngineSettings(other_tasks="warn"))
    assert "\n" not in str(caught.value)


def _fail(location: Path) -> None:
    raise AssertionError(f"{location} is read")


@pytest.mark.slow
def test_workers_on_this_machine_read_no_files_to_be_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(write(tmp_path)))
    monkeypatch.setattr("pipetask.executors.futures.packages._sources", _fail)
    check(find_engine("threads", 1))


@pytest.mark.slow
def test_tasks_that_were_edited_here_are_refused_there_until_they_are_sent(
    make_repository: Callable[..., Repository],
    others: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    for folder in (here, there):
        folder.mkdir()
        (folder / "edited_tasks.py").write_text(
            "from lsst.pipe.base.tests.mocks import DynamicTestPipelineTask\n"
            f"class EditedTask(DynamicTestPipelineTask):\n    _DefaultName = '{folder.name}'\n"
        )
    monkeypatch.syspath_prepend(str(here))
    monkeypatch.setenv("PYTHONPATH", str(here), prepend=os.pathsep)
    from edited_tasks import EditedTask  # type: ignore[import-not-found]

    repository = make_repository(MockPipeline(1, 1, task_classes={"isr": EditedTask}))
    settings = tmp_path / "there.yaml"
    settings.write_text(f"python: {sys.executable}\nsetup: export PYTHONPATH={there}:$PYTHONPATH\n")
    words = repository.arguments("--mode", "futures", "-j", "1", "--engine-settings", str(settings))
    refused = run_pipetask(*words)
    assert refused.code == 1
    assert "have other files in edited_tasks than this command (edited_tasks.py): install" in refused.line
    with settings.open("a") as file:
        file.write(f"code: {{{here}: }}\n")
    done = run_pipetask(*words)
    assert done.code == 0, done.err
    assert "edited_tasks" not in done.err
