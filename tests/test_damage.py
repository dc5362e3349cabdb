"""Files that are lost or cut, and runs that are killed while they write: the same command gets to the same end."""

from __future__ import annotations

import errno
import json
import os
import random
import shutil
import signal
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from lsst.daf.butler import Butler, DatasetRef
from lsst.resources.file import FileResourcePath

from forked import run_forked
from pipetask.batch.run_directory import RunDirectory
from pipetask.graph.enumeration import EnumeratedGraph
from pipetask.graph.file import GraphFile
from pipetask.options.execution import OutputButler
from pipetask.outcome import Status
from pipetask.repository.access import open_datastore
from pipetask.repository.damage import find_damage
from pipetask.runner import Ticket
from pipetask.runner.spec import ButlerRunnerSpec
from pipetask.storage.files import local_paths
from pipetask.testing import MockPipeline
from repository_dump import read_files

from conftest import Finished, Repository, run_pipetask  # isort: skip
from test_equivalence import sky_survey  # isort: skip
from test_runs import state  # isort: skip

pytestmark = pytest.mark.slow

MakeRepository = Callable[..., Repository]
RUN = "u/out/run"
BUTLERS = ("quantum-backed", "full")

HARM: dict[str, Callable[[Path], object]] = {
    "emptied": lambda path: path.write_bytes(b""),
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-10]),
    "deleted": Path.unlink,
}


@pytest.fixture(scope="module")
def undisturbed(
    repository_template: Callable[[MockPipeline], Path], tmp_path_factory: pytest.TempPathFactory
) -> Repository:
    """Return a repository in which a graph was run, to be copied."""
    root = tmp_path_factory.mktemp("undisturbed") / "repo"
    shutil.copytree(repository_template(MockPipeline()), root)
    repository = Repository(root, root / "graph.qg")
    assert run_forked(*repository.arguments()).code == 0
    return repository


@pytest.fixture
def copied(undisturbed: Repository, tmp_path: Path) -> Repository:
    root = Path(shutil.copytree(undisturbed.root, tmp_path / "repo"))
    return Repository(root, root / "graph.qg")


def assert_whole(ours: Repository, undisturbed: Repository) -> None:
    """Check that nothing tells a repository from one in which nothing went wrong, and that all can be read."""
    assert state(ours.root) == state(undisturbed.root)
    with Butler.from_config(str(ours.root)) as butler:
        refs = butler.query_all_datasets(RUN, limit=None)
        assert find_damage(butler, refs) == []
        for ref in refs:
            assert butler.get(ref) is not None


def outputs(root: Path) -> list[Path]:
    """Return the files of quanta."""
    files = sorted(path for path in (root / RUN).rglob("*") if path.is_file())
    return [
        path for path in files if not path.relative_to(root / RUN).parts[0].endswith(("_config", "packages"))
    ]


def writers(repository: Repository, files: list[Path]) -> set[str]:
    """Return the IDs of the quanta that write some files, and of all that depend on them."""
    lost, found = set(map(str, files)), set[int]()
    root = str(repository.root)
    with GraphFile.of(str(repository.graph)) as graph, open_datastore(root, graph, writeable=False) as butler:
        structure = graph.structure
        for position in structure.depth_first():
            quantum = graph.quantum(structure.quantum_id(position))
            paths = local_paths(butler._datastore, [ref for refs in quantum.outputs.values() for ref in refs])
            if lost.intersection(paths) or found.intersection(structure.needed_by(position)):
                found.add(position)
        return {str(structure.quantum_id(position)) for position in found}


def extend(repository: Repository, *more: str, command: Any = run_forked) -> tuple[Finished, dict[str, str]]:
    """Go on with a run; return what became of each quantum."""
    summary = repository.root.parent / "summary.json"
    done = command(*repository.arguments("--extend-run", "--summary", str(summary), *more))
    quanta = json.loads(summary.read_text())["quanta"]
    return done, {quantum["quantumId"]: quantum["outcome"] for quantum in quanta}


@pytest.mark.parametrize("output_butler", BUTLERS)
@pytest.mark.parametrize("seed", range(3))
def test_what_is_damaged_is_made_again_with_all_that_depends_on_it(
    seed: int, output_butler: str, copied: Repository, undisturbed: Repository
) -> None:
    choose = random.Random(seed)
    files = choose.sample(outputs(copied.root), choose.randint(1, 4))
    expected = writers(copied, files)
    for path in files:
        HARM[choose.choice(list(HARM))](path)
    done, outcomes = extend(copied, "--output-butler", output_butler)
    assert done.code == 0, done.err
    assert (
        f"{len(files)} file{' is' if len(files) == 1 else 's are'} missing or not as large as recorded"
        in done.err
    )
    assert {id for id, outcome in outcomes.items() if outcome == "succeeded"} == expected
    assert_whole(copied, undisturbed)


