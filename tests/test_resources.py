"""What quanta need: how it is declared, how the pool packs them, and what is refused."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import ExitStack, nullcontext
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.console import Console

from pipetask.batch.condor import CondorSystem
from pipetask.errors import UsageError
from pipetask.executors import machine
from pipetask.executors.activity import Activity
from pipetask.executors.base import ExecutionContext
from pipetask.executors.futures import FuturesExecutor
from pipetask.executors.futures.engines.local import Threads
from pipetask.executors.in_process import InProcessExecutor
from pipetask.executors.machine import number_of_gpus, usable_memory
from pipetask.executors.pool import MultiprocessExecutor
from pipetask.executors.pool.bundling import BundlePolicy
from pipetask.executors.pool.packing import PATIENCE
from pipetask.executors.resources import Resources, Share
from pipetask.graph.enumeration import EnumeratedGraph
from pipetask.observe.progress import progress_line
from pipetask.observe.progress_table import ProgressTable
from pipetask.observe.tally import Tally
from pipetask.options.condor import CondorOptions
from pipetask.options.resources import ResourceOptions, amounts_of, limit_of
from pipetask.outcome import Status
from pipetask.runner.quantum_runner import _resources
from pipetask.runner.spec import ButlerRunnerSpec
from pipetask.testing import CallSpec, enumerated
from pipetask.testing.conformance import execute
from pipetask.wording import speaking_of_flags
from simulated_pool import SimulatedPool, assert_it_fits, made_resources

from conftest import Repository, run_pipetask  # isort: skip

LABELS = ("isr", "calibrate", "coadd")


def declared(*requests: str, limits: tuple[str, ...] = (), cores: int = 1, memory: int = 0) -> Resources:
    options = ResourceOptions(requests=requests, limits=limits)
    subsets = {"single": frozenset({"isr", "calibrate"})}
    made = Resources.from_options(options, LABELS, subsets, cores, memory)
    assert made is not None
    return made


# How it is declared


def test_amounts_are_read() -> None:
    assert amounts_of("isr=cpus=2,memory=4GB,registry=1") == (
        "isr",
        {"cpus": 2, "memory": 4_000_000_000, "registry": 1},
    )
    assert limit_of("memory=1.5GiB") == ("memory", 1_610_612_736)
    assert limit_of("memory=2000") == ("memory", 2_000_000_000), "megabytes, as with --memory-per-quantum"


@pytest.mark.parametrize(
    "text",
    ["isr", "isr=", "=cpus=2", "isr=cpus", "isr=cpus=x", "isr=cpus=0", "isr=memory=much", "isr=a=1,a=2"],
)
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"form|number|size|least|twice"):
        amounts_of(text)


def test_labels_subsets_and_patterns_later_ones_over_earlier_ones() -> None:
    needs = declared("*=memory=1GB", "single=cpus=2", "isr=memory=3GB", cores=1).needs
    assert needs["isr"] == {"cpus": 2, "memory": 3 * 10**9}
    assert needs["calibrate"] == {"cpus": 2, "memory": 10**9}
    assert needs["coadd"] == {"cpus": 1, "memory": 10**9}


def test_what_is_said_for_all_quanta_holds_for_labels_that_say_nothing() -> None:
    needs = declared("isr=cpus=8", cores=4, memory=5).needs
    assert needs["isr"] == {"cpus": 8, "memory": 5}
    assert needs["coadd"] == {"cpus": 4, "memory": 5}


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ("isrr=cpus=2", r"--resources isrr=cpus=2: there is no label or subset 'isrr': did you mean 'isr'\?"),
        ("x*=cpus=2", r"no label of this graph matches 'x\*'"),
        ("isr=registry=2", r"no limit has the name 'registry': add --limit registry=N"),
    ],
)
def test_names_that_mean_nothing_are_refused(request_: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        declared(request_)


def test_nothing_is_counted_if_nothing_is_declared() -> None:
    assert Resources.from_options(ResourceOptions(limits=("registry=1",)), LABELS, {}) is None


def test_a_limit_of_what_each_quantum_needs_counts_by_itself() -> None:
    options = ResourceOptions(limits=("memory=5GB",))
    resources = Resources.from_options(options, LABELS, {}, cores=1, memory=2 * 10**9)
    assert resources is not None
    assert resources.available(8) == {"cpus": 8, "memory": 5 * 10**9}


# What there is


def test_a_slot_stands_for_the_cores_of_an_ordinary_quantum() -> None:
    assert declared("isr=cpus=8", cores=4).available(3)["cpus"] == 12


def test_the_machine_limits_memory_unless_the_user_does(monkeypatch: pytest.MonkeyPatch) -> None:
    assert declared("isr=memory=1GB").available(1)["memory"] == usable_memory()
    assert declared("isr=memory=1GB", limits=("memory=7GB",)).available(1)["memory"] == 7 * 10**9
    assert "memory" not in declared("isr=memory=1GB").available(1, here=False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,3")
    assert declared("isr=gpus=1").available(1)["gpus"] == number_of_gpus() == 2


def test_a_control_group_above_may_allow_less(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inner = tmp_path / "outer" / "inner"
    inner.mkdir(parents=True)
    (inner / "memory.max").write_text("max\n")
    (tmp_path / "outer" / "memory.max").write_text("4096\n")
    monkeypatch.setattr(machine, "memory_groups", lambda: iter([inner]))
    assert usable_memory() == 4096


@pytest.mark.parametrize(
    ("requests", "limits", "message"),
    [
        (["isr=cpus=3"], [], r"A quantum of isr needs 3 CPUs, and 2 CPUs is all there is \(-j 2\)\."),
        (
            ["coadd=db=3"],
            ["db=1"],
            r"of coadd needs 3 of 'db', and 1 of 'db' is all there is \(--limit db=1\)\.",
        ),
        (
            ["isr=memory=99TB"],
            [],
            r"needs 99TB of memory, and .* is all there is on this machine: .* say --limit memory=N\.",
        ),
    ],
)
def test_what_never_fits_is_refused_with_its_label(
    requests: list[str], limits: list[str], message: str
) -> None:
    graph = enumerated(dict.fromkeys(LABELS, 1))
    context = ExecutionContext(graph, CallSpec(print), resources=declared(*requests, limits=tuple(limits)))
    with pytest.raises(UsageError, match=message):
        MultiprocessExecutor(2).check(context)
    if "cpus" not in requests[0]:
        with pytest.raises(UsageError, match="A quantum of"):
            InProcessExecutor().check(context)
    context.stop.close()


@given(
    st.lists(st.dictionaries(st.sampled_from(["cpus", "gpus", "memory"]), st.integers(0, 3)), max_size=4),
    st.integers(1, 4),
    st.integers(0, 4),
)
def test_what_no_worker_alone_has_is_refused(inventory: list[dict[str, int]], cpus: int, gpus: int) -> None:
    resources = Resources({"isr": {"cpus": cpus, "gpus": gpus}}, {})
    known = {name for each in inventory for name in each}
    fits = any(
        ("cpus" not in known or each.get("cpus", 0) >= cpus)
        and ("gpus" not in known or each.get("gpus", 0) >= gpus)
        for each in inventory
    )
    with (
        nullcontext() if fits or not inventory else pytest.raises(UsageError, match="A quantum of isr needs")
    ):
        resources.check_each(inventory)
    declared_by_user = Resources(resources.needs, {"cpus": 9, "gpus": 9})
    declared_by_user.check_each(inventory)
    available = resources.available(2, here=False, inventory=inventory)
    assert available["cpus"] == (sum(each.get("cpus", 0) for each in inventory) if "cpus" in known else 2)


# How the pool packs


@pytest.fixture(autouse=True)
def flags() -> Iterator[None]:
    """Let messages speak as the command does."""
    with speaking_of_flags():
        yield


@pytest.fixture
def closing() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def pool(stack: ExitStack, graph: EnumeratedGraph, processes: int, resources: Resources) -> SimulatedPool:
    made = SimulatedPool(graph, processes, resources=resources)
    stack.callback(made.context.stop.close)
    made.settle()
    made.make_ready()
    made.settle()
    return made


def having(made: SimulatedPool) -> list[list[int]]:
    return [list(worker.assigned) for worker in made.state.workers.values() if worker.assigned]


def test_only_as_many_workers_start_as_fit(closing: ExitStack) -> None:
    graph = enumerated({"a": 6})
    made = pool(closing, graph, 4, Resources({"a": {"cpus": 2}}, {}))
    assert having(made) == [[0], [1]]
    assert len(made.state.workers) == 2


def test_what_fits_passes_what_does_not(closing: ExitStack) -> None:
    graph = enumerated({"big": 2, "small": 2})
    made = pool(closing, graph, 4, Resources({"big": {"cpus": 3}, "small": {"cpus": 1}}, {}))
    assert having(made) == [[0], [2]], "the second big one does not fit beside the first"
    made.run(1, seconds=9.0)
    made.settle()
    assert having(made) == [[1], [2]]


def test_a_named_limit_holds_whatever_else_is_free(closing: ExitStack) -> None:
    graph = enumerated({"reads": 5, "other": 2})
    needs = {"reads": {"cpus": 1, "db": 1}, "other": {"cpus": 1}}
    made = pool(closing, graph, 8, Resources(needs, {"db": 2}))
    assert having(made) == [[0], [1], [5], [6]]
    assert str(made.state.shares()[0]) == "cpus 4/8"
    assert str(made.state.shares()[1]) == "db 2/2"


def test_a_stop_loses_nothing_that_was_ready(closing: ExitStack) -> None:
    graph = enumerated({"a": 6})
    made = pool(closing, graph, 4, Resources({"a": {"cpus": 2}}, {}))
    made.context.stop.ask("enough")
    made.finish()
    assert [outcome.status for outcome in made.outcomes] == [Status.CANCELLED] * 6


KINDS = st.lists(
    st.fixed_dictionaries({"cpus": st.integers(1, 6), "memory": st.integers(0, 5), "db": st.integers(0, 3)}),
    min_size=4,
    max_size=4,
)


@given(
    counts=st.lists(st.integers(1, 40), min_size=1, max_size=4),
    needs=KINDS,
    processes=st.integers(1, 5),
    seconds=st.lists(st.sampled_from([0.01, 0.5, 9.0]), min_size=4, max_size=4),
)
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_it_always_fits_and_always_ends(
    counts: list[int], needs: list[dict[str, int]], processes: int, seconds: list[float]
) -> None:
    graph = enumerated({f"task{number}": count for number, count in enumerate(counts)})
    with ExitStack() as stack:
        made = pool(stack, graph, processes, made_resources(graph, needs, processes))
        while not made.state.over:
            busy = [number for number in made.workers if made.begin(number) is not None]
            assert busy, "something runs as long as something is left"
            for number in busy:
                task = graph.structure.task_index(graph.position(made.workers[number].running or 0))
                made.run(number, seconds=seconds[task])
                made.settle()
                made.make_ready()
                made.settle()
                assert_it_fits(made)
        assert len({outcome.id for outcome in made.outcomes}) == sum(counts)


@pytest.mark.slow
@given(processes=st.integers(2, 6), most=st.integers(1, 16), seconds=st.sampled_from([0.01, 0.15, 9.0]))
@settings(max_examples=50, deadline=None)
def test_a_large_quantum_does_not_wait_for_ever(processes: int, most: int, seconds: float) -> None:
    """It needs everything, and there are always small ones that would fit."""
    graph = enumerated({"small": processes, "large": 1, "more": 2000})
    needs = {"small": {"cpus": 1}, "large": {"cpus": processes}, "more": {"cpus": 1}}
    with ExitStack() as stack:
        made = SimulatedPool(graph, processes, BundlePolicy(most=most), resources=Resources(needs, {}))
        stack.callback(made.context.stop.close)
        made.settle()
        made.make_ready()
        made.settle()
        (large,) = (quantum.id for quantum in graph if quantum.label == "large")
        while not made.begun[large]:
            for number in list(made.workers):
                if made.begin(number) is not None:
                    made.run(number, seconds=seconds)
                made.settle()
        later = sum(1 for id in made.begun if id > large)
        assert later <= (PATIENCE * processes + 1 + processes) * most
        assert later > 0 or processes == 1, "the others did not just stand idle"


# With processes


@pytest.mark.slow
def test_quanta_run_one_at_a_time_where_a_limit_says_so(tmp_path: Path) -> None:
    graph = enumerated({"reads": 6, "other": 6})
    needs = {"reads": {"cpus": 1, "db": 1}, "other": {"cpus": 1}}
    work = Exclusive(str(tmp_path / "held"), 6)
    outcomes = execute(MultiprocessExecutor(3), graph, work, resources=Resources(needs, {"db": 1}))
    assert {outcome.status for outcome in outcomes.values()} == {Status.SUCCEEDED}


class Exclusive:
    """Fails if two quanta with an id below a number run at the same time."""

    def __init__(self, path: str, below: int):
        self.path = path
        self.below = below

    def __call__(self, id: int) -> None:
        if id < self.below:
            Path(self.path).touch(exist_ok=False)
            Path(self.path).unlink()


@pytest.mark.slow
def test_the_command_packs_and_tasks_are_told(repository: Repository, tmp_path: Path) -> None:
    summary = tmp_path / "summary.json"
    done = run_pipetask(
        *repository.arguments("-j", "2", "--resources", "*=cpus=2,db=1", "--limit", "db=1,bd=2"),
        "--summary",
        str(summary),
    )
    assert done.code == 0, done.err
    assert "--limit bd limits nothing" in done.err
    assert "--limit db" not in done.err
    assert json.loads(summary.read_text())["status"] == "success"


@pytest.mark.slow
def test_the_command_refuses_before_it_touches_anything(repository: Repository) -> None:
    done = run_pipetask(*repository.arguments("-j", "2", "--resources", "*=cpus=3"))
    assert done.code == 2, done.err
    assert "needs 3 CPUs, and 2 CPUs is all there is (-j 2)." in done.err
    again = run_pipetask(*repository.arguments("-j", "2", "--resources", "nothing=cpus=3"))
    assert "there is no label or subset 'nothing'" in again.err


@pytest.mark.slow
def test_an_engine_packs_as_well(tmp_path: Path) -> None:
    graph = enumerated({"reads": 4, "other": 4})
    needs = {"reads": {"cpus": 1, "db": 1}, "other": {"cpus": 1}}
    work = Exclusive(str(tmp_path / "held"), 4)
    outcomes = execute(FuturesExecutor(Threads(3)), graph, work, resources=Resources(needs, {"db": 1}))
    assert {outcome.status for outcome in outcomes.values()} == {Status.SUCCEEDED}


# What others make of it


def test_tasks_are_told_what_their_label_says() -> None:
    spec = ButlerRunnerSpec(
        "g.qg",
        "repo",
        "run",
        (),
        memory_per_quantum="1000",
        cores_per_quantum=2,
        cores={"isr": 4},
        memory={"isr": 3 * 10**9},
    )
    told, others = _resources(spec, "isr"), _resources(spec, "coadd")
    assert (told.num_cores, told.max_mem.to_value("MB")) == (4, 3000)
    assert (others.num_cores, others.max_mem.to_value("MB")) == (2, 1000)


def test_jobs_of_htcondor_ask_for_memory_and_gpus(capsys: pytest.CaptureFixture[str]) -> None:
    system = CondorSystem(CondorOptions())
    asking, left = system.with_resources(declared("isr=memory=3GiB,gpus=1,db=1,cpus=2", limits=("db=4",)))
    settings = asking._configuration.for_labels(["isr"])
    assert (settings.request_memory, settings.request_gpus) == (3072, 1)
    assert asking._configuration.for_labels(["coadd"]).request_gpus == 0
    assert left == {"cpus", "db"}


def test_progress_shows_what_is_in_use() -> None:
    activity = Activity()
    activity.report_with(tuple, shares=lambda: [Share("cpus", 3, 4), Share("memory", 2 * 10**9, 10**10)])
    tally = Tally(enumerated({"a": 1}), {"a": 1}, activity)
    assert "in use cpus 3/4 memory 2GB/10GB" in progress_line(tally)
    console = Console(width=60, record=True, file=io.StringIO())
    console.print(ProgressTable(tally))
    assert "in use: cpus 3/4, memory 2GB/10GB" in console.export_text()
