"""The contract of a batch system.

A batch system takes jobs and runs them some time, somewhere.  `BatchSystem` is all that the rest of the package knows
of one.  It leaves out what all of them share: `~pipetask.batch.executor.BatchExecutor` packs quanta into nodes
and writes the run directory, `~pipetask.batch.watch.RunWatch` counts quanta by state, and jobs run
`~pipetask.batch.node.run_node`.

A system's share of that
    - It writes what it needs into a folder of its own in the run directory, once, before anything is submitted.
    - It makes a job for each node.  A job runs ``python`` with `~pipetask.batch.node_commands.job_arguments`, in the
      run directory or with its path, and has standard output and error in ``logs/NODE.ID.out`` and ``.err``.
    - It starts a node when those that it needs have *ended*, however they ended: the job finds out which of its quanta
      can run.  Where jobs do not see the run directory, a node starts when those that it needs have succeeded.
    - The node ``first``, if there is one, comes before all others, and they start only if it has succeeded.  The node
      ``final`` comes after all others, however they ended, and also when the run is cancelled.
    - It makes another attempt at a node when the job was killed or evicted, exits with `ExitCode.INFRASTRUCTURE`, or
      exits with `ExitCode.OUT_OF_MEMORY` and can be given more memory; within limits.
    - Where it tells jobs their walltime: so it does after `ExitCode.OUT_OF_TIME`, if the job can be given more, and
      after `ExitCode.UNFINISHED`, however often: each of these attempts has ended some of the node's quanta.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Self

from ..errors import PipetaskError
from ..executors.resources import Resources
from ..executors.retries import RetryPolicy
from .bundling import NodeGraph
from .graph_parts import Part
from .run_directory import RunDirectory
from .status import Hold, NodeState, RunPhase

__all__ = ["BatchSystem", "Restarted", "RunPlan", "Snapshot", "SystemWatch"]


@dataclass(frozen=True)
class RunPlan:
    """A run that is being written, as the batch system sees it."""

    id: str
    """The run's, by which its jobs can be found."""

    path: Path
    """Path that the run directory will have; pass this one to jobs."""

    draft: Path
    """Where it is being written."""

    nodes: NodeGraph
    parts: Sequence[Part]
    """Nodes whose jobs do not see the run directory; see `pipetask.batch.graph_parts`."""

    first: bool
    """Whether there is a node before all others."""

    shared: bool
    """Whether all jobs see the run directory."""


@dataclass(frozen=True)
class Restarted:
    """What `BatchSystem.restart` did."""

    job: str
    """What the batch system calls the run."""

    found: bool
    """Whether it was in the queue already, and so was not submitted again."""

    done: int
    """Nodes that are not run again."""

    memory: Mapping[str, int] = field(default_factory=dict)
    """Nodes that ask for more memory than at first, with how many megabytes."""


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """What a batch system knows of a run at one moment."""

    phase: RunPhase

    states: Mapping[str, NodeState]
    """Of nodes by name, the first and the final one among them.  A node that is left out waits, or will never run if
    the run has failed."""

    holds: Sequence[Hold] = ()

    refused: Mapping[str, str] = field(default_factory=dict)
    """Nodes that have failed because their jobs never got into the queue, with the reason."""

    disconnected: Sequence[str] = ()
    """Nodes whose jobs wait for a machine that does not answer."""

    elapsed: float | None = None
    """Seconds from the first to the last that has happened since the run was submitted."""

    changed: float = 0.0
    """When something last happened, in seconds since 1970-01-01 UTC."""

    done_before: Collection[str] = ()
    """Nodes that were done when the run was last submitted."""

    notes: Sequence[str] = ()
    """What else a user should know, one line each."""


class SystemWatch(ABC):
    """Looks at one run as often as it is asked to; made by `BatchSystem.watch`.

    It reads what the batch system leaves in the run directory, or asks it.  It should read only what is new, and work
    when the run has long been over.
    """

    @abstractmethod
    def phase(self) -> RunPhase:
        """Return the phase of the run as a whole; this is called every second while a run is followed."""

    @abstractmethod
    def look(self) -> Snapshot:
        """Return what is known now.

        Raises
        ------
        pipetask.errors.PipetaskError
            If that cannot be found out.
        """

    def why_refused(self, node: str) -> str | None:
        """Return why the job of a node never got into the queue, if that was so."""
        return None

    def how_ended(self, node: str) -> str | None:
        """Return how the last job of a node ended, if it was ended from outside and nothing else tells that.

        It is a clause such as "its job reached its walltime".
        """
        return None


