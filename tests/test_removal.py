"""`pipetask purge` and `cleanup` remove what they have listed, and nothing else."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lsst.daf.butler import Butler, CollectionType, DatasetType, Timespan

from forked import run_forked
from peer import assert_same_repository, peer_session
from pipetask.errors import PipetaskError
from pipetask.repository.removal import Cleanup, Purge, Removal, RemovalPlan, carry_out
from repository_dump import read_chain, read_collections, read_files, read_registry

from conftest import Finished, Repository, start_pipetask  # isort: skip

# Repositories.

RUN, TAGGED, CALIBRATION = CollectionType.RUN, CollectionType.TAGGED, CollectionType.CALIBRATION
Layout = Mapping[str, CollectionType | Sequence[str]]
"""Collections in the order in which they are made: a type, or what is in a chain."""


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a repository with two dataset types and without collections."""
    root = tmp_path_factory.mktemp("removal") / "repo"
    Butler.makeRepo(str(root))
    with Butler.from_config(str(root), writeable=True) as butler:
        insert = butler.registry.insertDimensionData
        insert("instrument", {"name": "Mock", "detector_max": 9})
        insert("detector", *({"instrument": "Mock", "id": i, "full_name": str(i)} for i in range(2)))
        dimensions = butler.dimensions.conform(["detector"])
        butler.registry.registerDatasetType(DatasetType("image", dimensions, "StructuredDataDict"))
        bias = DatasetType("bias", dimensions, "StructuredDataDict", isCalibration=True)
        butler.registry.registerDatasetType(bias)
    return root


@pytest.fixture(scope="module")
def template(bare: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[Layout], Path]:
    """Return a function that makes each kind of repository once."""
    made: dict[str, Path] = {}

    def template(layout: Layout) -> Path:
        key = repr(layout)
        if key not in made:
            made[key] = Path(shutil.copytree(bare, tmp_path_factory.mktemp("removal") / "repo"))
            with Butler.from_config(str(made[key]), writeable=True) as butler:
                register(butler, layout)
        return made[key]

    return template


@pytest.fixture
def make(template: Callable[[Layout], Path], tmp_path: Path) -> Callable[[Layout], Path]:
    """Return a function that makes a repository for one test."""
    return lambda layout: Path(shutil.copytree(template(layout), tmp_path / "repo"))


def register(butler: Butler, layout: Layout, *, filled: bool = True) -> None:
    for name, content in layout.items():
        if isinstance(content, CollectionType):
            butler.collections.register(name, content)
        else:
            butler.collections.register(name, CollectionType.CHAINED)
            butler.collections.redefine_chain(name, content)
        if content is RUN and filled:
            for detector in range(2):
                butler.put({"name": name}, "image", instrument="Mock", detector=detector, run=name)


def content(root: Path) -> tuple[Any, Any]:
    return read_registry(root), read_files(root)


def runs_with_files(root: Path) -> set[str]:
    """Return the runs that the datastore has files of, by the names of folders."""
    paths = (Path(path) for path, size in read_files(root).items() if size is not None)
    return {str(path.parent.parent) for path in paths if path.parent.name == "image"}


SIMPLE: Layout = {
    "inputs": RUN,
    "u/out/2": RUN,
    "u/out/1": RUN,
    "u/out": ["u/out/2", "u/out/1", "inputs"],
    "u/out/old": RUN,
    "u/out/older": RUN,
    "u/out/tag": TAGGED,
    "other": ["inputs"],
}
NESTED: Layout = {
    "u/out/part/1": RUN,
    "u/out/part/2": RUN,
    "u/out/part": ["u/out/part/1", "u/out/part/2"],
    "u/out/1": RUN,
    "elsewhere/1": RUN,
    "elsewhere": ["elsewhere/1"],
    "u/out": ["u/out/1", "u/out/part", "elsewhere"],
}
NEIGHBOURS: Layout = {
    "u/out/1": RUN,
    "u/out": ["u/out/1"],
    "u/out/old": RUN,
    "u/out2/1": RUN,
    "u/out2": ["u/out2/1"],
    "u/output": RUN,
}


