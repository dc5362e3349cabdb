"""What a quantum costs does not depend on how many went before."""

from __future__ import annotations

import gc
import multiprocessing
import sys
import threading
import tracemalloc
import uuid
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest
from lsst.daf.butler.logging import ButlerLogRecords
from lsst.pipe.base import PipelineGraph

from conftest import Repository
from pipetask import BatchExecutor, CondorSystem, QuantumGraphExecutor, RunOptions
from pipetask.batch.exit_codes import ExitCode
from pipetask.batch.node import run_node
from pipetask.batch.run_directory import RunDirectory
from pipetask.executors.base import QuantumExecutor
from pipetask.executors.in_process import InProcessExecutor
from pipetask.executors.pool import MultiprocessExecutor
from pipetask.executors.stop import StopRequest
from pipetask.graph.enumeration import EnumeratedGraph
from pipetask.graph.file import GraphFile
from pipetask.observe.summary import MOST_TEXT, OutcomeCollector
from pipetask.options.batch import BatchOptions
from pipetask.options.collections import OutputOptions
from pipetask.options.execution import OutputButler, PreUpdateOptions
from pipetask.outcome import QuantumError, QuantumOutcome, Status, StoredOutputs
from pipetask.repository import registrar
from pipetask.repository.registrar import Registrar
from pipetask.runner import Ticket
from pipetask.runner.quantum_runner import HISTORY
from pipetask.runner.spec import ButlerRunnerSpec
from pipetask.testing import MockPipeline, enumerated

sys.path.insert(0, str(Path(__file__).parent.parent))
from benchmarks.growth import WANTED, Spent, call_functions, chains, walk, write_dag  # isort: skip

pytestmark = pytest.mark.slow

MakeRepository = Callable[..., Repository]

MANY = MockPipeline(exposures=8, detectors=4)
"""72 quanta, several times as many as a log may name."""


def execute(
    repository: Repository,
    executor: QuantumExecutor,
    butler: OutputButler = OutputButler.QUANTUM_BACKED,
) -> None:
    options = RunOptions(
        collections=OutputOptions(output="u/out", inputs=("input_chain",)),
        pre_update=PreUpdateOptions(register_dataset_types=True),
        output_butler=butler,
    )
    summary = QuantumGraphExecutor(executor, str(repository.root), options).execute(repository.graph)
    assert summary.exit_code == 0


def in_this_process(repository: Repository, tmp_path: Path) -> None:
    execute(repository, InProcessExecutor())


def through_the_full_butler(repository: Repository, tmp_path: Path) -> None:
    execute(repository, InProcessExecutor(), OutputButler.FULL)


def in_one_worker(repository: Repository, tmp_path: Path) -> None:
    execute(repository, MultiprocessExecutor(1))


def in_a_node(repository: Repository, tmp_path: Path) -> None:
    written = BatchOptions(run_dir=str(tmp_path / "run"), submit=False, bundle_size=1000, bundle_by=())
    execute(repository, BatchExecutor(CondorSystem(), written))
    assert run_node(RunDirectory(tmp_path / "run"), "0") is ExitCode.DONE


@pytest.mark.parametrize("run", [in_this_process, through_the_full_butler, in_one_worker, in_a_node])
def test_a_log_does_not_grow_with_those_before_it(
    make_repository: MakeRepository, tmp_path: Path, run: Callable[[Repository, Path], None]
) -> None:
    repository = make_repository(MANY)
    run(repository, tmp_path)
    logs = list((repository.root / "u/out/run/characterize_log").rglob("*.json"))
    assert len(logs) == 32
    extras = [ButlerLogRecords.from_file(str(log)).extra for log in logs]
    assert max(len(set(extra["previous_process_quanta"])) for extra in extras) == HISTORY
    first, *_, last = sorted(logs, key=lambda log: log.stat().st_mtime_ns)
    assert last.stat().st_size < first.stat().st_size + 45 * HISTORY + 100


