"""A pytest plugin that puts our graph executor in the place of pipe_base's, and files in the place of memory."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from lsst.daf.butler import Butler, DatasetRef, Quantum
from lsst.pipe.base import mp_graph_executor, separable_pipeline_executor
from lsst.pipe.base.mp_graph_executor import MPGraphExecutorError
from lsst.pipe.base.simple_pipeline_executor import SimplePipelineExecutor
from lsst.pipe.base.single_quantum_executor import SingleQuantumExecutor
from lsst.pipe.base.tests import mocks

from pipetask import (
    ExecutionOptions,
    InProcessExecutor,
    MultiprocessExecutor,
    OutputOptions,
    PipeBaseGraphExecutor,
    PreUpdateOptions,
    QuantumExecutor,
    QuantumOptions,
    RunOptions,
)
from pipetask.execution.pipe_base_adapter import PREPARED

NEW = PreUpdateOptions(register_dataset_types=True, no_versions=True)

_fixup: Any = None


def fixup() -> Any:
    """Return what orders the quanta of the last executor that was made."""
    return _fixup


class OurGraphExecutor(PipeBaseGraphExecutor):
    """Our executor, made from what pipe_base's takes.

    The wording of errors differs by choice.  It is put into LSST's here, so that the rest of each test is seen.
    """

    pre_update = NEW

    def __init__(
        self,
        *,
        num_proc: int,
        timeout: float,
        quantum_executor: SingleQuantumExecutor,
        start_method: str = "forkserver",
        fail_fast: bool = False,
        execution_graph_fixup: Any = None,
    ):
        global _fixup
        _fixup = execution_graph_fixup
        butler: Any = quantum_executor._butler
        clobber, skip = quantum_executor._clobber_outputs, quantum_executor._skip_existing
        if self.pre_update is NEW:  # a repository in memory does not keep what workers have written
            clobber, skip = True, False
        options = RunOptions(
            collections=OutputOptions(extend_run=True, clobber_outputs=clobber),
            pre_update=self.pre_update,
            execution=ExecutionOptions(
                quantum=QuantumOptions(
                    timeout=timeout if num_proc > 1 else None
                ),  # pipe_base ignores it, too
                fail_fast=fail_fast,
                graph_fixup=None if _fixup is None else f"{__name__}.fixup",
            ),
            rerun_finished=clobber and not skip,
        )
        model: QuantumExecutor = InProcessExecutor()
        if num_proc > 1:
            model = MultiprocessExecutor(num_proc, start_method)
        super().__init__(model, butler._config.configDir.ospath, options)

    def execute(self, *args: Any, **kwargs: Any) -> None:
        """Execute a graph."""
        try:
            super().execute(*args, **kwargs)
        except MPGraphExecutorError as error:
            raise type(error)(f"One or more tasks failed; {error}") from error


class OurPreparedExecutor(OurGraphExecutor):
    """The same after ``pre_execute_qgraph``."""

    pre_update = PREPARED


class FileRepo(mocks.DirectButlerRepo):
    """Has its datasets in files, which our worker processes see, and not in memory."""

    def __init__(self, *args: str):
        self._stack = ExitStack()
        self._root = self._stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))
        config = Butler.makeRepo(f"{self._root}/repo")
        super().__init__(self._stack.enter_context(Butler.from_config(config, writeable=True)), *args)

    def close(self) -> None:
        """Remove it."""
        super().close()
        self._stack.close()

    def make_single_quantum_executor(self, qg: Any = None) -> tuple[SingleQuantumExecutor, Any]:
        """Return what writes to another copy of the repository, and that copy."""
        copy = tempfile.mkdtemp(dir=self._root)
        shutil.copytree(f"{self._root}/repo", copy, dirs_exist_ok=True)
        butler = self._stack.enter_context(Butler.from_config(copy, writeable=True))
        return SingleQuantumExecutor(butler=butler), FileButler(butler)


class FileButler:
    """What the tests ask a butler in memory for."""

    def __init__(self, butler: Butler):
        self._butler = butler

    def get_datasets(self, dataset_type: str) -> dict[DatasetRef, object]:
        """Return the datasets of a type, in the order in which they were written."""
        refs = self._butler.query_datasets(dataset_type, collections="*", find_first=False, explain=False)
        written = sorted(refs, key=lambda ref: Path(self._butler.getURI(ref).ospath).stat().st_mtime_ns)
        return {ref: self._butler.get(ref) for ref in written}


def as_generator(
    self: SimplePipelineExecutor, register_dataset_types: bool = False, save_versions: bool = True
) -> Iterator[Quantum]:
    """Execute the graph of a `SimplePipelineExecutor`; return its quanta."""
    butler: Any = self.butler
    quantum = QuantumOptions(raise_on_partial_outputs=self.raise_on_partial_outputs)
    options = RunOptions(
        collections=OutputOptions(extend_run=True),
        pre_update=PreUpdateOptions(
            register_dataset_types=register_dataset_types, no_versions=not save_versions
        ),
        execution=ExecutionOptions(quantum=quantum),
    )
    PipeBaseGraphExecutor(InProcessExecutor(), butler._config.configDir.ospath, options).execute(
        self.predicted
    )
    return iter(self.predicted.build_execution_quanta().values())


mp_graph_executor.MPGraphExecutor = OurGraphExecutor  # type: ignore[misc,assignment]
separable_pipeline_executor.MPGraphExecutor = OurPreparedExecutor  # type: ignore[misc,assignment]
SimplePipelineExecutor.as_generator = as_generator  # type: ignore[method-assign]
mocks.InMemoryRepo = FileRepo  # type: ignore[misc,assignment]
