"""Settings of engines: names of files on both sides, environments of quanta, and code that is sent."""

from __future__ import annotations

import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
import venv
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines import dask_address, end
from needs import not_tested
from pipetask.errors import PipetaskError, UsageError
from pipetask.executors.base import ExecutionContext
from pipetask.executors.futures import FuturesExecutor, code_package
from pipetask.executors.futures.code_package import NoCodeError, UnpackedCode, pack
from pipetask.executors.futures.engine import Engine, find_engine
from pipetask.executors.futures.environment import USUAL, Environment
from pipetask.executors.futures.far_side import Answer, Order
from pipetask.executors.futures.inquiry import Facts, Inquiry
from pipetask.executors.futures.packages import Package
from pipetask.executors.futures.probe import difference, python_version
from pipetask.executors.futures.surroundings import Surroundings
from pipetask.options.execution import OutputButler
from pipetask.options.models import FuturesOptions
from pipetask.outcome import QuantumOutcome, Status
from pipetask.runner.spec import ButlerRunnerSpec
from pipetask.settings.engine import EngineSettings
from pipetask.settings.paths import PathMap
from pipetask.testing import CallSpec, MockPipeline, enumerated
from pipetask.testing.plain_runs import wait_until

from conftest import TESTS, Repository, run_pipetask  # isort: skip
from repository_dump import read_files, read_registry  # isort: skip

pytestmark = pytest.mark.usefixtures("speaks_of_flags")


# Names of files.

words = st.sampled_from(["a", "b", "ab", "a b", "#"])
folders = st.lists(words, max_size=3).map(lambda parts: "/" + "/".join(parts))
maps = st.dictionaries(folders, folders, max_size=4).filter(lambda m: len(set(m.values())) == len(m))


def expected(pairs: dict[str, str], path: str) -> str:
    """Walk up from a path to the first folder that has another name."""
    for folder in (PurePosixPath(path), *PurePosixPath(path).parents):
        if str(folder) in pairs:
            return str(pairs[str(folder)] / PurePosixPath(path).relative_to(folder))
    return path


@given(pairs=maps, path=folders)
def test_paths_have_the_name_of_the_innermost_folder(pairs: dict[str, str], path: str) -> None:
    paths = PathMap.of(pairs)
    expected_there = str(PurePosixPath(expected({k: PurePosixPath(v) for k, v in pairs.items()}, path)))
    assert paths.there(path) == expected_there
    back = paths.back(path)
    assert back == path or paths.there(back) == path, "only one file has that name"
    assert paths.there(paths.back(paths.there(path))) == paths.there(path)


@given(path=folders)
def test_paths_come_back(path: str) -> None:
    paths = PathMap.of({"/nfs": "/data", "/nfs/deep/er": "/fast", "/home/me": "/users/me"})
    for folder in ("/nfs", "/nfs/deep/er", "/home/me", "/elsewhere"):
        name = folder + path.rstrip("/")
        assert paths.back(paths.there(name)) == name
    for folder in ("/data", "/fast", "/users/me", "/elsewhere"):
        name = folder + path.rstrip("/")
        assert paths.there(paths.back(name)) == name


@pytest.mark.parametrize(
    ("here", "there"),
    [
        ("/nfs/project", "/data"),
        ("/nfs/project/", "/data/"),
        ("/nfs/project/x.qg", "/data/x.qg"),
        ("/nfs//project/./x", "/data/x"),
        ("/nfs/project2/x", "/nfs/project2/x"),
        ("/nfs/project/../x", "/nfs/project/../x"),
        ("/nfs", "/nfs"),
        ("nfs/project/x", "nfs/project/x"),
        ("file:///nfs/project/a%20b#unzip=c", "file:///data/a%20b#unzip=c"),
        ("file:///nfs/project2/a%20b", "file:///nfs/project2/a%20b"),
        ("sqlite:////nfs/project/gen3.sqlite3", "sqlite:////data/gen3.sqlite3"),
        ("s3://nfs/project/x", "s3://nfs/project/x"),
        ("https:///nfs/project/x", "https:///nfs/project/x"),
        ("", ""),
    ],
)
def test_paths_are_replaced_at_boundaries_only(here: str, there: str) -> None:
    assert PathMap.of({"/nfs/project/": "/data"}).there(here) == there


