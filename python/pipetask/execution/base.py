"""What both graph executors have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from ..executors.base import QuantumExecutor
from ..executors.modes import instance_of
from ..graph.file import GraphLike
from ..graph.fixup import load_graph_fixup
from ..observe.sink import Sink
from ..observe.summary import RunSummary
from ..options.declaration import check_group
from ..options.execution import ExecutionOptions
from .interruption import raise_if_interrupted

__all__ = ["GraphExecutor"]


class HasExecutionOptions(Protocol):
    """Options of a run, whatever else they say."""

    @property
    def execution(self) -> ExecutionOptions:
        """How the quanta are executed."""


Options = TypeVar("Options", bound=HasExecutionOptions)


class GraphExecutor(ABC, Generic[Options]):
    """Executes quantum graphs with one execution model.

    Parameters
    ----------
    executor
        The execution model, or its name, such as ``multiprocess``, for one with its default options.
    butler_config
        Root, configuration file or alias of the repository.
    options
        How to execute.
    sinks
        What receives each outcome, and the summary at the end; the registry need not be among them.

    Raises
    ------
    UsageError
        If the options are of another class, or name a graph fixup that cannot be loaded.
    """

    _group: ClassVar[type[Any]]
    """The class of the options."""

    def __init__(
        self,
        executor: QuantumExecutor | str,
        butler_config: str | Path,
        options: Options,
        sinks: Sequence[Sink] = (),
    ):
        self._executor = instance_of(executor)
        check_group(options, self._group)
        self._config = str(butler_config)
        self._options = options
        self._sinks = tuple(sinks)
        fixup = options.execution.graph_fixup
        self._fixup = load_graph_fixup(fixup) if fixup else None

    def execute(self, graph: GraphLike) -> RunSummary:
        """Execute a graph.

        Parameters
        ----------
        graph
            A ``.qg`` or ``.qgraph`` file, or a graph of pipe_base's.

        Returns
        -------
        summary
            What became of each quantum.  A failed quantum is an outcome and not an exception.  If something ended a run
            that had begun, that is the summary's ``error``.

        Raises
        ------
        RunInterrupted
            After SIGINT (Ctrl-C, the interruption of a notebook's kernel).  What was finished stays finished, and is
            registered if there is a registry; the attribute ``summary`` has all outcomes.
        PipetaskError
            If the run could not begin, for instance because another command is writing to it.
        """
        return raise_if_interrupted(self.execute_to_end(graph))

    @abstractmethod
    def execute_to_end(self, graph: GraphLike) -> RunSummary:
        """Execute a graph as `execute` does, and return the summary also after SIGINT; for the command.

        Parameters
        ----------
        graph
            The graph.
        """
