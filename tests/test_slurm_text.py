"""What is written for Slurm: settings, arrays, scripts; and what is read of it.  No Slurm is needed."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipetask import BatchExecutor, BatchOptions, SlurmOptions, SlurmSystem
from pipetask.batch.exit_codes import ExitCode
from pipetask.batch.ledger import UnfinishedNode
from pipetask.batch.queueing.arrays import Demand, JobArray, arrays_of, that_fit
from pipetask.batch.queueing.columns import columns, levels
from pipetask.batch.queueing.configuration import minutes
from pipetask.batch.queueing.dialect import Written
from pipetask.batch.queueing.journal import Journal
from pipetask.batch.queueing.layout import Layout, RunRecord
from pipetask.batch.queueing.limits import Limits
from pipetask.batch.queueing.round import read_rounds
from pipetask.batch.rounds import Cause, to_run_again
from pipetask.batch.run_directory import RunDirectory
from pipetask.batch.slurm.client import CLIENT
from pipetask.batch.slurm.configuration import SlurmConfiguration
from pipetask.batch.slurm.job_script import script, submit_options
from pipetask.batch.slurm.limits import SHIPPED
from pipetask.batch.slurm.said import said_by_slurm
from pipetask.errors import UsageError
from pipetask.executors.base import ExecutionContext
from pipetask.testing import CallSpec, enumerated

pytestmark = pytest.mark.usefixtures("speaks_of_flags")

GOLDEN = Path(__file__).parent / "golden"
ODD = Path('/a run\'s "folder" $HOME %A `x` \\ é')


def array(**more: object) -> JobArray:
    values = {
        "number": 3,
        "labels": ("isr", "co\nadd"),
        "level": 1,
        "column": 2,
        "nodes": ("isr_co_add-4", "isr_co_add-7"),
        "needs": (0, 1),
        "demand": Demand(4000, 90),
    }
    return JobArray(**{**values, **more})  # type: ignore[arg-type]


def configuration(*overrides: str) -> SlurmConfiguration:
    return SlurmConfiguration.load(None, ("python=/opt/my python", *overrides))


def written(configuration: SlurmConfiguration, path: Path, round: int, *, first: bool) -> Written[Any]:
    record = RunRecord("0123", "run-0123", first)
    return Written(array(), round, configuration.for_labels(["isr"]), configuration.run, path, record)


def test_the_script_is_as_it_was() -> None:
    text = script(written(configuration("cpus=4", "container=run 'the image'"), ODD, 2, first=True))
    path = GOLDEN / "slurm_array.sh"
    if os.environ.get("PIPETASK_GOLDEN") == "write":
        path.write_text(text)
    assert text == path.read_text()
    assert subprocess.run(["sh", "-n"], input=text, text=True, check=False).returncode == 0


def test_an_odd_path_reaches_the_job_as_it_is(tmp_path: Path) -> None:
    """The script runs what stands at the place of its element, in the run directory, whatever that is called."""
    run = tmp_path / ODD.name
    (run / "slurm/round-001").mkdir(parents=True)
    (run / "logs").mkdir()
    (run / "slurm/round-001/array-3.nodes").write_text("isr_co_add-4\nisr_co_add-7\n")
    show = tmp_path / "show"
    show.write_text('#!/bin/sh\nprintf "%s\\n" "$PWD" "$@"\n')
    show.chmod(0o755)
    done = subprocess.run(
        ["sh"],
        input=script(written(configuration(f"python={show}"), run, 1, first=False)),
        env={"PATH": os.environ["PATH"], "SLURM_ARRAY_JOB_ID": "12", "SLURM_ARRAY_TASK_ID": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    words = [str(run), "-m", "pipetask.cli", "run-node", str(run), "isr_co_add-7", "-j", "1"]
    assert done.stdout.splitlines() == [*words, "--keep-failures-since", "0"]
    links = {path.name: path.readlink() for path in (run / "logs").iterdir()}
    assert links == {
        f"isr_co_add-7.12_1.{suffix}": Path(f"../slurm/logs/12_1.{suffix}") for suffix in ("out", "err")
    }


def test_settings_become_options() -> None:
    settings = configuration(
        "partition=short", "account=dm", "gpus=2", "gres=lscratch:10", "throttle=5", "requeue=false",
        "sbatch.mail-type=FAIL", "sbatch.exclusive=true",
    )  # fmt: skip
    shown = submit_options(written(settings, Path("/run %A"), 1, first=False))
    assert shown == [
        "--array=0-1%5",
        "--chdir=/run %A",
        "--output=/run %%A/slurm/logs/%A_%a.out",
        "--error=/run %%A/slurm/logs/%A_%a.err",
        "--open-mode=append",
        "--time=90",
        "--mem=4000M",
        "--cpus-per-task=1",
        "--partition=short",
        "--account=dm",
        "--gres=lscratch:10,gpu:2",
        "--no-requeue",
        "--mail-type=FAIL",
        "--exclusive",
    ]


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("90min", 90),
        ("2h", 120),
        ("1d", 1440),
        ("30s", 1),
        ("1.5h", 90),
        ("90:00", 90),
        ("90:01", 91),
        ("1:30:00", 90),
        ("1-12:00:00", 2160),
        ("1-12:00", 2160),
    ],
)
def test_walltimes(text: str, number: int) -> None:
    assert minutes(text) == number


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "time=60",
            "--slurm time=60: time cannot be '60': it is not a walltime such as 90min, 2h, 1d or '1:30:00'.",
        ),
        ("time=0min", "--slurm time=0min: time cannot be '0min'."),
        (
            "memory=much",
            "--slurm memory=much: memory cannot be 'much': it is not a size such as 2000 (megabytes) or 2GB.",
        ),
        ("partitoin=x", "--slurm partitoin=x: setting 'partitoin' is unknown: did you mean 'partition'?"),
        ("sbatch.mem=3G", "sbatch.mem is set by a setting of its own: use memory."),
        (
            "sbatch.array=0-3",
            "sbatch.array cannot be set: the run needs that option itself, or there is none.",
        ),
        ("sbatch.--x=1", "sbatch.--x cannot be set: the run needs that option itself, or there is none."),
        ("container='a", 'container cannot be "\'a": No closing quotation.'),
        (
            "labels.isr.cpus=0",
            "--slurm labels.isr.cpus=0: cpus cannot be 0: it is not a whole number of at least 1.",
        ),
    ],
)
def test_settings_that_mean_nothing_are_refused(override: str, message: str) -> None:
    with pytest.raises(UsageError) as refused:
        SlurmConfiguration.load(None, (override,))
    assert str(refused.value) == message


def test_a_time_that_yaml_takes_for_a_number_is_refused(tmp_path: Path) -> None:
    """1:30:00 without quotes is 5400 there, which nobody means."""
    file = tmp_path / "site.yaml"
    file.write_text("jobs: {time: 1:30:00}\n")
    with pytest.raises(UsageError, match="time cannot be 5400: it is not a walltime"):
        SlurmConfiguration.load(str(file))
    file.write_text("jobs: {time: '1:30:00'}\nlabels: {isr: {memory: 8GB}}\n")
    loaded = SlurmConfiguration.load(str(file))
    both = loaded.for_labels(["isr", "other"])
    assert (both.time, both.memory) == (90, 8192)


@st.composite
def graphs(draw: st.DrawFn) -> list[tuple[int, ...]]:
    """Draw what each node needs."""
    count = draw(st.integers(1, 30))
    return [
        tuple(sorted(draw(st.sets(st.integers(0, number - 1), max_size=4)))) if number else ()
        for number in range(count)
    ]


class FewNodes:
    """Nodes of two kinds."""

    def __init__(self, needs: list[tuple[int, ...]]):
        self.needs, self.levels = needs, levels(needs)
        self.names = [f"n-{number}" for number in range(len(needs))]
        self.labels = [(("a",), ("b",))[number % 2] for number in range(len(needs))]

    def columns(self, most: int) -> list[int]:
        return columns(self.needs, self.levels, most)


@settings(max_examples=200, deadline=None)
@given(graphs(), st.integers(1, 4), st.integers(1, 5), st.integers(1, 40), st.data())
def test_arrays_hold_all_nodes_and_wait_for_what_they_need(
    needs: list[tuple[int, ...]], most: int, size: int, room: int, data: st.DataObject
) -> None:
    nodes = FewNodes(needs)
    some = data.draw(st.sets(st.sampled_from(range(len(needs))), min_size=1))
    demands = {number: Demand(100, 10 + number % 2) for number in some}
    arrays = arrays_of(nodes, demands, most, Limits(size, 1000), offset=1)  # type: ignore[arg-type]
    assert [each.number for each in arrays] == list(range(1, len(arrays) + 1))
    home = {node: each for each in arrays for node in each.nodes}
    assert sorted(home) == sorted(nodes.names[number] for number in some)
    assert sum(len(each.nodes) for each in arrays) == len(some)
    for number in some:
        mine = home[nodes.names[number]]
        assert len(mine.nodes) <= size
        assert (mine.labels, mine.demand) == (nodes.labels[number], demands[number])
        wanted = {home[nodes.names[before]].number for before in needs[number] if before in some}
        assert wanted <= set(mine.needs)
        assert all(before < mine.number for before in mine.needs)
    fit = list(that_fit(arrays, room))
    assert sum(len(each.nodes) for each in fit) == min(room, len(some)), "as many as there is room for"
    chosen = {node for each in fit for node in each.nodes}
    for name in chosen:
        before = {nodes.names[each] for each in needs[nodes.names.index(name)] if each in some}
        assert before <= chosen, "what it needs is there, too"


@settings(max_examples=200, deadline=None)
@given(graphs(), st.integers(1, 4))
def test_columns_need_nothing_of_each_other_below_the_level_that_joins_them(
    needs: list[tuple[int, ...]], most: int
) -> None:
    level = levels(needs)
    found = columns(needs, level, most)
    assert set(found) <= set(range(most))
    crossing = {
        level[number] for number, row in enumerate(needs) for before in row if found[before] != found[number]
    }
    joined = min(crossing, default=max(level) + 1)
    assert all(found[number] == 0 for number in range(len(needs)) if level[number] >= joined)


def test_a_graph_of_parts_has_a_column_for_each_until_they_are_joined() -> None:
    needs = [(), (), (), (0,), (1,), (2,), (3, 4, 5)]
    assert columns(needs, levels(needs), 8) == [0, 1, 2, 0, 1, 2, 0]
    assert columns(needs, levels(needs), 2) == [0, 1, 0, 0, 1, 0, 0]
    needs = [(), (), (), (0, 1, 2)]
    assert columns(needs, levels(needs), 8) == [0, 0, 0, 0], "there is nothing that could go ahead"


def test_a_large_graph_takes_few_submissions(tmp_path: Path) -> None:
    """A run of 82,000 quanta in 1,640 nodes of six kinds: the issue asks for 60 calls at most."""
    needs: list[tuple[int, ...]] = []
    for _ in range(270):
        start = len(needs)
        needs += [(), (start,), (start + 1,), (start + 2,), (start + 3,), (start + 4,)]

    class Many(FewNodes):
        def columns(self, most: int) -> list[int]:
            return columns(self.needs, self.levels, min(most, 54 // 6))

    nodes = Many(needs)
    nodes.labels = [(f"task{number % 6}",) for number in range(len(needs))]
    demands = {number: Demand(100, 10) for number in range(len(needs))}
    assert len(arrays_of(nodes, demands, 8, SHIPPED, 0)) == 48  # type: ignore[arg-type]


def test_a_run_is_written_without_slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_DIR", "/not/for/jobs")
    monkeypatch.setenv("MY_DIR", "/for/jobs")
    system = SlurmSystem(SlurmOptions(slurm=("labels.isr.memory=5GB", "slurm.max_array=2")))
    options = BatchOptions(run_dir=str(tmp_path / "run"), submit=False, bundle_size=1)
    edges = [(0, 3), (1, 3), (2, 3)]
    context = ExecutionContext(enumerated({"isr": 3, "co add": 1}, edges), CallSpec(print))
    assert len(list(BatchExecutor(system, options).execute(context.graph, context))) == 4
    context.stop.close()
    layout = Layout(RunDirectory(tmp_path / "run").path, "slurm")
    (first,) = read_rounds(layout)
    shown = [(each.labels, each.nodes, each.needs, each.demand.memory) for each in first.arrays]
    assert shown == [
        (("isr",), ("isr-0", "isr-1"), (), 5120),
        (("isr",), ("isr-2",), (), 5120),
        (("co add",), ("co_add-3",), (0, 1), 2048),
        ((), ("final",), (0, 1, 2), 2048),
    ]
    environment = layout.record().environment
    assert environment["MY_DIR"] == "/for/jobs"
    assert "SLURM_DIR" not in environment
    assert (layout.round(1) / "array-2.nodes").read_text() == "co_add-3\n"
    assert "--mem=5120M" in json.loads((layout.round(1) / "array-0.json").read_text())


def test_variables_that_slurms_commands_take_for_options_are_left_out() -> None:
    given = {
        "SLURM_CONF": "/c",
        "SLURM_JOB_ID": "1",
        "SBATCH_PARTITION": "x",
        "SQUEUE_FORMAT": "y",
        "HOME": "/h",
    }
    assert CLIENT.scrubbed(given) == {"SLURM_CONF": "/c", "HOME": "/h"}


@pytest.mark.parametrize(
    ("text", "how"),
    [
        ("slurmstepd: error: Exceeded job memory limit at some point.", "memory"),
        ("slurmstepd-n1: error: Detected 1 oom-kill event(s) in StepId=3.batch.", "memory"),
        ("slurmstepd: error: *** JOB 3 ON n1 CANCELLED AT 2026-11-26T08:00:00 DUE TO TIME LIMIT ***", "time"),
        ("slurmstepd: error: *** JOB 3 ON n1 CANCELLED AT 2026-11-26T08:00:00 DUE TO PREEMPTION ***", "preempted"),
        ("slurmstepd: error: *** JOB 3 ON n1 CANCELLED AT 2026-11-26T08:00:00 ***", "cancelled"),
        ("slurmstepd: error: *** JOB 3 ON n1 CANCELLED AT 2026 DUE TO NODE FAILURE, SEE X ***", "node failure"),
        ("a task says: DUE TO TIME LIMIT", ""),
        ("slurmstepd: error: *** JOB 3 CANCELLED AT x DUE TO JOB REQUEUE ***\nslurmstepd: error: x DUE TO TIME LIMIT",
         "time"),
    ],
)  # fmt: skip
def test_how_a_job_ended_is_read_in_its_error_file(tmp_path: Path, text: str, how: str) -> None:
    path = tmp_path / "3_0.err"
    path.write_text(f"before\n{text}\n")
    assert said_by_slurm(path) == how
    assert said_by_slurm(tmp_path / "none") == ""


def test_what_needs_a_node_that_runs_again_runs_again_too() -> None:
    def node(number: int, code: int | None, *needs: int) -> UnfinishedNode:
        return UnfinishedNode(f"n-{number}", ("a",), needs, number, 1, 100, code)

    left = [
        node(0, None),
        node(1, ExitCode.FAILED),
        node(2, ExitCode.BLOCKED, 0),
        node(3, ExitCode.BLOCKED, 1),
        node(4, ExitCode.BLOCKED, 2),
        node(5, ExitCode.OUT_OF_MEMORY),
    ]
    causes = {0: Cause.INFRASTRUCTURE, 5: None}
    assert to_run_again(left, lambda each: causes[each.number]) == {
        "n-0": Cause.INFRASTRUCTURE,
        "n-2": Cause.NEEDED,
        "n-4": Cause.NEEDED,
    }


def test_a_line_of_the_journal_that_was_cut_off_was_not_written(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    assert journal.read().last == 0
    journal.note("submitting", 1, array=0)
    journal.note("submitted", 1, array=0, job="12")
    journal.note("submitting", 1, array=1)
    with (tmp_path / "journal.jsonl").open("a") as file:
        file.write('{"time": 1.0, "step": "submit')
    state = journal.read()
    assert (state.rounds[1].jobs, state.rounds[1].releasing) == ({0: "12"}, False)
    journal.note("cancelled")
    assert journal.read().cancelled