def test_the_root_may_have_another_name() -> None:
    assert PathMap.of({"/": "/host"}).there("/x") == "/host/x"
    assert PathMap.of({"/x": "/"}).there("/x/y") == "/y"
    assert PathMap.of({"/x": "/"}).there("/x") == "/"
    assert PathMap.of({"/x": "/"}).back("/y") == "/x/y"


# The file.


def load(tmp_path: Path, text: str) -> EngineSettings:
    (tmp_path / "there.yaml").write_text(text)
    return EngineSettings.load(tmp_path / "there.yaml")


def test_labels_and_engines_override_what_holds_for_all(tmp_path: Path) -> None:
    settings = load(
        tmp_path,
        """
        paths: {/nfs: /data}
        container: apptainer exec "my image.sif"
        environment: {A: 1, B: true}
        code: {tasks: , /abs: '*.txt'}
        engines:
          dask: {python: /dask/python, labels: {isr: {environment: {C: 3}}}}
          dask:tcp://far*: {paths: }
        labels:
          coadd*: {container: , environment: {A: two}}
          step1: {setup: setup lsst_distrib}
        """,
    )
    assert settings.container == ("apptainer", "exec", "my image.sif")
    assert settings.code == {str(tmp_path / "tasks"): ("**/*.py",), "/abs": ("*.txt",)}
    dask = settings.of_engine("dask:tcp://near:8786")
    assert (dask.python, dask.paths) == ("/dask/python", {"/nfs": "/data"})
    assert settings.of_engine("dask:tcp://far:8786").paths == {}
    assert settings.of_engine("loky").python is None
    assert dask.of_label("isr", {}).environment == {"A": "1", "B": "true", "C": "3"}
    coadd = dask.of_label("coaddDeep", {"step1": {"coaddDeep"}})
    assert (coadd.container, coadd.environment) == ((), {"A": "two", "B": "true"})
    assert (coadd.setup, coadd.python) == ("setup lsst_distrib", "/dask/python")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("pyhton: x", r"there.yaml: setting 'pyhton' is unknown: did you mean 'python'\?"),
        ("labels: {isr: {seutp: x}}", r"labels.isr: setting 'seutp' is unknown: did you mean 'setup'\?"),
        ("labels: {isr: {paths: {}}}", r"labels.isr: setting 'paths' is unknown"),
        ("labels: {isr: x}", "labels.isr has no settings"),
        ("engines: [dask]", "engines has no names with settings"),
        ("paths: {nfs: /data}", "paths: 'nfs' is not an absolute path of a folder"),
        ("paths: {/nfs: s3://data}", "paths: 's3://data' is not an absolute path"),
        ("paths: {/a: /data, /b: /data/}", "paths: /data is there twice"),
        ("paths: {/a: 1}", "paths: 1 is not a text"),
        ("paths: [/a]", r"paths: \['/a'\] is no list of names with values, as in NAME: VALUE\."),
        (
            "paths:\n\t/a: /b",
            r"cannot be read: line 2, column 1: found character '.t' .*\(a tab: use spaces\)\.$",
        ),
        ("code: {/a: 3}", "code: 3 is neither a pattern of files nor a list of them"),
        ('environment: {A: "x\\0"}', "environment: .* contains a null character"),
        ("container: 1", "container: 1 is neither a text nor a list of words"),
        ("python: 3", "python: 3 is not a text"),
        ("other_tasks: ignore", "other_tasks: 'ignore' is neither refuse nor warn"),
        ("labels: {isr: {other_tasks: warn}}", "labels.isr: setting 'other_tasks' is unknown"),
        ("container: 'apptainer \"exec'", "container: No closing quotation"),
        ("environment: [A=1]", "environment: .* is no list of names with values"),
        ("environment: {A: [1]}", r"environment: \[1\] is neither a text nor a number"),
        ("engines: {dask: {environment: {A=B: 1}}}", "engines.dask: environment: 'A=B' is no name"),
        ("[1]", "has no sections with settings"),
    ],
)
def test_what_means_nothing_is_refused_in_one_line(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words) as raised:
        load(tmp_path, text)
    assert "\n" not in str(raised.value)
    assert str(raised.value).startswith("--engine-settings ")