def test_the_quantum_is_found_where_data_ids_do_not_tell_it(tmp_path: Path) -> None:
    """A quantum of a tract writes a dataset for each of its patches."""
    root = tmp_path / "repo"
    sky_survey(root)
    repository = Repository(root, root / "graph.qg")
    assert run_forked(*repository.arguments()).code == 0
    before = state(root)
    lost = next((root / RUN / "objects").rglob("*.json"))
    HARM["emptied"](lost)
    done, outcomes = extend(repository)
    assert done.code == 0, done.err
    assert list(outcomes.values()).count("succeeded") == 1
    assert state(root) == before
    assert json.loads(lost.read_text())


def test_workers_make_it_again_too(copied: Repository, undisturbed: Repository) -> None:
    HARM["deleted"](outputs(copied.root)[0])
    done, outcomes = extend(copied, "-j", "2", command=run_pipetask)
    assert done.code == 0, done.err
    assert "succeeded" in outcomes.values()
    assert_whole(copied, undisturbed)


@pytest.mark.parametrize("rebooted", [True, False])
def test_what_a_reboot_found_unregistered_is_made_again(
    rebooted: bool, copied: Repository, undisturbed: Repository
) -> None:
    """Files that were not registered had perhaps not reached the disk when the power went."""
    kinds = ("isr_log", "isr_metadata", "post_isr")
    mine = [p for p in outputs(copied.root) if p.name.startswith(kinds) and "_r_0_D0" in p.name]
    assert len(mine) == len(kinds)
    with Butler.from_config(str(copied.root), writeable=True) as butler:
        refs = [ref for ref in butler.query_all_datasets(RUN, limit=None) if _path_of(butler, ref) in mine]
        assert len(refs) == 3
        butler._datastore.forget(refs)
        butler.registry.removeDatasets(refs)
    if rebooted:
        data = next(path for path in mine if "post_isr" in str(path))
        os.truncate(data, data.stat().st_size // 2)
        for path in mine:
            os.utime(path, (0, psutil.boot_time() - 1))
    done, outcomes = extend(copied)
    assert done.code == 0, done.err
    assert list(outcomes.values()).count("succeeded") == rebooted
    assert_whole(copied, undisturbed)


def _path_of(butler: Butler, ref: DatasetRef) -> Path:
    return Path(butler.getURI(ref).ospath)


def test_the_registry_can_be_trusted(copied: Repository) -> None:
    HARM["cut"](outputs(copied.root)[0])
    before = state(copied.root)
    done, outcomes = extend(copied, "--trust-registry")
    assert (done.code, set(outcomes.values())) == (0, {"skipped"}), done.err
    assert state(copied.root) == before


def test_a_dry_run_tells_what_is_damaged_and_changes_nothing(copied: Repository) -> None:
    HARM["emptied"](outputs(copied.root)[0])
    before = state(copied.root)
    done = run_forked(*copied.arguments("--extend-run", "--mode", "dry-run"))
    assert "1 file is missing or not as large as recorded" in done.err
    assert "run " in done.out
    assert state(copied.root) == before


@pytest.mark.parametrize("name", ["isr_config", "packages"])
def test_what_a_run_begins_with_is_written_again(
    name: str, copied: Repository, undisturbed: Repository
) -> None:
    (path,) = (path for path in (copied.root / RUN / name).rglob("*") if path.is_file())
    HARM["emptied"](path)
    path.with_name(f"0123456789abcdef{path.stem}.tmp{path.suffix}").touch()  # as a killed attempt leaves it
    done, _ = extend(copied)
    assert done.code == 0, done.err
    assert_whole(copied, undisturbed)


@pytest.mark.parametrize("seed", range(2))
def test_files_that_were_not_on_disk_are_not_registered(
    seed: int, make_repository: MakeRepository, undisturbed: Repository
) -> None:
    """All was written, nothing registered, and then the power went."""
    repository = make_repository()
    assert run_forked(*repository.arguments("--init-only")).code == 0
    choose = random.Random(seed)
    for path in outputs(undisturbed.root):
        copy = repository.root / path.relative_to(undisturbed.root)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes() if choose.random() < 0.9 else b"")
    done, outcomes = extend(repository)
    assert done.code == 0, done.err
    assert set(outcomes.values()) == {"skipped", "succeeded"}
    assert_whole(repository, undisturbed)


