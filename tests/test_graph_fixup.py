"""Ordering that a plug-in adds: kept by every execution model, and refused where it is none."""

from __future__ import annotations

import json
import pstats
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

import fixups
from forked import run_forked
from peer import run_peer
from pipetask.errors import PipetaskError, UsageError
from pipetask.execution.graph_executor import QuantumGraphExecutor
from pipetask.executors.in_process import InProcessExecutor
from pipetask.executors.pool import MultiprocessExecutor
from pipetask.graph.file import GraphFile
from pipetask.graph.fixup import fix_up, load_graph_fixup
from pipetask.graph.structure import GraphStructure
from pipetask.observe.summary import RunSummary
from pipetask.options.collections import OutputOptions
from pipetask.options.execution import ExecutionOptions, PreUpdateOptions, RunOptions
from pipetask.options.graph import GraphSelection
from pipetask.testing import MockPipeline
from repository_dump import read_files, read_registry

from conftest import Repository  # isort: skip

pytestmark = pytest.mark.usefixtures("speaks_of_flags")

MakeRepository = Callable[..., Repository]
LAST_FIRST = "fixups.last_exposure_first"
EXPOSURES = 4


@pytest.fixture
def four_exposures(make_repository: MakeRepository) -> Repository:
    return make_repository(MockPipeline(EXPOSURES, 1))


def execute(
    repository: Repository, model: object, fixup: str | None, *, extend: bool = False, **more: object
) -> RunSummary:
    options = RunOptions(
        collections=OutputOptions(extend_run=extend),
        pre_update=PreUpdateOptions(register_dataset_types=True),
        execution=ExecutionOptions(graph_fixup=fixup, **more),
    )
    return QuantumGraphExecutor(model, str(repository.root), options).execute(str(repository.graph))


def began(summary: RunSummary, label: str = "isr") -> list[int]:
    """Return the exposures of one task in the order in which they began; each had ended before the next."""
    ours = [outcome for outcome in summary.outcomes if summary.graph.label(outcome.id) == label]
    ran = sorted((outcome for outcome in ours if outcome.start is not None), key=lambda each: each.start)
    assert all(before.end <= after.start for before, after in pairwise(ran))
    return [summary.graph.data_id(outcome.id)["exposure"] for outcome in ran]


@pytest.mark.slow
def test_without_a_fixup_the_order_is_another(four_exposures: Repository) -> None:
    assert began(execute(four_exposures, InProcessExecutor(), None)) == [0, 1, 2, 3]


@pytest.mark.slow
@pytest.mark.parametrize("fixup", [LAST_FIRST, "fixups.OldKind"])
def test_in_this_process(four_exposures: Repository, fixup: str) -> None:
    summary = execute(four_exposures, InProcessExecutor(), fixup)
    assert summary.exit_code == 0
    assert began(summary) == [3, 2, 1, 0]


@pytest.mark.slow
def test_in_workers(four_exposures: Repository) -> None:
    summary = execute(four_exposures, MultiprocessExecutor(3), LAST_FIRST)
    assert summary.exit_code == 0
    assert began(summary) == [3, 2, 1, 0]


def test_in_a_plan(four_exposures: Repository, tmp_path: Path) -> None:
    plan = tmp_path / "plan.json"
    arguments = ["--mode", "dry-run", "--plan", str(plan), "--graph-fixup", LAST_FIRST]
    done = run_forked(*four_exposures.arguments(*arguments))
    assert done.code == 0, done.err
    planned = [json.loads(line) for line in plan.read_text().splitlines()]
    first = [each for each in planned if each["label"] == "isr"]
    assert [each["dataId"]["exposure"] for each in first] == [3, 2, 1, 0]
    assert [each["prerequisites"] for each in first[1:]] == [[each["id"]] for each in first[:-1]]


@pytest.mark.slow
def test_without_a_registry(four_exposures: Repository, tmp_path: Path) -> None:
    place, profile, file = (
        (str(four_exposures.root), str(four_exposures.graph)),
        tmp_path / "p",
        tmp_path / "s",
    )
    assert run_forked("pre-exec-init-qbb", *place).code == 0
    more = ["--graph-fixup", LAST_FIRST, "--profile", str(profile), "--summary", str(file)]
    done = run_forked("run-qbb", *place, *more)
    assert done.code == 0, done.err
    quanta = sorted(json.loads(file.read_text())["quanta"], key=lambda quantum: quantum["start"])
    labels = {report["quantumId"]: report for report in json.loads(file.read_text())["quantaReports"]}
    reports = [labels[quantum["quantumId"]] for quantum in quanta]
    order = [report["dataId"]["exposure"] for report in reports if report["taskLabel"] == "isr"]
    assert order == [3, 2, 1, 0]
    assert any(name == "runQuantum" for _, _, name in pstats.Stats(str(profile)).stats)  # type: ignore[attr-defined]


@pytest.mark.slow
def test_a_subset_keeps_the_order(four_exposures: Repository) -> None:
    """What lies between two quanta in the whole graph need not be asked for."""
    with GraphFile.of(str(four_exposures.graph)) as file:
        structure = file.structure
        wanted = [p for p in structure.positions("isr") if structure.data_id(p)["exposure"] in (0, 3)]
        ids = frozenset(structure.quantum_id(position) for position in wanted)
    summary = execute(
        four_exposures, InProcessExecutor(), LAST_FIRST, selection=GraphSelection(quantum_ids=ids)
    )
    assert began(summary) == [3, 0]