# As LSST's command does it.


@dataclass(frozen=True)
class Case:
    """A command, and what it removes."""

    layout: Layout
    words: str
    gone: set[str]
    code: int = 0


SAME = {
    "purge": Case(SIMPLE, "purge u/out", {"u/out", "u/out/1", "u/out/2"}),
    "purge a nested chain": Case(NESTED, "purge u/out", {"u/out", "u/out/1", "u/out/part"}),
    "purge recursively": Case(
        NESTED,
        "purge u/out --recursive",
        {"u/out", "u/out/1", "u/out/part", "u/out/part/1", "u/out/part/2"},
    ),
    "purge an empty chain": Case({"u/out": [], "u/out/1": RUN}, "purge u/out", {"u/out"}),
    "purge a member whose name only begins alike": Case(
        {"u/out_1": RUN, "u/out": ["u/out_1"], "x": RUN}, "purge u/out", {"u/out", "u/out_1"}
    ),
    "cleanup": Case(SIMPLE, "cleanup u/out", {"u/out/old", "u/out/older", "u/out/tag"}),
    "cleanup of what is clean": Case({"u/out/1": RUN, "u/out": ["u/out/1"]}, "cleanup u/out", set()),
    "purge of what is not there": Case(SIMPLE, "purge u/put", set(), code=1),
    "purge of a run": Case(SIMPLE, "purge u/out/1", set(), code=1),
    "cleanup of a run": Case(SIMPLE, "cleanup u/out/1", set(), code=1),
    "purge of a chain in a chain": Case(NESTED, "purge elsewhere", set(), code=1),
    "purge of a run in two chains": Case({**SIMPLE, "more": ["u/out/1"]}, "purge u/out", set(), code=1),
    "purge of a run in a chain and in one inside it": Case(
        {"u/out/1": RUN, "u/out/part": ["u/out/1"], "u/out": ["u/out/1", "u/out/part"]},
        "purge u/out --recursive",
        set(),
        code=1,
    ),
}


@pytest.fixture(scope="module")
def peer() -> Iterator[Callable[..., Finished]]:
    with peer_session() as run:
        yield run


def arguments(words: str, root: Path, *more: str) -> list[str]:
    return [*words.split(), "-b", str(root), *more]


def listing(text: str) -> dict[str, set[str]]:
    """Return what a text lists, by title."""
    rows = [line.partition(": ") for line in text.splitlines() if line.startswith("  ")]
    return {title.strip(): set(filter(None, names.split(", "))) for title, _, names in rows}


@pytest.mark.parametrize("name", SAME)
def test_repository_is_as_the_peer_leaves_it(
    name: str, make: Callable[[Layout], Path], peer: Callable[..., Finished], tmp_path: Path
) -> None:
    case = SAME[name]
    ours = make(case.layout)
    theirs = Path(shutil.copytree(ours, tmp_path / "theirs"))
    before = content(ours)
    finished = run_forked(*arguments(case.words, ours, "--no-confirm"))
    peer_finished = peer(*arguments(case.words, theirs, "--no-confirm"))
    assert (finished.code, peer_finished.code) == (case.code, case.code), finished.err + peer_finished.err
    assert read_collections(ours) == set(case.layout) - case.gone
    assert_same_repository(ours, theirs)
    assert listing(finished.out) == listing(peer_finished.err)
    if case.gone:
        assert finished.out.splitlines()[0] == "Removed:"
        assert set().union(*listing(finished.out).values()) == case.gone
    else:
        assert content(ours) == before