def test_each_engine_of_a_run_takes_its_own_settings(tmp_path: Path) -> None:
    file = tmp_path / "there.yaml"
    file.write_text("engines: {threads: {python: /of/threads}, proc*: {python: /of/processes}}")
    for name in ("threads", "processes"):
        options = FuturesOptions(engine=name, engine_settings=str(file))
        assert FuturesExecutor.from_options(options)._settings == EngineSettings(python=f"/of/{name}")


@pytest.mark.parametrize("name", ["file", "file/folder"])
def test_a_file_is_refused_as_engine_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    options = FuturesOptions(engine="threads", engine_folder=str(tmp_path / name))
    with pytest.raises(
        UsageError, match=rf"^--engine-folder .*/{name}: this is, or is in, a file: name a folder\.$"
    ):
        FuturesExecutor.from_options(options).prepare()


def test_an_engine_that_may_be_misspelt_is_told_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "there.yaml"
    file.write_text("engines: {thread: {python: /a}, 'dask:tcp://head:8786': {}, our_cluster: {}, proc*: {}}")
    FuturesExecutor.from_options(FuturesOptions(engine="threads", engine_settings=str(file)))
    words = "engines.thread: there is no such engine: did you mean 'threads'?"
    assert caplog.messages == [f"--engine-settings {file}: {words}"]


def test_a_label_that_may_be_misspelt_is_told_of(caplog: pytest.LogCaptureFixture) -> None:
    settings = EngineSettings(labels={"isrr": EngineSettings(), "otherTask": EngineSettings()})
    Surroundings(settings, is_here=True).warn_of_labels(["isr"], dict)
    assert caplog.messages == ["--engine-settings: the graph has no task 'isrr': did you mean 'isr'?"]


# What a worker sees.


def facts(**more: Any) -> Facts:
    return Facts("far", python_version(), {}, {}, sees_folder=True, runner_error=None, **more)


INQUIRY = Inquiry(b"", (), None)


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        (
            facts(no_worker="bash: apptainer: command not found"),
            "cannot start a process for quanta: bash: app",
        ),
        (replace(facts(no_worker="x"), python="3.1"), "have Python 3.1, and this is Python 3"),
        (
            replace(facts(no_worker="x"), packages={"lsst.pipe.base": Package("0.1")}),
            "have lsst.pipe.base 0.1, and this",
        ),
        (facts(driver=Package(files={"x.py": ""})), "outside of the environment of quanta: they must be the"),
        (
            replace(facts(), files={"/data/g.qg": None}),
            "cannot read /data/g.qg, which is /nfs/g.qg here: put",
        ),
        (
            facts(roots={"/data/repo": "there is no such folder"}),
            "datastore in /data/repo, which is /nfs/repo here",
        ),
        (facts(task_error="No module named 'mine'"), "cannot import a task: No module named 'mine'"),
    ],
)
def test_what_differs_is_told_with_both_names(seen: Facts, words: str) -> None:
    reason = difference(seen, INQUIRY, PathMap.of({"/nfs": "/data"}))
    assert reason is not None
    assert words in reason
    assert "\n" not in reason


def test_what_starts_no_process_is_to_be_corrected_where_it_was_set() -> None:
    inquiry = replace(INQUIRY, environment=Environment(python="/none/python"))
    assert (difference(facts(no_worker="no such file"), inquiry, PathMap()) or "").endswith(
        "no such file: correct python:, setup: or container: in --engine-settings."
    )


