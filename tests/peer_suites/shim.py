"""A pytest plugin that puts our graph executor in the place of pipe_base's, wherever its other executors make one."""

from __future__ import annotations

from typing import Any

import pytest
from lsst.pipe.base import separable_pipeline_executor
from lsst.pipe.base.single_quantum_executor import SingleQuantumExecutor

from pipetask import (
    ExecutionOptions,
    InProcessExecutor,
    MultiprocessExecutor,
    OutputOptions,
    PipeBaseGraphExecutor,
    RunOptions,
)
from pipetask.execution.pipe_base_adapter import PREPARED


def our_executor(
    *, num_proc: int, timeout: float, quantum_executor: SingleQuantumExecutor, fail_fast: bool = False
) -> PipeBaseGraphExecutor:
    """Make our executor from what pipe_base's takes."""
    butler: Any = quantum_executor._butler
    clobber, skip = quantum_executor._clobber_outputs, quantum_executor._skip_existing
    options = RunOptions(
        collections=OutputOptions(extend_run=True, clobber_outputs=clobber),
        pre_update=PREPARED,
        execution=ExecutionOptions(fail_fast=fail_fast),
        rerun_finished=clobber and not skip,
    )
    model = InProcessExecutor() if num_proc == 1 else MultiprocessExecutor(num_proc)
    return PipeBaseGraphExecutor(model, butler._config.configDir.ospath, options)


@pytest.fixture(autouse=True)
def _ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(separable_pipeline_executor, "MPGraphExecutor", our_executor)
