"""The first and the last step of a batch run, which other processes do.

Both are runs of the same graph.  The first ends when the registry is ready.  The execution model of the last replays
what jobs have recorded, so registration, summary and report are those of any other run.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from dataclasses import replace

from ..executors.base import ExecutionContext, QuantumExecutor
from ..executors.continuation import Continuation
from ..graph.enumeration import QuantumData
from ..observe.sink import Sink
from ..observe.summary import RunSummary
from ..options.execution import PreUpdate
from ..outcome import QuantumOutcome
from ..repository.access import open_repository
from ..repository.batch_lease import end_batch, note_batch
from ..repository.lease import lease_run
from .graph_executor import QuantumGraphExecutor

__all__ = ["begin", "end", "hold", "release"]


class _NoExecutor(QuantumExecutor):
    """Stands for an execution model in a run that ends before the first quantum."""

    def __init__(self, batch_run: str | None):
        self.batch_run = batch_run

    def execute(
        self, quanta: Iterable[QuantumData], context: ExecutionContext
    ) -> Generator[QuantumOutcome, None, None]:
        raise AssertionError("the run was to end when the registry is ready")


def hold(continuation: Continuation, batch_run: str, directory: str) -> None:
    """Reserve the output run for a run directory, until `release`.

    Parameters
    ----------
    continuation
        The repository and the output run.
    batch_run
        Identifier of the batch run.
    directory
        Its run directory.

    Raises
    ------
    pipetask.errors.PipetaskError
        If another command or another run directory has the output run.
    """
    with (
        open_repository(continuation.repository, writeable=True) as butler,
        lease_run(butler, continuation.output_run),
    ):
        note_batch(butler, continuation.output_run, batch_run, directory)


def release(continuation: Continuation, batch_run: str) -> bool:
    """Give up the reservation of the output run, and return whether the batch run had it.

    Parameters
    ----------
    continuation
        The repository and the output run.
    batch_run
        Identifier of the batch run.
    """
    with open_repository(continuation.repository, writeable=True) as butler:
        return end_batch(butler, continuation.output_run, batch_run)


def begin(continuation: Continuation, graph: str, batch_run: str | None = None) -> None:
    """Make the registry ready, which the command that wrote the run has left to its first job.

    Parameters
    ----------
    continuation
        The run.
    graph
        Its ``.qg`` file.
    batch_run
        Identifier of the batch run.
    """
    update = replace(continuation.options.pre_update, when=PreUpdate.NOW, init_only=True)
    options = replace(continuation.options, pre_update=update)
    QuantumGraphExecutor(_NoExecutor(batch_run), continuation.repository, options).execute_to_end(graph)


def end(
    continuation: Continuation, graph: str, executor: QuantumExecutor, sinks: Sequence[Sink] = ()
) -> RunSummary:
    """Take outcomes from a model that replays what happened elsewhere, and register their outputs.

    Parameters
    ----------
    continuation
        The run.
    graph
        Its ``.qg`` file.
    executor
        A model that replays (see `~pipetask.executors.base.Traits`); if it does not execute, the registry is only read.
    sinks
        What is told about outcomes, and about the end.
    """
    collections = replace(
        continuation.options.collections,
        extend_run=True,
        replace_run=False,
        prune_replaced=None,
        rebase=False,
        # The chain was made for these inputs; they are not to be compared with it again.
        inputs=(),
    )
    update = replace(continuation.options.pre_update, when=PreUpdate.SKIP, init_only=False)
    options = replace(continuation.options, collections=collections, pre_update=update)
    return QuantumGraphExecutor(executor, continuation.repository, options, sinks).execute_to_end(graph)
