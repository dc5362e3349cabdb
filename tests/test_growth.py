"""What a quantum costs does not depend on how many went before."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from lsst.daf.butler.logging import ButlerLogRecords

from conftest import Repository
from pipetask import QuantumGraphExecutor, RunOptions
from pipetask.executors.base import QuantumExecutor
from pipetask.executors.condor import CondorExecutor
from pipetask.executors.delayed.node import ExitCode, run_node
from pipetask.executors.delayed.run_directory import RunDirectory
from pipetask.executors.in_process import InProcessExecutor
from pipetask.executors.pool import MultiprocessExecutor
from pipetask.options.collections import OutputOptions
from pipetask.options.delayed import DelayedOptions
from pipetask.options.execution import OutputButler, PreUpdateOptions
from pipetask.runner.quantum_runner import HISTORY
from pipetask.testing import MockPipeline

MakeRepository = Callable[..., Repository]

MANY = MockPipeline(exposures=8, detectors=4)
"""72 quanta, several times as many as a log may name."""


def execute(
    repository: Repository, executor: QuantumExecutor, butler: OutputButler = OutputButler.QUANTUM_BACKED
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
    written = DelayedOptions(run_dir=str(tmp_path / "run"), submit=False, bundle_size=1000, bundle_by=())
    execute(repository, CondorExecutor(written))
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