class BatchSystem(ABC):
    """A batch system, with the settings for one run.

    An instance that is made without arguments has to be able to do all that comes after `write`: the settings of a run
    that has been written are in its run directory.
    """

    name: ClassVar[str] = ""
    """What the run directory calls it, and ``--mode``: the name of its entry point in the group
    ``pipetask.batch_systems``.  Without one it is the class path, which is the default."""

    title: ClassVar[str] = ""
    """What messages call it; the name by default."""

    execution_model: ClassVar[str] = "pipetask.batch.executor:BatchExecutor"
    """Class path of the execution model that hands quanta to this system."""

    options_group: ClassVar[type | None] = None
    """A frozen dataclass of `~pipetask.options.declaration.option` fields, with the settings it takes from a command
    line."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "name" not in vars(cls):
            cls.name = f"{cls.__module__}:{cls.__qualname__}"
        if "title" not in vars(cls):
            cls.title = cls.name

    @classmethod
    def from_options(cls, options: Any) -> Self:
        """Make an instance for the command line.

        Parameters
        ----------
        options
            An instance of `options_group`, or `None` for a system without options.  By default the class is called
            with it.

        Raises
        ------
        pipetask.errors.UsageError
            If a setting means nothing.
        """
        return cls() if cls.options_group is None else cls(options)  # type: ignore[call-arg]

    @classmethod
    def how_to_ask_for_cpus(cls, number: int) -> str:
        """Return what a user does so that jobs have several CPUs, as the end of a sentence."""
        return f"see the settings of {cls.title}"

    @staticmethod
    def requested_memory() -> int | None:
        """Return the memory that this process has asked for in megabytes; `None` if it is no job, or not known."""
        return None

    @staticmethod
    def walltime_left() -> float | None:
        """Return the seconds after which this process will be killed; `None` if it is no job, or not known.

        Jobs ask this once, when they begin.  One that knows begins no quantum that will not fit.
        """
        return None

    def for_run(self, labels: Sequence[str], retries: RetryPolicy) -> Self:
        """Return this system with what a run itself asks for.

        Parameters
        ----------
        labels
            The labels of the graph.
        retries
            How often quanta are tried again; the system's settings decide what it leaves open.

        Raises
        ------
        pipetask.errors.UsageError
            If there are settings for labels that the graph does not have.
        """
        return self

    def with_resources(self, resources: Resources) -> tuple[Self, Collection[str]]:
        """Return a system whose jobs ask for what quanta need, and the names of what they cannot ask for.

        By default, jobs ask for nothing of it.

        Parameters
        ----------
        resources
            What quanta need, by label.
        """
        return self, resources.asked()

    def shares_files(self, labels: Collection[str]) -> bool:
        """Return whether jobs with quanta of these labels see the run directory."""
        return True

    def retried_in_jobs(self, retries: RetryPolicy, labels: Collection[str]) -> RetryPolicy:
        """Return what jobs try again themselves; what kills a job is tried again by the batch system."""
        return retries

    def check(self, labels: Sequence[str], path: Path, *, submit: bool) -> None:  # noqa: B027  nothing by default
        """Refuse, before anything is touched, what this system cannot do.

        Parameters
        ----------
        labels
            The labels of the graph.
        path
            Where the run directory will be.
        submit
            Whether the run will be submitted by this process.

        Raises
        ------
        pipetask.errors.PipetaskError
            With one line that says what, why and what to do.
        """

    @abstractmethod
    def write(self, plan: RunPlan) -> None:
        """Write what this system needs for a run into ``plan.draft``; an `OSError` may be raised."""

    @abstractmethod
    def submit(self, directory: RunDirectory) -> str:
        """Submit a run that was just written, unless it is in the queue, and return what the system calls it.

        Raises
        ------
        pipetask.errors.PipetaskError
            If the system does not take it; the user can still use ``pipetask restart``.
        """

    @abstractmethod
    def watch(self, directory: RunDirectory) -> SystemWatch:
        """Return what looks at a run."""

    @abstractmethod
    def cancel(self, directory: RunDirectory) -> bool:
        """Remove a run from the queue, and wait until all of its jobs have ended.

        If it can be done, the final job is let run before that; the command registers what was done if it did not.

        Returns
        -------
        cancelled
            `False` if there was nothing in the queue to cancel.

        Raises
        ------
        pipetask.errors.PipetaskError
            If jobs do not leave the queue.
        """

    def add_pilots(
        self, directory: RunDirectory, number: int, memory: str | None, walltime: str | None
    ) -> str:
        """Submit more pilots for a run that goes on, and return what the system calls them.

        Parameters
        ----------
        directory
            The run.
        number
            How many.
        memory, walltime
            What they ask for, as the user has written it; by default what the others have asked for at first.

        Raises
        ------
        pipetask.errors.PipetaskError
            If the system does not take them, or has none.
        """
        raise PipetaskError(f"{directory.path} has no pilots that could be added to: {self.title} has none.")

    def remove_waiting_pilots(self, directory: RunDirectory, number: int) -> int:
        """Remove up to so many pilots that wait in the queue, and return how many; others are asked to leave."""
        return 0

    @classmethod
    def how_pilot_ended(cls, directory: RunDirectory, job: str) -> str:
        """Return how the job of a pilot was ended that has left no word: ``memory``, or nothing if that is not known.

        Pilots ask this before they take over what another one ran, so it has to come from the run directory.

        Parameters
        ----------
        directory
            The run.
        job
            What the job was called in the environment of the pilot (`~pipetask.batch.pilots.pilot.JOB_VARIABLE`).
        """
        return ""

    @abstractmethod
    def restart(self, directory: RunDirectory) -> Restarted:
        """Submit what is missing of a run, unless it is in the queue.

        `pipetask.batch.ledger.Ledger.remainder` tells what is missing.  Call `RunDirectory.forget_end` when it
        is clear that the run will be submitted.

        Raises
        ------
        pipetask.errors.PipetaskError
            If the system does not take it.
        """