class FileSpec(CallSpec):
    """Needs a file."""

    @property
    def files(self) -> dict[str, str]:
        return {"graph.qg": __file__}


def test_a_file_that_has_another_name_there_is_looked_for_under_that() -> None:
    context = ExecutionContext(enumerated({"a": 1}), FileSpec(print))
    settings = EngineSettings(paths={str(TESTS): "/no/such"})
    with pytest.raises(PipetaskError, match=f"cannot read /no/such/.*, which is {TESTS}/.* here"):
        FuturesExecutor(find_engine("threads", 1), settings=settings).check(context)
    context.stop.close()


def test_logs_have_the_names_of_here() -> None:
    there = Surroundings(EngineSettings(paths={"/nfs": "/data"}), is_here=False)
    earlier = QuantumOutcome(1, Status.FAILED, log="/data/log/1")
    outcome = there.back(QuantumOutcome(1, Status.KILLED, log="/tmp/1", earlier=(earlier,)))
    assert (outcome.log, outcome.earlier[0].log) == ("/tmp/1", "/nfs/log/1")


def test_all_names_in_a_recipe_are_translated() -> None:
    spec = ButlerRunnerSpec(
        graph="/nfs/g.qg",
        butler_config="/nfs/repo",
        run="u/run",
        collections=(),
        config_search_path=("/nfs/config", "/etc"),
        datastore_cache="/nfs/cache",
        log_state=[(print, True, ("/nfs/run.log",), {"a": 1}), (print, "/nfs/other.log")],
    )
    paths = PathMap.of({"/nfs": "/data"})
    there = spec.translated(paths)
    assert there == replace(
        spec,
        graph="/data/g.qg",
        butler_config="/data/repo",
        config_search_path=("/data/config", "/etc"),
        datastore_cache="/data/cache",
        log_state=[(print, True, ("/data/run.log",), {"a": 1}), (print, "/data/other.log")],
        paths=paths,
    )
    with pytest.raises(UsageError, match="need --output-butler quantum-backed"):
        replace(spec, output_butler=OutputButler.FULL).translated(paths)


# Environments.


class Surveyor:
    """Writes down in what environment a quantum runs."""

    def __init__(self, folder: Path, module: str | None = None, crash: int | None = None):
        self._folder = folder
        self._module = module
        self._crash = crash

    def __call__(self, id: int) -> None:
        names = ("COMMON", "PREFIX", "SETUP", "LABEL")
        found: dict[str, Any] = {name: os.environ[name] for name in names if name in os.environ}
        if self._module is not None:
            module = __import__(self._module)
            found |= {"version": module.VERSION, "file": module.__file__}
            code = f"import {self._module} as m; print(m.VERSION)"
            child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
            found["child"] = child.stdout.strip()
        (self._folder / f"{id}.json").write_text(json.dumps(found))
        if id == self._crash:
            os.abort()


