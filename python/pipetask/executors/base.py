"""The contract of an execution model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from ..graph.enumeration import EnumeratedGraph, QuantumData
from ..outcome import INVALID_QUANTUM, QuantumOutcome
from ..runner import RunnerSpec, Ticket
from .activity import Activity
from .continuation import Continuation
from .elsewhere import Elsewhere
from .ledger import Account
from .resources import Resources
from .retries import NO_RETRIES, RetryPolicy
from .stop import StopRequest

__all__ = ["ExecutionContext", "QuantumExecutor", "Traits"]


@dataclass(frozen=True, kw_only=True)
class Traits:
    """What the rest of a run has to know about an execution model.

    A model says it in its class attribute `QuantumExecutor.traits`.  An instance whose options change a trait sets an
    attribute of the same name: ``self.traits = replace(self.traits, implicit_threads=True)``.
    """

    executes: bool = True
    """Whether quanta are executed.  `False`: the model only looks, and the repository is not written to."""

    in_process: bool = False
    """Whether tasks run in the calling process, where threads of libraries must then be limited."""

    implicit_threads: bool = False
    """Whether libraries (BLAS, OpenMP) may start threads of their own where quanta run."""

    retries: bool = False
    """Whether the model makes other attempts at quanta, as `ExecutionContext.retries` says.  Otherwise a run that asks
    for them is refused."""

    resources: bool = False
    """Whether the model respects `ExecutionContext.resources`, or hands them on.  Otherwise a run that has some is
    refused."""

    shared_limits: bool = False
    """Whether the model notes in `ExecutionContext.account` what it uses of limits that other models draw on, too."""

    parts: bool = False
    """Whether the model can run a part of a graph while others run the rest: it tells its frontier of
    `ExecutionContext.elsewhere`, and waits for it, too."""

    batch: bool = False
    """Whether quanta run after `QuantumExecutor.execute` has returned.  Only then can the registry be made ready later,
    by the first job."""

    replays: bool = False
    """Whether the outcomes are of quanta that have run elsewhere.  Then quanta that are stored are not left out."""

    goes_on: bool = False
    """For a model that replays: whether the run has not come to its end yet."""

    register_again: str = "run the same command with --extend-run"
    """How a user can register outputs that could not be registered, once the cause is fixed."""


@dataclass(frozen=True, repr=False)
class ExecutionContext:
    """What an execution model is told besides the stream of quanta."""

    graph: EnumeratedGraph
    """Looks up labels and data IDs of ids."""

    runner: RunnerSpec
    """Recipe for what runs a quantum."""

    stop: StopRequest = field(default_factory=StopRequest)
    """Whether the run is to end early."""

    fail_fast: bool = False
    """Whether the first failure ends the run; `note_failure` sees to that."""

    timeout: float | None = None
    """Seconds that one quantum may take."""

    registered_before: frozenset[int] = frozenset()
    """Positions in the structure of quanta with registered outputs of an attempt that did not succeed."""

    done: frozenset[int] = frozenset()
    """Positions in the structure of quanta that an earlier attempt has done; the stream leaves them out."""

    activity: Activity = field(default_factory=Activity)
    """Where the model says which quanta run at this moment."""

    retries: RetryPolicy = NO_RETRIES
    """Which failures are tried again, and when."""

    resources: Resources | None = None
    """What quanta need, by label; `None` if nothing was declared."""

    labels: Collection[str] | None = None
    """Labels of the quanta that this model runs, if it runs only a part of the graph."""

    elsewhere: Elsewhere | None = None
    """What other models do of the same graph, if this one runs only a part of it."""

    account: Account | None = None
    """What is in use of limits that other models of the same run draw on, too."""

    subsets: Callable[[], Mapping[str, Collection[str]]] = dict
    """Returns the labels of each subset of the pipeline."""

    later: Continuation | None = None
    """What other processes need to begin and end this run; `None` where no registry takes part."""

    hand_over: Callable[[str, str], None] = lambda batch_run, directory: None
    """Reserves the output run, which this process has had so far, for a batch run (its identifier, its run directory).
    A batch model calls it when the directory is complete."""

    def __repr__(self) -> str:
        return (
            f"<ExecutionContext: {len(self.graph.structure)} quanta, {len(self.done)} of them done, "
            f"timeout={self.timeout}, fail_fast={self.fail_fast}>"
        )

    def ticket(self, quantum: QuantumData, attempt: int = 1, *, new_inputs: bool = False) -> Ticket:
        """Return what a worker is told about a quantum: which attempt it is, and whether its inputs are new."""
        id_bytes = self.graph.structure.quantum_id_bytes(quantum.position)
        return Ticket(quantum.id, id_bytes, quantum.position in self.registered_before, attempt, new_inputs)

    def note_failure(self, outcome: QuantumOutcome) -> None:
        """Ask for the run's end if this outcome calls for it.

        An invalid quantum says that the pipeline itself is wrong, and ends the run like ``--fail-fast``.
        """
        invalid = outcome.error is not None and outcome.error.exit_code == INVALID_QUANTUM
        if outcome.status.is_failure and (self.fail_fast or invalid):
            self.stop.ask(f"{self.graph.describe(outcome.id)} {outcome.status.value}")


class QuantumExecutor(ABC):
    """An execution model: how quanta get run.  Only `execute` has to be written."""

    traits: Traits = Traits()
    """What the rest of a run has to know about this model."""

    options_group: ClassVar[type[Any] | None] = None
    """A frozen dataclass of this model's own options (see `pipetask.options.declaration`).  The command line offers
    them if the model has a name."""

    batch_run: str | None = None
    """Identifier of the batch run that this instance works for: the only one that may write to the output run."""

    @classmethod
    def from_options(cls, options: Any) -> QuantumExecutor:
        """Make an instance for the command line.

        Parameters
        ----------
        options
            An instance of `options_group`; `None` for a model without options.  By default the class is called with it.

        Raises
        ------
        pipetask.errors.UsageError
            If the options make no sense for this model.
        """
        return cls() if cls.options_group is None else cls(options)  # type: ignore[call-arg]

    @classmethod
    def instead_of(cls, option: str, value: Any) -> str | None:
        """Return what a user can do instead of giving an option of another model, as the end of a sentence.

        Parameters
        ----------
        option
            Name of the option's field.
        value
            Its value.
        """
        return None

    def check(self, context: ExecutionContext) -> None:  # noqa: B027  nothing to refuse by default
        """Refuse, before anything is touched, what this model cannot do.

        Raises
        ------
        pipetask.errors.PipetaskError
            With one line that says what and why.
        """

    def prepare(self) -> None:  # noqa: B027  nothing to prepare by default
        """Start slow preparations in the background, as soon as it is clear that this model will be used."""

    def preload(self, task_names: Callable[[], Sequence[str]]) -> None:  # noqa: B027  nothing by default
        """Begin to import the graph's tasks, in the background, where quanta will run.

        Parameters
        ----------
        task_names
            Returns the full names of the task classes.
        """

    @abstractmethod
    def execute(
        self, quanta: Iterable[QuantumData], context: ExecutionContext
    ) -> Generator[QuantumOutcome, None, None]:
        """Execute a stream of quanta.

        Parameters
        ----------
        quanta
            The stream.  A quantum comes before any other that has it as a prerequisite.  The end of the stream means
            that there are no more quanta.
        context
            Everything else the model may need.

        Yields
        ------
        outcome
            One for each quantum taken from the stream, exactly once, in the order they end.

        Notes
        -----
        Take quanta from the stream only as fast as they can be used.  Write it as a generator: closing it ends the
        run, and whatever was started for it.
        """

    def settle(self) -> None:  # noqa: B027  nothing by default
        """Wait until all is gone that was started for the last run.

        A model may end what it has started in the background while outcomes are registered.
        """