def test_what_is_done_keeps_the_order(four_exposures: Repository) -> None:
    """With --extend-run, what is left to do is ordered, whatever is done already between."""
    with GraphFile.of(str(four_exposures.graph)) as file:
        by_exposure = {file.structure.data_id(p)["exposure"]: p for p in file.structure.positions("isr")}
        structure = fix_up(file, fixups.last_exposure_first(), {by_exposure[1], by_exposure[2]})
        assert list(structure.needed_by(by_exposure[0])) == [by_exposure[3]]
        assert len(structure.predecessors) == len(file.structure.predecessors) + 1
        assert (
            fix_up(file, fixups.Wrong(), range(len(structure))) is file.structure
        )  # there is nothing to order


@pytest.mark.slow
@pytest.mark.peer
def test_a_failure_blocks_what_waits_for_it(make_repository: MakeRepository) -> None:
    """As with LSST's command, that ends with the same files and rows."""
    pipeline = MockPipeline(3, 1, configs={"isr": {"fail_condition": "exposure=1"}})
    ours, theirs = make_repository(pipeline, "ours"), make_repository(pipeline, "theirs")
    done = run_forked(*ours.arguments("--graph-fixup", LAST_FIRST))
    peer = run_peer(*theirs.arguments("--graph-fixup", LAST_FIRST))
    assert (done.code, peer.code) == (1, 1), peer.err
    assert "3 succeeded, 1 failed, 5 blocked" in done.err
    assert set(read_files(ours.root)) == set(read_files(theirs.root))
    assert datasets(ours.root) == datasets(theirs.root)
    assert {"post_isr"} < datasets(ours.root)


def datasets(root: Path) -> set[str]:
    return {row["dataset_type_id"] for row in read_registry(root)["dataset"]}


def test_a_fixup_sees_what_pipe_base_promises(four_exposures: Repository) -> None:
    with GraphFile.of(str(four_exposures.graph)) as file:
        assert len(fix_up(file, fixups.LooksAround()).predecessors) == len(file.structure.predecessors)
        assert len(fix_up(file, fixups.LooksAround(), {0, 5}).predecessors) == len(
            file.structure.predecessors
        )


def test_an_edge_that_is_there_already_is_not_doubled() -> None:
    structure = GraphStructure.from_edges({"a": 3}, [(0, 1), (1, 2)])
    more = structure.with_edges([(0, 1), (0, 2)])
    assert [list(more.needed_by(position)) for position in range(3)] == [[], [0], [0, 1]]
    assert [list(structure.needed_by(position)) for position in range(3)] == [[], [0], [1]]
    assert [more.quantum_id(p) for p in range(3)] == [structure.quantum_id(p) for p in range(3)]


NO_FIXUPS = {
    "nonsense": "cannot be imported",
    "no.such.Fixup": "No module named 'no'",
    "fixups.NoSuchFixup": "NoSuchFixup",
    "fixups": "cannot be imported",
    "fixups.not_a_factory": "'str' object is not callable",
    "fixups.needs_an_argument": "missing 1 required positional argument",
    "fixups.explodes": "ValueError: no fuse",
    "pathlib.Path": "not an ExecutionGraphFixup",
    "fixups.Nothing": "has no method fixup_graph",
    "../fixups.OldKind": "cannot be imported",
    "fixups.OldKind\n; rm -rf *": "cannot be imported",
    "fixups.Ünïcode'\"": "cannot be imported",
    "x." * 5000 + "y": "cannot be imported",
}


@pytest.mark.parametrize("name", NO_FIXUPS)
def test_what_is_no_fixup_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match=NO_FIXUPS[name]) as caught:
        load_graph_fixup(name)
    assert "--graph-fixup" in str(caught.value)


MISTAKES = {
    "Circle": "in a circle: isr (instrument='Mock', ",
    "RemovesOrdering": "which it needs; it may only add ordering.",
    "RemovesQuantum": "removes gather (instrument='Mock', ",
    "Foreign": "adds 00000000-0000-0000-0000-000000000007, which is not",
    "Wrong": "Wrong failed (LookupError: no)",
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_wrong_fixup_is_refused(four_exposures: Repository, mistake: str) -> None:
    with GraphFile.of(str(four_exposures.graph)) as file, pytest.raises(PipetaskError) as caught:
        fix_up(file, load_graph_fixup(f"fixups.{mistake}"))
    assert MISTAKES[mistake] in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("fixup", "code"), [("fixups.Circle", 1), ("no.such.Fixup", 2)])
def test_the_command_refuses_and_changes_nothing(four_exposures: Repository, fixup: str, code: int) -> None:
    before = read_registry(four_exposures.root), read_files(four_exposures.root)
    done = run_forked(*four_exposures.arguments("--graph-fixup", fixup))
    assert done.code == code
    line = done.line
    assert line.startswith("pipetask: --graph-fixup")
    assert (read_registry(four_exposures.root), read_files(four_exposures.root)) == before


def test_a_fixup_that_is_not_there_is_missed_before_a_graph_is_built(four_exposures: Repository) -> None:
    pipeline = four_exposures.root / "pipeline.yaml"
    pipeline.write_text("description: empty\n")  # which would be an error as well
    building = ["-b", str(four_exposures.root), "-p", str(pipeline), "-i", "input_chain", "-o", "u/new"]
    done = run_forked("run", *building, "--graph-fixup", "no.such.Fixup")
    assert done.code == 2
    line = done.line
    assert line.startswith("pipetask: --graph-fixup no.such.Fixup cannot be imported: ")