@pytest.fixture
def _workers_find_this(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a Python that does not inherit ``sys.path`` import what this one can."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(TESTS), *filter(None, sys.path)]))


def execute(
    settings: EngineSettings, counts: dict[str, int], work: Callable[[int], object]
) -> dict[int, Status]:
    """Execute a graph as a run does; return how quanta have ended."""
    graph = enumerated(counts)
    context = ExecutionContext(graph, CallSpec(work))
    model = FuturesExecutor(find_engine("threads", 2), settings=settings)
    model.check(context)
    outcomes = list(model.execute(graph, context))
    context.stop.close()
    model.settle()
    return {outcome.id: outcome.status for outcome in outcomes}


@pytest.mark.slow
@pytest.mark.usefixtures("_workers_find_this")
def test_quanta_run_in_the_environment_of_their_label(tmp_path: Path) -> None:
    settings = EngineSettings(
        python=sys.executable,
        container="env PREFIX=yes",
        environment={"COMMON": 1},
        setup="export SETUP=$PREFIX-$COMMON\ntrue",
        labels={"b*": EngineSettings(python="", container="", setup="", environment={"LABEL": "b"})},
    )
    # Of both labels, there is more than one quantum in a bundle.
    statuses = execute(settings, {"a": 8, "bias": 8}, Surveyor(tmp_path, crash=3))
    assert statuses == {**dict.fromkeys(range(16), Status.SUCCEEDED), 3: Status.KILLED}
    found = [json.loads((tmp_path / f"{id}.json").read_text()) for id in range(16)]
    assert found[:8] == [{"COMMON": "1", "PREFIX": "yes", "SETUP": "yes-1"}] * 8
    assert found[8:] == [{"COMMON": "1", "LABEL": "b"}] * 8


@pytest.mark.slow
@pytest.mark.usefixtures("_workers_find_this")
@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"setup": "echo no such stack >&2; exit 3"}, "no such stack"),
        ({"setup": "exit 3"}, r"it ended with code 3 \(setup: exit 3\)"),
        ({"python": "/no/such/python"}, "No such file or directory"),
        ({"container": "env -i /bin/false"}, r"it ended with code 1 \(container: env -i /bin/false\)"),
        ({"python": "VIRTUAL/bin/python", "container": "env PYTHONPATH=/no"}, "No module named 'pipetask"),
        ({"python": sys.executable, "container": "unshare --pid --fork"}, "numbers of their own"),
    ],
)
def test_an_environment_that_starts_nothing_is_refused(
    settings: dict[str, str], words: str, tmp_path: Path
) -> None:
    if "unshare" in str(settings) and subprocess.run(["unshare", "--pid", "--fork", "true"]).returncode:
        not_tested("PID NAMESPACES ARE NOT TESTED: they cannot be made here.")
    if "VIRTUAL" in str(settings):
        venv.create(tmp_path)
    settings = {key: value.replace("VIRTUAL", str(tmp_path)) for key, value in settings.items()}
    context = ExecutionContext(enumerated({"a": 1}), CallSpec(print))
    with pytest.raises(PipetaskError, match=words) as raised:
        FuturesExecutor(find_engine("threads", 1), settings=EngineSettings(**settings)).check(context)
    context.stop.close()
    assert "\n" not in str(raised.value)


# Code.


@pytest.fixture
def _own_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))


def home(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "tmp" / f"pipetask-code-{os.getuid()}").iterdir())


def code_folder(tmp_path: Path, version: int = 2) -> Path:
    folder = tmp_path / "code"
    (folder / "package" / "__pycache__").mkdir(parents=True, exist_ok=True)
    (folder / "package" / "__init__.py").write_text(f"VERSION = {version}\n")
    (folder / "package" / "__pycache__" / "old.py").write_text("")
    (folder / "notes.txt").write_text("not code")
    return folder


@pytest.mark.slow
@pytest.mark.usefixtures("_own_temporary_folder")
def test_what_was_edited_here_is_what_runs_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "installed").mkdir()
    (tmp_path / "installed" / "package.py").write_text("VERSION = 1\n")
    monkeypatch.syspath_prepend(str(tmp_path / "installed"))
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path / 'installed'}{os.pathsep}{TESTS}")
    settings = EngineSettings(code={str(code_folder(tmp_path)): None})
    statuses = execute(settings, {"a": 4}, Surveyor(tmp_path, "package"))
    assert statuses == dict.fromkeys(range(4), Status.SUCCEEDED)
    found = [json.loads((tmp_path / f"{id}.json").read_text()) for id in range(4)]
    assert {(each["version"], each["child"]) for each in found} == {(2, "2")}
    assert all(each["file"].startswith(str(tmp_path / "tmp" / "pipetask-code-")) for each in found)
    assert home(tmp_path) == [], "the last process has removed it"