def test_a_node_runs_again_what_its_disk_has_lost(
    make_repository: MakeRepository, undisturbed: Repository, tmp_path: Path
) -> None:
    """Its outcomes say that all is done, and a file is not what they say it is."""
    repository, run_dir = make_repository(), str(tmp_path / "batch")
    words = ("--mode", "condor", "--no-submit", "--run-dir", run_dir, "--bundle-size", "100")
    assert run_forked(*repository.arguments(*words)).code == 0
    with RunDirectory(run_dir).index() as index:
        nodes = [node.name for node in index.nodes()]
    assert all(run_forked("run-node", run_dir, node).code == 0 for node in nodes)
    for path in outputs(repository.root)[::5]:
        HARM["emptied"](path)
    assert all(run_forked("run-node", run_dir, node).code == 0 for node in nodes)
    done = run_forked("run-node", run_dir, "final")
    assert done.code == 0, done.err
    assert_whole(repository, undisturbed)


# Killed while it writes.


def dies_at(number: int, *arguments: str) -> Finished:
    """Run the command, which is killed when it is about to move a file to its place for the n-th time."""
    original, count = FileResourcePath.transfer_from, [0]

    def transfer_from(self: FileResourcePath, *args: Any, **options: Any) -> None:
        count[0] += 1
        if count[0] == number:
            os.kill(os.getpid(), signal.SIGKILL)
        original(self, *args, **options)

    with pytest.MonkeyPatch.context() as patch:  # the command runs in a fork of this process
        patch.setattr(FileResourcePath, "transfer_from", transfer_from)
        return run_forked(*arguments)


@pytest.mark.parametrize("output_butler", BUTLERS)
def test_a_run_that_is_killed_at_any_write_gets_to_the_end(
    output_butler: str, make_repository: MakeRepository
) -> None:
    pipeline = MockPipeline(1, 1)
    whole, ours = make_repository(pipeline, name="whole"), make_repository(pipeline)
    for repository in (whole, ours):  # records of found files are to be like those of written ones
        config = repository.root / "butler.yaml"
        config.write_text(config.read_text().replace("datastore:\n", "datastore:\n  checksum: true\n", 1))
    assert run_forked(*whole.arguments()).code == 0
    assert run_forked(*ours.arguments("--init-only")).code == 0
    command = ours.arguments("--extend-run", "--output-butler", output_butler)
    left = 0
    for number in (1, 2, 3, 1, 3):  # of output, metadata and log of a quantum
        assert dies_at(number, *command).code == -signal.SIGKILL
        left += any(".tmp" in path.name for path in outputs(ours.root))
    assert left, "temporary files were left behind"
    done = run_forked(*command)
    assert done.code == 0, done.err
    assert_whole(ours, whole)
    assert all(checksums(whole).values())
    assert checksums(ours) == checksums(whole)


def checksums(repository: Repository) -> dict[str, bool]:
    """Return for each dataset whether it has a checksum."""
    with Butler.from_config(str(repository.root)) as butler:
        refs = butler.query_all_datasets(RUN, limit=None)
        (data,) = butler._datastore.export_records(refs).values()
        names = {ref.id: f"{ref.datasetType.name} {ref.dataId}" for ref in refs}
        infos = {id: info for id, tables in data.records.items() for each in tables.values() for info in each}
        assert infos
        return {names[id]: info.checksum is not None for id, info in infos.items()}


# On disk before it is registered.