def test_runs_go_with_their_files_and_nothing_else_does(make: Callable[[Layout], Path]) -> None:
    root = make(SIMPLE)
    assert runs_with_files(root) == {name for name in SIMPLE if SIMPLE[name] is RUN}
    assert run_forked(*arguments("purge u/out", root, "--no-confirm")).code == 0
    assert runs_with_files(root) == {"inputs", "u/out/old", "u/out/older"}
    assert run_forked(*arguments("cleanup other", root, "--no-confirm")).code == 0
    assert runs_with_files(root) == {"inputs", "u/out/old", "u/out/older"}
    registry = read_registry(root)
    assert {row["run_id"] for row in registry["dataset"]} == {"inputs", "u/out/old", "u/out/older"}
    assert len(registry["file_datastore_records"]) == 6
    assert "dataset_location_trash" not in registry
    with Butler.from_config(str(root)) as butler:
        assert butler.get("image", instrument="Mock", detector=1, collections="other") == {"name": "inputs"}


@pytest.mark.slow
def test_outputs_of_a_run_are_gone_after_a_purge(repository: Repository) -> None:
    before = content(repository.root)
    assert run_forked(*repository.arguments()).code == 0
    files = read_files(repository.root)
    assert sum("u/out/run" in path and size is not None for path, size in files.items()) > 30
    finished = run_forked("purge", "-b", str(repository.root), "u/out", "--no-confirm")
    assert finished.code == 0, finished.err
    registry, files = content(repository.root)
    assert {path: size for path, size in files.items() if size is not None} == {
        path: size for path, size in before[1].items() if size is not None
    }
    for table in ("collection", "collection_chain", "run", "dataset", "file_datastore_records"):
        assert registry[table] == before[0][table]


# Where LSST's command errs.