@pytest.mark.usefixtures("_own_temporary_folder")
def test_a_package_stays_while_a_process_needs_it(tmp_path: Path) -> None:
    package, data = pack({str(code_folder(tmp_path)): ["**/*.py"]})
    again, _ = pack({str(code_folder(tmp_path)): ["**/*.py"]})
    other, _ = pack({str(code_folder(tmp_path, 3)): ["**/*.py"]})
    assert package == again != other
    with pytest.raises(NoCodeError):
        UnpackedCode(package, lambda: None)
    with pytest.raises(NoCodeError):
        UnpackedCode(package, lambda: data[:-1])
    assert home(tmp_path) == []
    first = UnpackedCode(package, lambda: data)
    second = UnpackedCode(package, lambda: None)
    (folder,) = map(Path, second.folders)
    first.close()
    assert [path.name for path in folder.rglob("*") if path.is_file()] == ["__init__.py"]
    # What processes have left that were killed.
    (folder.parent.parent / "0123.draft").mkdir()
    (folder.parent.parent / "0123.lock").touch()
    UnpackedCode(package, lambda: None).close()
    assert home(tmp_path) == [package.digest, f"{package.digest}.lock"]
    second.close()
    assert home(tmp_path) == []


@pytest.mark.usefixtures("_own_temporary_folder")
def test_processes_that_come_and_go_find_a_package_whole(tmp_path: Path) -> None:
    package, data = pack({str(code_folder(tmp_path)): ["**/*.py"]})
    wrong: list[str] = []

    def come_and_go() -> None:
        for _ in range(30):
            code = UnpackedCode(package, lambda: data)
            if not Path(code.folders[0], "package", "__init__.py").exists():
                wrong.append(code.folders[0])
            code.close()

    threads = [threading.Thread(target=come_and_go) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert home(tmp_path) == []


@pytest.mark.usefixtures("_own_temporary_folder")
def test_a_folder_that_others_can_write_to_is_not_trusted(tmp_path: Path) -> None:
    folder = tmp_path / "tmp" / f"pipetask-code-{os.getuid()}"
    folder.mkdir()
    folder.chmod(0o777)
    package, data = pack({str(code_folder(tmp_path)): ["**/*.py"]})
    with pytest.raises(PipetaskError, match="can be written to by others"):
        UnpackedCode(package, lambda: data)


@pytest.mark.parametrize(
    ("patterns", "words"),
    [
        (["*.yaml"], r"no file in .*code matches '\*.yaml'"),
        (["/abs/*.py"], "'/abs/.*' is no pattern"),
        ([""], "'' is no pattern"),
        (["**/*"], "2 files have 0 MB, and 0 MB is the most that is sent; .*largest is .*__init__.py"),
    ],
)
def test_code_that_cannot_be_sent_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, patterns: list[str], words: str
) -> None:
    monkeypatch.setattr(code_package, "MOST_BYTES", 15)
    with pytest.raises(UsageError, match=words):
        pack({str(code_folder(tmp_path)): patterns})
    with pytest.raises(UsageError, match="--engine-settings: code: there is no folder"):
        pack({"/no/such": ["*"]})


class Hosts(Engine):
    """Machines that have no code package, until one comes along with a bundle."""

    def __init__(self, number: int):
        self._have = [False] * number
        self.orders: list[Order] = []

    @classmethod
    def make(cls, argument: str | None, workers: int) -> Engine:
        return cls(workers)

    @property
    def slots(self) -> int:
        return len(self._have)

    def submit(self, function: Callable[..., Any], /, *arguments: Any) -> Future[Any]:
        future: Future[Any] = Future()
        (order,) = arguments if isinstance(arguments[0], Order) else (None,)
        if order is not None:
            self.orders.append(order)
            host = len(self.orders) % len(self._have)
            self._have[host] |= order.code is not None
            outcomes = (QuantumOutcome(each.id, Status.SUCCEEDED).to_wire() for each in order.tickets)
            future.set_result(Answer(tuple(outcomes)) if self._have[host] else Answer((), lacks_code=True))
        return future


