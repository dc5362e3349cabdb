"""Bad input gives one line that names the thing and says what to do, and changes nothing."""

from __future__ import annotations

import importlib
import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from lsst.daf.butler import Butler, CollectionType, DatasetType, DimensionConfig

from forked import run_forked
from pipetask.testing import MockPipeline
from repository_dump import read_files, read_registry
from toy_pipelines import SHAPES

from conftest import Finished, Repository, environment, run_pipetask  # isort: skip

pytestmark = pytest.mark.slow

MakeRepository = Callable[..., Repository]


# What is wrong with the repository or the graph.  A set-up gets a good repository, and a folder for more.


def nothing(repository: Repository, folder: Path) -> None:
    """Leave the repository as it is; the arguments are what is wrong."""


def an_empty_folder(repository: Repository, folder: Path) -> None:
    (folder / "empty").mkdir()


def a_text_file(repository: Repository, folder: Path) -> None:
    (folder / "text").write_text("Dear diary,\n")


def a_truncated_graph(repository: Repository, folder: Path) -> None:
    content = repository.graph.read_bytes()
    (folder / "truncated.qg").write_bytes(content[: len(content) // 2])


def a_text_file_named_as_a_graph(repository: Repository, folder: Path) -> None:
    (folder / "text.qg").write_text("Dear diary,\n")


def a_graph_with_another_name(repository: Repository, folder: Path) -> None:
    shutil.copy(repository.graph, folder / "graph.zip")


def an_empty_graph(repository: Repository, folder: Path) -> None:
    MockPipeline(exposures=0).make(folder / "other")


def another_repository(repository: Repository, folder: Path) -> None:
    MockPipeline().make(folder / "other")


def an_empty_repository(
    repository: Repository, folder: Path, dimensions: DimensionConfig | None = None
) -> None:
    root = str(folder / "other")
    Butler.makeRepo(root, dimensionConfig=dimensions)
    Butler.from_config(root, writeable=True).close()  # the first to open it makes a table


def another_universe(repository: Repository, folder: Path) -> None:
    dimensions = DimensionConfig()
    dimensions["namespace"] = "elsewhere"
    an_empty_repository(repository, folder, dimensions)


def a_task_that_is_not_installed(repository: Repository, folder: Path) -> None:
    (folder / "far_away.py").write_text(
        "from lsst.pipe.base.tests.mocks import DynamicTestPipelineTask\n"
        "class RemoteTask(DynamicTestPipelineTask):\n"
        "    pass\n"
    )
    sys.path.insert(0, str(folder))
    try:
        task = importlib.import_module("far_away").RemoteTask
        MockPipeline(task_classes={"isr": task}).make(folder / "other")
    finally:
        sys.path.remove(str(folder))
        del sys.modules["far_away"]


def a_collection(name: str, kind: CollectionType) -> Callable[[Repository, Path], None]:
    def register(repository: Repository, folder: Path) -> None:
        with Butler.from_config(str(repository.root), writeable=True) as butler:
            butler.collections.register(name, kind)

    return register


def a_conflicting_dataset_type(repository: Repository, folder: Path) -> None:
    with Butler.from_config(str(repository.root), writeable=True) as butler:
        dimensions = butler.dimensions.conform(["exposure", "detector"])
        butler.registry.registerDatasetType(DatasetType("calibrated", dimensions, "StructuredDataDict"))


def all_dataset_types(repository: Repository, folder: Path) -> None:
    from pipetask.graph.file import GraphFile

    with (
        Butler.from_config(str(repository.root), writeable=True) as butler,
        GraphFile.of(repository.graph) as graph,
    ):
        graph.pipeline.register_dataset_types(butler)


def all_dataset_types_and_an_odd_chain(repository: Repository, folder: Path) -> None:
    all_dataset_types(repository, folder)
    a_collection("other_run", CollectionType.RUN)(repository, folder)
    a_collection("u/out", CollectionType.CHAINED)(repository, folder)
    with Butler.from_config(str(repository.root), writeable=True) as butler:
        butler.collections.redefine_chain("u/out", ["other_run"])


def a_run_that_quanta_have_written_to(repository: Repository, folder: Path) -> None:
    """Register an output of a quantum, and nothing else."""
    with Butler.from_config(str(repository.root), writeable=True) as butler:
        butler.collections.register("u/out/run", CollectionType.RUN)
        raw = butler.registry.getDatasetType("raw")
        butler.registry.registerDatasetType(DatasetType("post_isr", raw.dimensions, raw.storageClass_name))
        where = {"instrument": "Mock", "exposure": 0, "detector": 0}
        butler.registry.insertDatasets("post_isr", [where], run="u/out/run")


@dataclass(frozen=True)
class Case:
    """A way to go wrong."""

    says: str
    """What the line has, in parts between ``|``."""

    more: str = ""
    """Arguments besides the usual ones."""

    prepare: Callable[[Repository, Path], None] = nothing
    butler: str = "{root}"
    graph: str = "{graph}"
    register: bool = True
    """Whether ``--register-dataset-types`` is given."""

    code: int = 1

    def arguments(self, places: Mapping[str, object]) -> list[str]:
        words = ["run", "-b", self.butler, "-g", self.graph, *self.more.split()]
        words += ["--register-dataset-types"] * self.register
        return [word.format_map(places) for word in words]


UNKNOWN = str(uuid.UUID(int=7))

REGISTERED_RUN = a_collection("u/out/run", CollectionType.RUN)

CASES = {
    "no repository": Case("no repository at|{tmp}/nowhere|check the name", butler="{tmp}/nowhere"),
    "a folder for a repository": Case(
        "{tmp}/empty|not a butler repository|check the name", prepare=an_empty_folder, butler="{tmp}/empty"
    ),
    "a file for a repository": Case(
        "{tmp}/text|does not open|check", prepare=a_text_file, butler="{tmp}/text"
    ),
    "no graph": Case("no graph at|{tmp}/none.qg|check the name", graph="{tmp}/none.qg"),
    "a truncated graph": Case(
        "{tmp}/truncated.qg|truncated|build it again", prepare=a_truncated_graph, graph="{tmp}/truncated.qg"
    ),
    "a text file for a graph": Case(
        "{tmp}/text.qg|not a quantum graph|build it again",
        prepare=a_text_file_named_as_a_graph,
        graph="{tmp}/text.qg",
    ),
    "a graph with a wrong extension": Case(
        "{tmp}/graph.zip|'.zip'|'.qg'", prepare=a_graph_with_another_name, graph="{tmp}/graph.zip"
    ),
    "an empty graph": Case(
        "{tmp}/other/graph.qg|no quanta", prepare=an_empty_graph, graph="{tmp}/other/graph.qg"
    ),
    "a graph whose inputs are not there": Case(
        "{graph}|'input_chain'|{tmp}/other|another repository",
        prepare=an_empty_repository,
        butler="{tmp}/other",
    ),
    "a graph for a repository that looks the same": Case(
        "{tmp}/other/graph.qg|needs dataset raw|another repository",
        prepare=another_repository,
        graph="{tmp}/other/graph.qg",
    ),
    "a graph for another universe": Case(
        "{graph}|'daf_butler'|'elsewhere'|build the graph", prepare=another_universe, butler="{tmp}/other"
    ),
    "a task that cannot be imported": Case(
        "{tmp}/other/graph.qg|far_away|PYTHONPATH",
        prepare=a_task_that_is_not_installed,
        graph="{tmp}/other/graph.qg",
        butler="{tmp}/other",
    ),
    "another output run": Case("u/other|u/out/run|leave", "--output-run u/other"),
    "a run that exists": Case(
        "'u/out/run' exists|--extend-run",
        "-o u/out -i input_chain",
        prepare=a_run_that_quanta_have_written_to,
    ),
    "a run that is no run": Case(
        "'u/out/run'|TAGGED|not RUN", prepare=a_collection("u/out/run", CollectionType.TAGGED)
    ),
    "an output with the name of the run": Case(
        "'u/out/run'|also|update-graph-run", "-o u/out/run -i input_chain"
    ),
    "an output that is no chain": Case("'input_run'|RUN|not CHAINED", "-o input_run"),
    "an input that does not exist": Case("--input|'nowhere'", "-o u/out -i input_chain,nowhere"),
    "an output with other inputs": Case(
        "'u/out'|input_run|--rebase", "-o u/out -i input_chain", prepare=all_dataset_types_and_an_odd_chain
    ),
    "no chain to replace a run in": Case("--replace-run|--output", "-o u/out -i input_chain --replace-run"),
    "dataset types that are not registered": Case(
        "calibrated|--register-dataset-types", "-o u/out -i input_chain", register=False
    ),
    "a dataset type that is registered otherwise": Case(
        "calibrated|registered otherwise|StructuredDataDict in the repository",
        "-o u/out -i input_chain",
        prepare=a_conflicting_dataset_type,
    ),
    "a dataset type that is registered otherwise, without registration": Case(
        "calibrated|registered otherwise", "-o u/out", prepare=a_conflicting_dataset_type, register=False
    ),
    "skipping what was not done": Case("'u/out/run' does not exist|now", "--registry-pre-update skip"),
    "skipping with half of it done": Case(
        "isr_config|now",
        "--registry-pre-update skip",
        prepare=lambda *where: (REGISTERED_RUN(*where), all_dataset_types(*where))[0],
    ),
    "a quantum that is not there": Case(f"{{graph}}|{UNKNOWN}", f"--qgraph-node-id {UNKNOWN}"),
    # What the command line alone shows to be wrong.
    "half a UUID": Case("--qgraph-node-id|badly formed", f"--qgraph-node-id {UNKNOWN[:9]}", code=2),
    "no processes": Case("-j|0", "-j 0", code=2),
    "processes that are no number": Case("-j|'x'", "-j x", code=2),
    "no time": Case("--timeout|0", "--timeout 0", code=2),
    "a misspelt mode": Case("in_proces|did you mean 'in-process'", "--mode in_proces", code=2),
    "a mode that cannot be imported": Case("no_such.Mode|cannot be imported", "--mode no_such.Mode", code=2),
    "a mode that is not in its module": Case(
        "pipetask.executors:No|cannot be", "--mode pipetask.executors:No", code=2
    ),
    "a mode that is no executor": Case(
        "OrderedDict|QuantumExecutor", "--mode collections.OrderedDict", code=2
    ),
    "extend and replace": Case("--extend-run|--replace-run", "-o u/out --extend-run --replace-run", code=2),
    "prune and not replace": Case(
        "--prune-replaced|--replace-run", "-o u/out --prune-replaced purge", code=2
    ),
    "a strange way to prune": Case("--prune-replaced|purge", "--replace-run --prune-replaced burn", code=2),
    "rebase onto another name": Case("--rebase|output run", "-o v --output-run u/out/run --rebase", code=2),
    "two processes in one": Case("in-process|-j", "--mode in-process -j 2", code=2),
    "a timeout in this process": Case("--timeout|multiprocess", "--mode in-process --timeout 9", code=2),
    "a debugger in two processes": Case("--pdb|-j 1", "--pdb -j 2", code=2),
    "a plan and no dry run": Case("--plan|dry-run", "--plan {tmp}/plan", code=2),
    "a summary in no folder": Case("--summary|{tmp}/nowhere", "--summary {tmp}/nowhere/file", code=2),
    "memory without a unit": Case("--memory-per-quantum|'much'", "--memory-per-quantum much", code=2),
}


@pytest.mark.parametrize("name", CASES)
def test_one_line_says_it_and_nothing_is_changed(name: str, repository: Repository, tmp_path: Path) -> None:
    case = CASES[name]
    folder = tmp_path / "more"
    folder.mkdir()
    case.prepare(repository, folder)
    places = {"root": repository.root, "graph": repository.graph, "tmp": folder}
    roots = [root for root in (repository.root, folder / "other") if root.exists()]
    before = [(read_registry(root), read_files(root)) for root in roots]
    assert before[0][0]["collection"], "the repository holds something"

    finished = run_forked(*case.arguments(places))

    assert_one_line(finished, case.code, *case.says.format_map(places).split("|"))
    assert [(read_registry(root), read_files(root)) for root in roots] == before


def assert_one_line(finished: Finished, code: int, *says: str) -> None:
    assert finished.code == code, finished.err
    assert finished.out == ""
    line = finished.line
    for part in says:
        assert part.lower() in line.lower()


@pytest.mark.parametrize(
    ("level", "more", "shown"),
    [
        ("DEBUG", ["-g", "{tmp}/none.qg"], True),
        ("lsst=WARNING,pipetask=trace", ["-g", "{tmp}/none.qg"], True),
        ("DEBUG", ["-g", "{graph}", "--extend-run", "--replace-run"], True),
        ("WARNING", ["-g", "{tmp}/DEBUG.qg"], False),
    ],
)
def test_traceback_is_shown_at_debug_level(
    level: str, more: list[str], shown: bool, repository: Repository, tmp_path: Path
) -> None:
    words = [word.format(tmp=tmp_path, graph=repository.graph) for word in more]
    finished = run_pipetask("--log-level", level, "run", "-b", str(repository.root), *words)
    assert finished.code != 0
    *before, line = finished.err.splitlines()
    assert line.startswith("pipetask: ")
    assert bool(before) is shown
    assert ("Traceback" in finished.err) is shown


ODD = 'it\'s "odd", in two\nlines, and größer 星'


def test_odd_names_are_names_like_any_other(make_repository: MakeRepository, tmp_path: Path) -> None:
    repository = make_repository(name=ODD)
    summary = tmp_path / f"{ODD}.json"
    finished = run_pipetask(*repository.arguments("-j", "2", "--summary", str(summary)))
    assert finished.code == 0, finished.err
    assert "10 succeeded" in finished.err
    assert summary.stat().st_size
    assert "u/out" in {row["name"] for row in read_registry(repository.root)["collection"]}


@pytest.mark.parametrize("missing", ["repository", "graph"])
def test_errors_about_odd_names_fit_on_a_line(missing: str, repository: Repository, tmp_path: Path) -> None:
    odd = str(tmp_path / f"{ODD}.qg")
    places = (odd, str(repository.graph)) if missing == "repository" else (str(repository.root), odd)
    finished = run_pipetask("run", "-b", places[0], "-g", places[1])
    assert_one_line(finished, 1, f"no {missing} at", "größer 星")


# Repositories that cannot be written to.


def without_privilege() -> list[str]:
    """Return a prefix for a command that makes permissions count even for root."""
    if os.geteuid() != 0:
        return []
    return ["setpriv", "--bounding-set", "-dac_override,-dac_read_search,-fowner"]


def run_under(prefix: list[str], *arguments: str) -> Finished:
    command = [*prefix, sys.executable, "-m", "pipetask.cli", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=environment(), check=False)
    return Finished(done.returncode, done.stdout, done.stderr, 0.0)


def read_only(path: Path) -> None:
    for each in [path, *path.rglob("*")]:
        each.chmod(0o555 if each.is_dir() else 0o444)


def writeable_again(path: Path) -> None:
    for each in [path, *path.rglob("*")]:
        each.chmod(0o755 if each.is_dir() else 0o644)


def works(*command: str) -> bool:
    return (
        shutil.which(command[0]) is not None
        and subprocess.run(command, capture_output=True, check=False).returncode == 0
    )


@pytest.fixture
def can_be_read_only(tmp_path: Path) -> None:
    (tmp_path / "fixed").mkdir(mode=0o555)
    prefix = without_privilege()
    if not works(*prefix, "true") or works(*prefix, "touch", str(tmp_path / "fixed" / "new")):
        pytest.skip("NOT TESTED, read-only repositories: permissions do not bind this user, or setpriv fails")


@pytest.mark.usefixtures("can_be_read_only")
@pytest.mark.parametrize("database", ["read-only", "writeable"])
def test_read_only_repository(database: str, repository: Repository) -> None:
    before = read_registry(repository.root), read_files(repository.root)
    read_only(repository.root)
    if database == "writeable":
        (repository.root / "gen3.sqlite3").chmod(0o644)
    try:
        finished = run_under(without_privilege(), *repository.arguments())
    finally:
        writeable_again(repository.root)
    assert_one_line(finished, 1, str(repository.root), "writ", "permission")
    assert (read_registry(repository.root), read_files(repository.root)) == before


def test_dry_run_of_a_read_only_repository(can_be_read_only: None, repository: Repository) -> None:
    read_only(repository.root)
    try:
        finished = run_under(without_privilege(), *repository.arguments("--mode", "dry-run"))
    finally:
        writeable_again(repository.root)
    assert finished.code == 0, finished.err
    assert len(finished.out.splitlines()) == 10


def test_read_only_repository_is_noticed_before_a_graph_is_built(
    can_be_read_only: None, tmp_path: Path
) -> None:
    SHAPES["exposures"].make(tmp_path)
    root, pipeline, graph = (tmp_path / name for name in ("repo", "pipeline.yaml", "graph.qg"))
    words = [
        "run",
        "-b",
        str(root),
        "-p",
        str(pipeline),
        "-i",
        "input_chain",
        "-o",
        "u/out",
        "-q",
        str(graph),
    ]
    read_only(root)
    try:
        finished = run_under(without_privilege(), *words)
    finally:
        writeable_again(root)
    assert_one_line(finished, 1, str(root), "writ", "permission")
    assert not graph.exists()


SMALL_DISK = """
set -e
mount -t tmpfs -o size={kilobytes}k tmpfs {disk}
cp -r {root} {disk}/repo
{script}
cp -r {disk}/repo {after}
"""


class SmallDisk:
    """Runs shell lines with the repository on a file system of its own, which no other process sees."""

    def __init__(self, folder: Path):
        self.disk, self.after = folder / "disk", folder / "after"
        self.disk.mkdir()
        self.namespace = ["unshare", "--mount", *(["--map-root-user"] if os.geteuid() else []), "sh", "-c"]
        if not works(*self.namespace, f"mount -t tmpfs tmpfs {self.disk}"):
            pytest.skip("NOT TESTED, full disks: no file system can be mounted in a namespace here")

    def run(self, repository: Repository, free: int, script: str) -> subprocess.CompletedProcess[str]:
        """Run a script with so many kilobytes free; the repository is left in ``after``."""
        used = subprocess.run(["du", "-sk", repository.root], capture_output=True, text=True, check=True)
        kilobytes = int(used.stdout.split()[0]) + free
        text = SMALL_DISK.format(
            kilobytes=kilobytes, disk=self.disk, root=repository.root, script=script, after=self.after
        )
        return subprocess.run(
            [*self.namespace, text],
            capture_output=True,
            text=True,
            env=environment(),
            check=True,
        )

    def command(self, repository: Repository, *more: str) -> str:
        moved = Repository(self.disk / "repo", repository.graph)
        return " ".join([sys.executable, "-m", "pipetask.cli", *moved.arguments(*more)])


@pytest.fixture
def small_disk(tmp_path: Path) -> SmallDisk:
    return SmallDisk(tmp_path)


def test_full_disk_at_the_start(small_disk: SmallDisk, repository: Repository) -> None:
    fill = f"dd if=/dev/zero of={small_disk.disk}/filler bs=4k 2> /dev/null || true"
    command = small_disk.command(repository)
    done = small_disk.run(repository, 500, f"{fill}\n{command} || echo code $?")
    assert_one_line(Finished(1, "", done.stderr, 0.0), 1, str(small_disk.disk), "no space left", "make room")
    assert done.stdout == "code 1\n"
    assert read_registry(small_disk.after) == read_registry(repository.root)
    assert read_files(small_disk.after) == read_files(repository.root)


@pytest.mark.parametrize("processes", [1, 2])
def test_disk_that_fills_up_while_quanta_run(
    processes: int, small_disk: SmallDisk, make_repository: MakeRepository
) -> None:
    repository = make_repository(MockPipeline(exposures=14, detectors=3))
    command = small_disk.command(repository, "-j", str(processes))
    more_space = f"mount -o remount,size=100m {small_disk.disk}"
    again = f"{command} --extend-run --clobber-outputs"
    done = small_disk.run(
        repository, 1100, f"{command} || echo code $?\n{more_space}\n{again} && echo code $?"
    )
    assert done.stdout == "code 1\ncode 0\n", done.stderr
    first, _, second = done.stderr.partition("\ngo on: ")
    assert "No space left on device" in first or "disk is full" in first
    assert "Traceback" not in done.stderr
    assert "succeeded: " in second
    registry = read_registry(small_disk.after)
    counts = {
        name: sum(row["dataset_type_id"] == name for row in registry["dataset"])
        for name in ("calibrated", "gather_log")
    }
    assert counts == {"calibrated": 42, "gather_log": 14}
    assert len(registry["file_datastore_records"]) == len(registry["dataset"])