NOT_AS_THE_PEER = {
    "cleanup spares neighbours": Case(NEIGHBOURS, "cleanup u/out", {"u/out/old"}),
    "cleanup spares what is in a nested chain": Case(
        {**NESTED, "u/out/old": RUN}, "cleanup u/out", {"u/out/old"}
    ),
    "cleanup spares what another chain holds": Case(
        {**SIMPLE, "held": ["u/out/old"]}, "cleanup u/out", {"u/out/older", "u/out/tag"}
    ),
    "cleanup takes chains with what is in them": Case(
        {
            "u/out": [],
            "u/out/a": RUN,
            "u/out/b": RUN,
            "u/out/c": ["u/out/a", "u/out/b"],
            "u/out/0": ["u/out/c", "u/out/b"],
        },
        "cleanup u/out",
        {"u/out/a", "u/out/b", "u/out/c", "u/out/0"},
    ),
    "cleanup of a chain with a name like a pattern": Case(
        {"u/*": [], "u/*/old": RUN, "u/out/1": RUN}, "cleanup u/*", {"u/*/old"}
    ),
    "purge of tagged and calibration collections": Case(
        {"u/out/tag": TAGGED, "u/out/calib": CALIBRATION, "u/out": ["u/out/tag", "u/out/calib"], "x": RUN},
        "purge u/out",
        {"u/out", "u/out/tag", "u/out/calib"},
    ),
    "purge of a run with a name like a pattern": Case(
        {
            "u/out/1": RUN,
            "u/out/*": RUN,
            "u/out/[1]": RUN,
            "u/out": ["u/out/*", "u/out/[1]"],
            "x": ["u/out/1"],
        },
        "purge u/out",
        {"u/out", "u/out/*", "u/out/[1]"},
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", NOT_AS_THE_PEER)
def test_just_what_the_rule_says_is_removed(name: str, make: Callable[[Layout], Path]) -> None:
    case = NOT_AS_THE_PEER[name]
    root = make(case.layout)
    chains = {name: read_chain(root, name) for name in case.layout}
    finished = run_forked(*arguments(case.words, root, "--no-confirm"))
    assert finished.code == 0, finished.err
    assert set().union(*listing(finished.out).values()) == case.gone
    assert read_collections(root) == set(case.layout) - case.gone
    assert runs_with_files(root) == {name for name in read_collections(root) if case.layout[name] is RUN}
    for left in read_collections(root):
        assert read_chain(root, left) == chains[left]


def test_cleanup_says_what_stays_and_why(make: Callable[[Layout], Path]) -> None:
    root = make({**NEIGHBOURS, "u/out/used": RUN, "held": ["u/out/used"]})
    finished = run_forked(*arguments("cleanup u/out", root, "--no-confirm"))
    assert finished.err.splitlines() == [
        "u/out/used stays: it is in 'held'.",
        "u/out2 stays: its name does not begin with u/out/.",
        "u/out2/1 stays: its name does not begin with u/out/.",
        "u/output stays: its name does not begin with u/out/.",
    ]


def test_purge_names_all_that_is_in_its_way(make: Callable[[Layout], Path]) -> None:
    more = {"a": ["u/out/1"], "b": ["u/out/2"], "c": ["u/out"]}
    root = make({**SIMPLE, **more})
    before = content(root)
    finished = run_forked(*arguments("purge u/out", root, "--no-confirm"))
    assert finished.code == 1
    line = finished.line
    for part in ("'u/out' is in 'c'", "'u/out/1' is in several chains, 'a', 'u/out'", "'b', 'u/out'"):
        assert part in line
    assert content(root) == before


def test_collections_that_lose_datasets_are_named(make: Callable[[Layout], Path]) -> None:
    tags = {"best": TAGGED, "none": TAGGED, "calib": CALIBRATION}
    root = make({"u/out/1": RUN, "u/out": ["u/out/1"], "inputs": RUN, **tags})
    with Butler.from_config(str(root), writeable=True, run="u/out/1") as butler:
        bias = [butler.put({}, "bias", instrument="Mock", detector=0)]
        butler.registry.certify("calib", bias, Timespan(None, None))
        butler.registry.associate("best", butler.query_datasets("image", "u/out/1"))
        butler.registry.associate("none", butler.query_datasets("image", "inputs"))
    finished = run_forked(*arguments("purge u/out", root, "--no-confirm"))
    assert finished.code == 0
    assert finished.err.splitlines() == [
        "best loses datasets that are in these runs.",
        "calib loses datasets that are in these runs.",
    ]
    with Butler.from_config(str(root)) as butler:
        assert len(butler.query_datasets("image", "none")) == 2
        assert butler.query_datasets("image", "best", explain=False) == []


def test_odd_names_are_shown_as_what_they_are(make: Callable[[Layout], Path]) -> None:
    odd = "u/out/1, u/out/2\n  others: x\x1b[2J"
    root = make({odd: RUN, "u/out/größer-星": RUN, "u/out": [odd, "u/out/größer-星"], "u/out/2": RUN})
    finished = run_forked(*arguments("purge u/out", root, "--no-confirm"))
    assert finished.code == 0
    assert finished.out.splitlines() == [
        "Removed:",
        f"  runs: {odd!r}, u/out/größer-星",
        "  chains: u/out",
        "  others: ",
    ]
    assert read_collections(root) == {"u/out/2"}


# Asking.

PURGE_LIST = "Will remove:\n  runs: u/out/1, u/out/2\n  chains: u/out\n  others: \nContinue? [y/N]: "


@pytest.mark.parametrize(
    ("reply", "code", "says", "err"),
    [
        ("n\n", 0, "Aborted.\n", ""),
        ("\n", 0, "Aborted.\n", ""),
        ("perhaps\nno\n", 0, "Error: invalid input\nContinue? [y/N]: Aborted.\n", ""),
        ("", 1, "\n", "Nothing is removed: standard input is closed"),
    ],
    ids=["no", "neither", "unclear", "end of input"],
)
def test_only_yes_removes(reply: str, code: int, says: str, err: str, make: Callable[[Layout], Path]) -> None:
    root = make(SIMPLE)
    before = content(root)
    finished = run_forked(*arguments("purge u/out", root), stdin=reply)
    assert finished.code == code
    assert finished.out == PURGE_LIST + says
    assert err in finished.err
    assert len(finished.err.splitlines()) == bool(err)
    assert content(root) == before


def test_yes_removes(make: Callable[[Layout], Path]) -> None:
    root = make(SIMPLE)
    finished = run_forked(*arguments("purge u/out", root), stdin="y\n")
    assert (finished.code, finished.out, finished.err) == (0, PURGE_LIST + "Done.\n", "")
    assert read_collections(root) == set(SIMPLE) - {"u/out", "u/out/1", "u/out/2"}


def answer(process: subprocess.Popen[str], reply: str, meanwhile: Callable[[], object]) -> Finished:
    """Wait for the question, do something, and answer."""
    assert process.stdin is not None
    assert process.stdout is not None
    out = ""
    while not out.endswith("Continue? [y/N]: "):
        character = process.stdout.read(1)
        assert character, out
        out += character
    meanwhile()
    rest, err = process.communicate(reply)
    return Finished(process.returncode, out + rest, err, 0.0)


@pytest.mark.slow
def test_interrupt_at_the_question(make: Callable[[Layout], Path]) -> None:
    root = make(SIMPLE)
    before = content(root)
    process = start_pipetask(*arguments("cleanup u/out", root), stdin=subprocess.PIPE)
    finished = answer(process, "", lambda: process.send_signal(signal.SIGINT))
    assert finished.code == 130
    assert finished.err.startswith(
        "pipetask: interrupted by SIGINT: nothing was removed; go on: pipetask cleanup "
    )
    assert content(root) == before


@pytest.mark.slow
def test_no_standard_input(make: Callable[[Layout], Path]) -> None:
    root = make(SIMPLE)
    before = content(root)
    process = start_pipetask(*arguments("purge u/out", root), preexec_fn=lambda: os.close(0))
    out, err = process.communicate()
    assert process.returncode == 1
    assert "Will remove" in out
    assert "standard input is closed" in err
    assert content(root) == before


CHANGES: dict[str, Layout] = {
    "one more to remove": {"u/out/3": RUN},
    "one less to remove": {"u/more": ["u/out/old"]},
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_plan_that_no_longer_holds_is_refused(name: str, make: Callable[[Layout], Path]) -> None:
    root = make(SIMPLE)
    with Butler.from_config(str(root), writeable=True) as butler:
        plan = Cleanup("u/out").plan(butler)
        register(butler, CHANGES[name])
        changed = content(root)
        with pytest.raises(PipetaskError, match="Nothing is removed: the repository has changed"):
            carry_out(Cleanup("u/out"), plan, butler)
    assert content(root) == changed


@pytest.mark.slow
def test_what_changes_before_the_answer(make: Callable[[Layout], Path]) -> None:
    root = make(SIMPLE)
    changed: list[Any] = []

    def change() -> None:
        with Butler.from_config(str(root), writeable=True) as butler:
            register(butler, {"u/out/3": RUN})
        changed.append(content(root))

    process = start_pipetask(*arguments("cleanup u/out", root), stdin=subprocess.PIPE)
    finished = answer(process, "y\n", change)
    assert finished.code == 1
    line = finished.line
    assert "Nothing is removed: the repository has changed" in line
    assert [content(root)] == changed


def test_what_changes_elsewhere_does_no_harm(make: Callable[[Layout], Path]) -> None:
    root = make(SIMPLE)
    with Butler.from_config(str(root), writeable=True) as butler:
        plan = Cleanup("u/out").plan(butler)
        register(butler, {"u/other": RUN, "u/out2": RUN})
        carry_out(Cleanup("u/out"), plan, butler)
    assert read_collections(root) == {*SIMPLE, "u/other", "u/out2"} - set(plan.collections)


# When something fails.


def test_an_error_midway_leaves_all_as_it_was(make: Callable[[Layout], Path]) -> None:
    root = make(SIMPLE)
    with closing(sqlite3.connect(root / "gen3.sqlite3")) as database:
        database.execute(
            "CREATE TRIGGER no BEFORE DELETE ON collection WHEN old.name = 'u/out/2' "
            "BEGIN SELECT RAISE(ABORT, 'no'); END"
        )
    before = content(root)
    finished = run_forked(*arguments("purge u/out", root, "--no-confirm"))
    assert finished.code == 1
    line = finished.line
    assert "Nothing is removed: " in line
    assert "u/out/2" in line
    assert content(root) == before
    assert finished.out == ""


def test_files_that_cannot_be_deleted_are_told_of(make: Callable[[Layout], Path]) -> None:
    root = make(SIMPLE)
    (file, *_) = sorted(path for path in (root / "u/out/1").rglob("*") if path.is_file())
    file.unlink()
    (file / "obstacle").mkdir(parents=True)
    finished = run_forked(*arguments("purge u/out", root, "--no-confirm"))
    assert finished.code == 1
    line = finished.line
    assert "are removed, but not all of their files" in line
    assert str(file) in line
    assert runs_with_files(root) == {"inputs", "u/out/old", "u/out/older"}
    assert read_collections(root) == set(SIMPLE) - {"u/out", "u/out/1", "u/out/2"}


@pytest.mark.slow
def test_the_trash_of_others_is_not_emptied(make: Callable[[Layout], Path]) -> None:
    root = make({**SIMPLE, "u/empty/1": TAGGED, "u/empty": ["u/empty/1"]})
    with Butler.from_config(str(root), writeable=True) as butler, butler.transaction():
        butler._datastore.trash(butler.query_datasets("image", "inputs"))
    assert run_forked(*arguments("purge u/empty", root, "--no-confirm")).code == 0
    assert run_forked(*arguments("purge u/out", root, "--no-confirm")).code == 0
    assert runs_with_files(root) == {"inputs", "u/out/old", "u/out/older"}
    assert len(read_registry(root)["dataset_location_trash"]) == 2


def test_a_repository_without_dataset_types(tmp_path: Path) -> None:
    root = tmp_path / "repo"
    Butler.makeRepo(str(root))
    with Butler.from_config(str(root), writeable=True) as butler:
        register(butler, {"u/out/1": RUN, "u/out": ["u/out/1"], "other": RUN}, filled=False)
    finished = run_forked(*arguments("purge u/out", root, "--no-confirm"))
    assert finished.code == 0, finished.err
    assert read_collections(root) == {"other"}


# Bad input.

BAD = {
    "no collection": (["purge", "-b", "{root}"], 2, "collection"),
    "no repository option": (["cleanup", "u/out"], 2, "--butler-config"),
    "two collections": (["purge", "-b", "{root}", "u/out", "other"], 2, "other"),
    "recursive cleanup": (["cleanup", "-b", "{root}", "u/out", "--recursive"], 2, "--recursive"),
    "a misspelt option": (["purge", "-b", "{root}", "u/out", "--no-confrim"], 2, "--no-confirm"),
    "no repository": (["purge", "-b", "{root}/nowhere", "u/out", "--no-confirm"], 1, "no repository at"),
    "an empty name": (["cleanup", "-b", "{root}", "", "--no-confirm"], 1, "no collection ''"),
    "everything": (["purge", "-b", "{root}", "*", "--no-confirm"], 1, "no collection '*'"),
    "a pattern": (["purge", "-b", "{root}", "u/o?t", "--no-confirm"], 1, "did you mean 'u/out'"),
    "a slash too many": (["cleanup", "-b", "{root}", "u/out/", "--no-confirm"], 1, "did you mean 'u/out/2'"),
    "a path": (["purge", "-b", "{root}", "../u/out", "--no-confirm"], 1, "no collection '../u/out'"),
    "quotes": (["purge", "-b", "{root}", "u/out' OR '1'='1", "--no-confirm"], 1, "OR '1'='1"),
    "newlines": (["cleanup", "-b", "{root}", "u/out\nother\n", "--no-confirm"], 1, r"u/out\nother\n"),
    "another alphabet": (["purge", "-b", "{root}", "größer/星", "--no-confirm"], 1, "größer/星"),
    "bytes that are no text": (["purge", "-b", "{root}", "u/\udcff", "--no-confirm"], 1, r"u/\udcff"),
    "a very long name": (["cleanup", "-b", "{root}", "u/out" * 9999, "--no-confirm"], 1, "no collection"),
    "a list": (["purge", "-b", "{root}", "u/out,other", "--no-confirm"], 1, "no collection 'u/out,other'"),
}


@pytest.mark.parametrize("name", BAD)
def test_one_line_says_it_and_nothing_is_removed(name: str, make: Callable[[Layout], Path]) -> None:
    words, code, says = BAD[name]
    root = make(SIMPLE)
    before = content(root)
    finished = run_forked(*(word.replace("{root}", str(root)) for word in words))
    assert finished.code == code, finished.err
    assert finished.out == ""
    line = finished.line
    assert says.lower() in line.lower()
    assert content(root) == before


# Any repository.

NAMES = st.sampled_from(["", "/a", "/b", "/a/c", "/[ab]", "2", "2/a", "*", "_"])
KINDS = st.sampled_from([RUN, TAGGED, CollectionType.CHAINED])
numbers = count()


@pytest.fixture(scope="module")
def shared(bare: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Butler]:
    root = Path(shutil.copytree(bare, tmp_path_factory.mktemp("shared") / "repo"))
    with Butler.from_config(str(root), writeable=True) as butler:
        yield butler


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(
    kinds=st.lists(st.tuples(NAMES, KINDS), unique_by=lambda pair: pair[0], min_size=3),
    edges=st.sets(st.tuples(st.integers(0, 8), st.integers(0, 8)), max_size=8),
    kind=st.sampled_from(["purge", "recursive purge", "cleanup"]),
)
def test_nothing_that_is_not_listed_changes(
    shared: Butler, kinds: list[tuple[str, CollectionType]], edges: set[tuple[int, int]], kind: str
) -> None:
    base = f"{next(numbers)}/out"
    layout = random_layout(base, kinds, edges)
    register(shared, layout, filled=False)
    before = children(shared)
    removal = {
        "purge": Purge(base),
        "recursive purge": Purge(base, recursive=True),
        "cleanup": Cleanup(base),
    }[kind]
    plan = carried_out(removal, shared)
    expected = before
    if plan is not None:
        assert plan.collections or kind == "cleanup"
        assert all(name.startswith(base) for name in plan.collections)
        held = {
            child for name, content in before.items() if name not in plan.collections for child in content
        }
        assert held.isdisjoint(plan.collections)
        expected = {name: content for name, content in before.items() if name not in plan.collections}
    assert children(shared) == expected


def random_layout(
    base: str, kinds: list[tuple[str, CollectionType]], edges: set[tuple[int, int]]
) -> dict[str, Any]:
    """Make the last collection the chain, and let chains hold only what was made before them."""
    names = [base + name for name, _ in kinds if name] + [base]
    types = [kind for name, kind in kinds if name] + [CollectionType.CHAINED]
    layout: dict[str, Any] = {}
    for i, (name, kind) in enumerate(zip(names, types, strict=True)):
        chained = [names[j] for k, j in edges if k % len(names) == i and j < i]
        layout[name] = list(dict.fromkeys(chained)) if kind is CollectionType.CHAINED else kind
    return layout


def children(butler: Butler) -> dict[str, tuple[str, ...]]:
    return {info.name: info.children for info in butler.collections.query_info("*")}


def carried_out(removal: Removal, butler: Butler) -> RemovalPlan | None:
    try:
        plan = removal.plan(butler)
    except PipetaskError:
        return None
    carry_out(removal, plan, butler)
    return plan