def test_without_a_shared_folder_code_travels_once_to_each_machine(tmp_path: Path) -> None:
    graph = enumerated({"a": 200})
    engine = Hosts(3)
    context = ExecutionContext(graph, CallSpec(print))
    model = FuturesExecutor(engine, settings=EngineSettings(code={str(code_folder(tmp_path)): None}))
    outcomes = list(model.execute(graph, context))
    context.stop.close()
    assert sorted(outcome.id for outcome in outcomes) == list(range(200))
    assert {order.environment.code is None for order in engine.orders} == {False}
    assert 3 <= sum(order.code is not None for order in engine.orders) <= 8


def test_the_usual_environment_starts_this_python() -> None:
    assert USUAL.interpreter().is_this
    assert Environment(setup="true").interpreter().command("")[:2] == ["bash", "-c"]


# Both sides have mounted the same folder elsewhere.


def start(command: list[str], log: Path, stack: ExitStack, **options: Any) -> subprocess.Popen[bytes]:
    output = stack.enter_context(log.open("w"))
    env = {**os.environ, "PYTHONPATH": str(TESTS)}
    process = subprocess.Popen(command, stdout=output, stderr=output, env=env, **options)
    stack.callback(end, process)
    return process


def networks(process: subprocess.Popen[bytes], stack: ExitStack) -> tuple[str, str]:
    """Connect the network of a process with the one of here; return the addresses here and there."""

    def has_its_own() -> bool:
        assert process.poll() is None, "it cannot make namespaces"
        return Path(f"/proc/{process.pid}/ns/net").readlink() != Path("/proc/self/ns/net").readlink()

    wait_until(has_its_own, "it has a network of its own")
    # Four addresses of their own for each process, as other tests may run on this machine.
    subnet, block = divmod(process.pid % (256 * 64), 64)
    here, there = (f"10.213.{subnet}.{4 * block + number}" for number in (1, 2))
    name = f"pt{process.pid}"
    for words in (
        f"link add {name} type veth peer name there netns {process.pid}",
        f"addr add {here}/30 dev {name}",
        f"link set {name} up",
    ):
        subprocess.run(["ip", *words.split()], check=True)
    stack.callback(subprocess.run, ["ip", "link", "del", name], stderr=subprocess.DEVNULL)
    return here, there


@contextmanager
def dask_elsewhere(tmp_path: Path, here: Path, there: Path) -> Iterator[str]:
    """Start a Dask cluster whose worker is in another network, and sees a folder under another name only."""
    mounts = f"mount --bind {here} {there} && mount -t tmpfs none {here}"
    network = 'ip link set lo up && ip addr add "$1"/30 dev there && ip link set there up'
    trial = ["unshare", "--mount", "--net", "sh", "-c", f"{mounts} && ip link add x type veth peer name y"]
    if shutil.which("unshare") is None or subprocess.run(trial, capture_output=True).returncode:
        not_tested("PATH TRANSLATION IS NOT TESTED: namespaces of mounts and networks cannot be made here.")
    file = tmp_path / "scheduler.json"
    python = [sys.executable, "-m"]
    common = ["--scheduler-file", str(file), "--no-dashboard"]
    worker = [*python, "distributed.cli.dask_worker", *common, "--nthreads", "2", "--no-nanny"]
    script = f'read address && set -- "$address" "$@" && {mounts} && {network} && shift && exec "$@"'
    with ExitStack() as stack:
        inside = start(
            ["unshare", "--mount", "--net", "sh", "-c", script, "sh", *worker],
            tmp_path / "worker.log",
            stack,
            stdin=subprocess.PIPE,
            cwd=tmp_path,
        )
        address, other = networks(inside, stack)
        scheduler = start(
            [*python, "distributed.cli.dask_scheduler", *common, "--host", address, "--port", "0"],
            tmp_path / "scheduler.log",
            stack,
        )
        listening = dask_address(file, scheduler, tmp_path / "scheduler.log")
        assert inside.stdin is not None
        inside.stdin.write(f"{other}\n".encode())
        inside.stdin.close()
        yield listening