def test_nothing_is_registered_that_the_disk_does_not_take(
    make_repository: MakeRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(folders: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr("pipetask.repository.registrar.sync_file_systems", fail)
    repository = make_repository(MockPipeline(1, 1))
    failed = run_forked(*repository.arguments())
    assert failed.code == 1
    assert "could not be registered: [Errno 5] Input/output error" in failed.err
    with Butler.from_config(str(repository.root)) as butler:
        names = {ref.datasetType.name for ref in butler.query_all_datasets(RUN, limit=None)}
    assert "isr_config" in names
    assert "isr_metadata" not in names
    done, outcomes = extend(repository, "--durability", "none")
    assert (done.code, set(outcomes.values())) == (0, {"skipped"}), done.err


# Without a registry.


@pytest.fixture(scope="module")
def undisturbed_qbb(
    repository_template: Callable[[MockPipeline], Path], tmp_path_factory: pytest.TempPathFactory
) -> Repository:
    """Return a repository in which a graph was run without the registry, to be copied."""
    root = tmp_path_factory.mktemp("undisturbed") / "qbb"
    shutil.copytree(repository_template(MockPipeline()), root)
    for command in QBB:
        assert run_forked(command, str(root), str(root / "graph.qg")).code == 0
    return Repository(root, root / "graph.qg")


QBB = ("pre-exec-init-qbb", "run-qbb")


@pytest.mark.parametrize("seed", range(3))
def test_without_a_registry_what_is_lost_is_made_again(
    seed: int, undisturbed_qbb: Repository, tmp_path: Path
) -> None:
    root = Path(shutil.copytree(undisturbed_qbb.root, tmp_path / "repo"))
    ours = Repository(root, root / "graph.qg")
    choose = random.Random(seed)
    files = choose.sample(outputs(root), choose.randint(1, 4))
    expected = writers(ours, files)
    for path in files:
        HARM[choose.choice(["emptied", "deleted"])](path)
    (config,) = (path for path in (root / RUN / "isr_config").rglob("*") if path.is_file())
    HARM["emptied"](config)
    summary = tmp_path / "summary.json"
    assert "planned" in run_forked("run-qbb", str(root), str(ours.graph), "--mode", "dry-run").err
    for command, more in zip(QBB, ((), ("--summary", str(summary))), strict=True):
        done = run_forked(command, str(root), str(ours.graph), *more)
        assert done.code == 0, done.err
    quanta = json.loads(summary.read_text())["quanta"]
    assert {q["quantumId"] for q in quanta if q["outcome"] == "succeeded"} == expected
    assert read_files(root).keys() == read_files(undisturbed_qbb.root).keys()
    assert config.read_bytes() == (undisturbed_qbb.root / config.relative_to(root)).read_bytes()
    assert all(path.stat().st_size for path in outputs(root))


def test_a_run_without_a_registry_that_is_killed_at_any_write_gets_to_the_end(
    make_repository: MakeRepository,
) -> None:
    pipeline = MockPipeline(1, 1)
    whole, ours = make_repository(pipeline, name="whole"), make_repository(pipeline)
    for command in QBB:
        assert run_forked(command, str(whole.root), str(whole.graph)).code == 0
        for number in (1, 2, 3):
            assert dies_at(number, command, str(ours.root), str(ours.graph)).code == -signal.SIGKILL
        done = run_forked(command, str(ours.root), str(ours.graph))
        assert done.code == 0, done.err
    assert read_files(ours.root).keys() == read_files(whole.root).keys()
    assert all(path.stat().st_size for path in outputs(ours.root))


def test_jobs_force_their_outputs_to_disk_themselves(tmp_path: Path) -> None:
    spec = ButlerRunnerSpec(graph="graph.qg", butler_config="repo", run=RUN, collections=())
    assert not spec.sync_outputs, "the registrar does it for many quanta"
    assert spec.moved(str(tmp_path)).sync_outputs
    assert replace(spec, output_butler=OutputButler.FULL).sync_outputs
    assert not replace(spec, durable=False).moved(str(tmp_path)).sync_outputs


@pytest.mark.parametrize("durable", [True, False])
def test_metadata_is_stored_when_other_outputs_are_on_disk(
    make_repository: MakeRepository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, durable: bool
) -> None:
    repository = make_repository(MockPipeline(1, 1))
    spec = ButlerRunnerSpec(
        str(repository.graph),
        str(repository.root),
        RUN,
        (RUN, "input_chain"),
        registry=False,
        durable=durable,
    )
    synced: list[list[str]] = []
    for module in ("worker_butler", "quantum_runner"):
        monkeypatch.setattr(
            f"pipetask.runner.{module}.sync_files",
            lambda paths: synced.append([path for path in paths if Path(path).exists()]),
        )
    file = GraphFile(str(repository.graph))
    with closing(replace(spec, elsewhere=True).open()) as runner:
        quantum = next(iter(EnumeratedGraph(file.structure, file)))
        ticket = Ticket(quantum.id, quantum.quantum_id.bytes)
        runner.load([ticket])
        assert runner.run(ticket).status is Status.SUCCEEDED
    if not durable:
        assert synced == []
        return
    before, after = synced
    assert before
    assert not [path for path in before if "isr_metadata" in path]
    assert [path for path in after if "isr_metadata" in path]
    assert set(before) < set(after)