@pytest.mark.parametrize("run", [walk, write_dag, call_functions])
def test_a_quantum_costs_the_same_in_a_larger_run(run: Callable[[EnumeratedGraph], Spent]) -> None:
    """The small version of ``python -m benchmarks growth``: memory and bytes, since a time decides nothing here."""
    run(chains(100))
    costs = []
    for size in (1_000, 4_000):
        graph = chains(size)
        tracemalloc.start()
        spent = run(graph)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        costs.append((peak / size, spent.disk / size))
    (memory, disk), (more_memory, more_disk) = costs
    assert more_memory <= WANTED * memory
    assert more_disk <= WANTED * disk


def kept_by_worker(root: Path, graph: Path) -> list[tuple[int, int]]:
    """Run quanta as a worker does; return objects and open files after each third of them."""
    file = GraphFile(str(graph))
    spec = ButlerRunnerSpec(str(graph), str(root), "u/out/run", ("u/out/run", "input_chain"), registry=False)
    runner, kept = spec.open(), []
    for quantum in EnumeratedGraph(file.structure, file):
        ticket = Ticket(quantum.id, quantum.quantum_id.bytes)
        runner.load([ticket])
        assert runner.run(ticket).status is Status.SUCCEEDED
        if quantum.id % 24 == 23:
            gc.collect()
            kept.append((len(gc.get_objects()), len(list(Path("/proc/self/fd").iterdir()))))
    runner.close()
    return kept


def test_a_worker_keeps_nothing_of_a_quantum(make_repository: MakeRepository) -> None:
    repository = make_repository(MANY)
    # In a process of its own, where nothing else makes objects.
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as apart:
        first, second, third = apart.submit(kept_by_worker, repository.root, repository.graph).result()
    assert first[1] == second[1] == third[1], "open files"
    assert min(second[0] - first[0], third[0] - second[0]) <= 24, "less than one for each quantum"


def test_many_failures_do_not_fill_the_memory() -> None:
    collector = OutcomeCollector(graph := enumerated({"isr": 1500}), header=None)
    text = "x" * 100_000
    for quantum in graph:
        error = QuantumError("ValueError", text, f"{quantum.id}{text}")
        before = QuantumOutcome(quantum.id, Status.KILLED, error=QuantumError("OSError", text, text))
        collector.note(QuantumOutcome(quantum.id, Status.FAILED, error=error, earlier=(before,)))
    stop = StopRequest()
    summary = collector.summary(stop)
    stop.close()
    assert summary.outcomes[0].error == QuantumError("ValueError", text, f"0{text}")
    assert sum(outcome.text_size for outcome in summary.outcomes) < MOST_TEXT + 1500 * 5000
    assert all(
        "characters left out" in each.error.traceback for each in summary.outcomes[1000:] if each.error
    )
    assert repr(summary).startswith("RunSummary: failed: 1500 quanta")
    assert len(repr(summary)) < 1000


def test_quanta_wait_for_a_slow_database(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registrar, "MOST_WAITING", 4)
    monkeypatch.setattr(registrar, "MOST_DATASETS", 2)
    may_write, written, handed_over = threading.Event(), [], []

    class Slow(Registrar):
        def _write(self, batch: list[StoredOutputs]) -> None:
            may_write.wait()
            written.extend(batch)

    slow = Slow(None, PipelineGraph(), "run", extend_run=False, again="again")  # type: ignore[arg-type]

    def hand_over() -> None:
        for _ in range(50):
            slow.register(StoredOutputs([("isr", uuid.uuid4(), ())], {}, []))
            handed_over.append(1)

    producer = threading.Thread(target=hand_over)
    producer.start()
    producer.join(0.5)
    assert len(handed_over) <= 6, "two of them in a transaction, four that wait"
    may_write.set()
    producer.join()
    slow.close()
    assert len(written) == 50