def ingest_absolutely(repository: Repository) -> None:
    """Let the registry have absolute names of the raw files, as after ingesting them where they are."""
    prefix = f"file://{repository.root}/"
    with closing(sqlite3.connect(repository.root / "gen3.sqlite3")) as database, database:
        done = database.execute("UPDATE file_datastore_records SET path = ? || path", [prefix])
        assert done.rowcount == 4


@pytest.mark.slow
def test_a_run_where_both_sides_have_mounted_the_same_folder_elsewhere(
    make_repository: Callable[..., Repository], tmp_path: Path
) -> None:
    here, there = tmp_path / "here", tmp_path / "data"
    there.mkdir()
    here.mkdir()
    configs = {"characterize": {"fail_condition": "detector=1 AND exposure=1"}}
    pipeline = MockPipeline(2, 2, configs=configs, datastore_records=False)
    near, far = make_repository(pipeline), make_repository(pipeline, "here/repo")
    for each in (near, far):
        ingest_absolutely(each)
    settings = tmp_path / "there.yaml"
    settings.write_text(f"paths: {{{here}: {there}}}\n")
    summary = tmp_path / "summary.json"
    with dask_elsewhere(tmp_path, here, there) as address:
        more = ["--mode", "futures", "--engine", f"dask:{address}", "--engine-folder", str(here / "scratch")]
        refused = run_pipetask(*far.arguments(*more))
        more += ["--engine-settings", str(settings), "--summary", str(summary)]
        done = run_pipetask(*far.arguments(*more))
    assert re.search(f"cannot read {far.graph}: put it where both sides see it under this name", refused.line)
    assert "do not see" not in done.err
    reference = run_pipetask(*near.arguments())
    assert done.code == reference.code == 1, done.err
    # Names of datastores, paths in records and all else are as after a run on this machine.
    assert _plain(far) == _plain(near)
    assert read_files(far.root).keys() == read_files(near.root).keys()
    assert list(there.iterdir()) == [], "nothing was written under the other name on this side"
    logs = [log for log in _logs(json.loads(summary.read_text())) if log is not None]
    assert logs
    assert all(Path(log).is_relative_to(here) and Path(log).exists() for log in logs)


def _plain(repository: Repository) -> str:
    """Return what a registry holds, but for sizes of files: logs and metadata have different ones."""
    tables = {
        table: [{key: row[key] for key in row if key not in ("file_size", "ingest_date")} for row in rows]
        for table, rows in read_registry(repository.root).items()
    }
    return repr(tables).replace(str(repository.root), "ROOT")


def _logs(value: Any) -> Iterator[str | None]:
    match value:
        case dict():
            yield from [value["log"]] if "log" in value else []
            for each in value.values():
                yield from _logs(each)
        case list():
            for each in value:
                yield from _logs(each)


@pytest.mark.slow
def test_a_repository_is_opened_under_another_name(make_repository: Callable[..., Repository]) -> None:
    from lsst.daf.butler import ButlerConfig

    from pipetask.runner.relocation import datastore_roots, relocate_config

    root = make_repository().root
    with (root / "butler.yaml").open("a") as file:
        file.write(f"datastore:\n  root: {root}/files\nregistry:\n  db: sqlite:///{root}/gen3.sqlite3\n")
    assert datastore_roots(str(root)) == [f"{root}/files"]
    config = ButlerConfig(str(root))
    relocate_config(config, PathMap.of({str(root.parent): "/data"}))
    assert config["datastore", "root"] == f"/data/{root.name}/files"
    assert config["datastore", "name"] == f"FileDatastore@{root}/files", "records are found by its name"
    assert config["registry", "db"] == f"sqlite:////data/{root.name}/gen3.sqlite3"
