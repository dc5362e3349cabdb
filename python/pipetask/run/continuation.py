"""The parts of a run that a batch model leaves to other processes: its first and its last step."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ..executors.base import ExecutionContext, QuantumExecutor
from ..graph.enumeration import QuantumData
from ..options.development import CoverageOptions, ProfileOptions
from ..options.execution import PreUpdate, RunOptions
from ..outcome import QuantumOutcome
from ..runner.spec import absolute_config

if TYPE_CHECKING:
    from ..observe.sink import Sink
    from ..observe.summary import RunSummary

__all__ = ["RunContinuation"]


class _NoExecutor(QuantumExecutor):
    """Stands for an execution model in a run that ends before the first quantum."""

    def __init__(self, batch_run: str | None):
        self.batch_run = batch_run

    def execute(
        self, quanta: Iterable[QuantumData], context: ExecutionContext
    ) -> Generator[QuantumOutcome, None, None]:
        raise AssertionError("the run was to end when the registry is ready")


@dataclass(frozen=True)
class RunContinuation:
    """A picklable recipe; both steps are runs of their own of the same graph.

    The first is one that ends when the registry is ready.  The last is one whose execution model replays what jobs have
    written down, so that registration, summary and report are those of any run.
    """

    repository: str
    output_run: str
    options: RunOptions

    @classmethod
    def of(cls, butler_config: str, output_run: str, options: RunOptions) -> RunContinuation:
        """Note what is needed to go on with a run in another process, in any working directory."""
        execution = replace(options.execution, profile=ProfileOptions(), coverage=CoverageOptions())
        update = replace(options.pre_update, take_over=False)  # once is enough
        options = replace(options, execution=execution, pre_update=update)
        return cls(absolute_config(butler_config), output_run, options)

    @property
    def deferred(self) -> bool:
        """Whether `begin` has something to do."""
        return self.options.pre_update.when is PreUpdate.DEFERRED

    def hold(self, batch_run: str, directory: str) -> None:
        """Note in the repository that a run directory has the output run, until `release`."""
        from ..repository.access import open_repository
        from ..repository.batch_lease import note_batch
        from ..repository.lease import lease_run

        with (
            open_repository(self.repository, writeable=True) as butler,
            lease_run(butler, self.output_run),
        ):
            note_batch(butler, self.output_run, batch_run, directory)

    def release(self, batch_run: str) -> bool:
        """Let others have the output run, and return whether the batch run had it."""
        from ..repository.access import open_repository
        from ..repository.batch_lease import end_batch

        with open_repository(self.repository, writeable=True) as butler:
            return end_batch(butler, self.output_run, batch_run)

    def begin(self, graph: str, batch_run: str | None = None) -> None:
        """Make the registry ready, which was put off."""
        from .graph_executor import QuantumGraphExecutor

        update = replace(self.options.pre_update, when=PreUpdate.NOW, init_only=True)
        options = replace(self.options, pre_update=update)
        QuantumGraphExecutor(_NoExecutor(batch_run), self.repository, options).execute(graph)

    def end(self, graph: str, executor: QuantumExecutor, sinks: Sequence[Sink] = ()) -> RunSummary:
        """Take outcomes from a model that replays them, register their outputs, and tell sinks."""
        from .graph_executor import QuantumGraphExecutor

        collections = replace(
            self.options.collections,
            extend_run=True,
            replace_run=False,
            prune_replaced=None,
            rebase=False,
            # The chain was made for these inputs; they are not to be compared with it once more.
            inputs=(),
        )
        update = replace(self.options.pre_update, when=PreUpdate.SKIP, init_only=False)
        options = replace(self.options, collections=collections, pre_update=update)
        return QuantumGraphExecutor(executor, self.repository, options, sinks).execute(graph)
