"""Submit, cancel and restart a run on Slurm, and make sure that it has happened."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

from ...errors import PipetaskError
from ..job_settings import retried_in_jobs
from ..ledger import Ledger, UnfinishedNode
from ..names import FINAL
from ..rounds import Cause, to_run_again
from ..run_directory import RunDirectory
from ..system import Restarted
from .arrays import Demand, Nodes
from .client import call
from .configuration import SlurmConfiguration
from .journal import Journal, State
from .layout import Layout, RunRecord
from .limits import Limits
from .planning import Plan, make_round
from .queue import Element, look
from .round import Round, read_rounds, write_round
from .submission import only_one, submit_round
from .verdicts import History

__all__ = ["Run", "cancel", "continue_run", "restart", "submit_new"]

_PATIENCE = 300.0
"""Seconds that jobs have to leave the queue."""

_AGAIN = 5.0
"""Seconds after which jobs that are still in the queue are removed once more."""


@dataclass(frozen=True)
class Run:
    """A run, as commands and jobs open it."""

    directory: RunDirectory
    layout: Layout
    configuration: SlurmConfiguration
    record: RunRecord

    @classmethod
    def open(cls, directory: RunDirectory) -> Run:
        """Read the settings of a run."""
        layout = Layout(directory.path)
        return cls(directory, layout, SlurmConfiguration.load(str(layout.configuration)), layout.record())

    @property
    def journal(self) -> Journal:
        """Its journal."""
        return Journal(self.layout.journal)

    def in_queue(self) -> list[Element]:
        """Return what is in the queue and has not ended.

        A final job that has noted the end of the run counts as ended, although Slurm still sees it for a moment.
        """
        found = look(self.record.name, self.record.id, self.configuration.run.patience)
        rounds = self.journal.read().rounds
        ended = {
            (number, progress.final) for number, progress in rounds.items() if progress.ended is not None
        }
        return [each for each in found if not each.is_over and (each.round, each.job) not in ended]

    def nodes(self) -> Nodes:
        """Read what there is to run."""
        with self.directory.index() as index:
            return Nodes(index)

    def submit(self, new: Round) -> str:
        """Submit a round, and return what it is called."""
        # What was absent before says nothing of these.
        self.layout.absent.unlink(missing_ok=True)
        jobs = submit_round(self.directory, self.configuration, self.record, new)
        if new.left_out:
            print(
                f"Slurm has room for {new.nodes:,} of {new.nodes + new.left_out:,} jobs now; the final job of "
                "these submits the others.",
                file=sys.stderr,
            )
        return called(jobs)

    def start(self, new: Round) -> str:
        """Submit a round because a person has asked for it."""
        self.journal.note("started", new.number)
        return self.submit(new)

    def write(self, plan: Plan, nodes: Nodes) -> Round:
        """Write the scripts of another round."""
        limits = Limits.asked_for(self.configuration.run, len(plan.demands) + 2)
        new = make_round(nodes, self.configuration, limits, plan)
        if plan.demands and not new.nodes:
            raise PipetaskError(
                f"Slurm has no room for jobs of {self.directory.path} (at most {limits.submit} now): try again "
                f"later with: pipetask restart {self.directory.path}"
            )
        write_round(self.layout, self.directory.path, self.configuration, self.record, new)
        return new


def called(jobs: list[str]) -> str:
    """Return what a few jobs are called in a message."""
    return f"job {jobs[0]}" if len(jobs) == 1 else f"jobs {jobs[0]} to {jobs[-1]}"


def submit_new(directory: RunDirectory) -> str:
    """Submit a run that was just written, and return what Slurm calls it."""
    run = Run.open(directory)
    with only_one(run.layout):
        return run.start(_first_round(run))


def _first_round(run: Run) -> Round:
    """Return the first round, which is written again if Slurm takes less than was thought."""
    (new,) = read_rounds(run.layout)
    if run.journal.read().rounds:
        return new  # it was interrupted
    limits = Limits.asked_for(run.configuration.run, run.directory.facts.nodes + 2)
    if limits == new.limits:
        return new
    places = {node: array.demand for array in new.arrays if array.labels for node in array.nodes}
    if new.left_out:
        places = at_first(run)
    return run.write(Plan(1, True, places, {}, (), run.record.first), run.nodes())


def at_first(run: Run) -> dict[str, Demand]:
    """Return what all nodes ask for at first."""
    nodes = run.nodes()
    demands = {
        labels: Demand(settings.memory, settings.time)
        for labels in nodes.kinds()
        for settings in (run.configuration.for_labels(labels),)
    }
    return {name: demands[labels] for name, labels in zip(nodes.names, nodes.labels, strict=True)}


def cancel(directory: RunDirectory, patience: float = _PATIENCE) -> bool:
    """Remove a run from the queue, and wait until all of its jobs have ended.

    Parameters
    ----------
    directory
        The run.
    patience
        Seconds to wait.

    Returns
    -------
    cancelled
        `False` if there was nothing in the queue to cancel.

    Raises
    ------
    PipetaskError
        If Slurm does not answer, or if jobs do not leave the queue.
    """
    run = Run.open(directory)
    if not run.in_queue():
        return False
    # First of all, so that the final job submits nothing any more.
    run.journal.note("cancelled")
    deadline = time.monotonic() + patience
    told, last = set[str](), 0.0
    while left := run.in_queue():
        jobs = {each.job for each in left}
        # Once more now and then: one that was just ending may have put itself back into the queue.
        if jobs - told or time.monotonic() - last > _AGAIN:
            call("scancel", sorted(jobs), patience=run.configuration.run.patience)
            told, last = told | jobs, time.monotonic()
        if time.monotonic() > deadline:
            raise PipetaskError(
                f"{len(left)} jobs of {directory.path} are still in the queue (such as {left[0].id}): try scancel "
                f"{left[0].job}, and then pipetask run-node {directory.path} {FINAL}"
            )
        time.sleep(0.5)
    return True


def restart(directory: RunDirectory) -> Restarted:
    """Submit what is missing of a run, or continue a submission that was interrupted.

    Raises
    ------
    PipetaskError
        If Slurm does not take it.
    """
    run = Run.open(directory)
    with only_one(run.layout):
        state, rounds = run.journal.read(), read_rounds(run.layout)
        if _is_interrupted(state):
            new = rounds[state.last - 1]
            return Restarted(run.start(new), False, len(new.done))
        if left := run.in_queue():
            return Restarted(called(sorted({each.job for each in left}, key=int)), True, 0)
        if not state.rounds:
            return Restarted(run.start(_first_round(run)), False, 0)
        return _start_again(run, rounds, state)


def _is_interrupted(state: State) -> bool:
    """Return whether the last submission was not brought to its end."""
    progress = state.rounds.get(state.last)
    return progress is not None and progress.released is None and not state.cancelled


def _start_again(run: Run, rounds: list[Round], state: State) -> Restarted:
    directory, remainder = run.directory, Ledger(run.directory).remainder()
    history = History(run.layout, run.configuration, rounds, state)
    demands, raised = {}, {}
    for node in remainder.left:
        demand = demands[node.name] = _demand_at_restart(history, node)
        if demand.memory > run.configuration.for_labels(node.labels).memory:
            raised[node.name] = demand.memory
    _renew_retries(run)
    plan = Plan(rounds[-1].number + 1, True, demands, {}, remainder.done, not _is_begun(run))
    new = run.write(plan, run.nodes())
    directory.forget_end()
    return Restarted(run.start(new), False, len(remainder.done), raised)


def _demand_at_restart(history: History, node: UnfinishedNode) -> Demand:
    """Return what a node asks for: more if it has run out of something, whatever the budget is."""
    cause = to_run_again([node], history.verdict).get(node.name)
    return history.demand(node) if cause is None else history.next_demand(node, cause)


def _renew_retries(run: Run) -> None:
    """Let jobs try again what the present settings say."""
    recipe = run.directory.recipe()
    settings = {label: run.configuration.for_labels([label]) for label in run.directory.facts.labels}
    allowed = {label: (each.retries, each.error_retries) for label, each in settings.items()}
    retries = retried_in_jobs(recipe.retries, allowed, list(settings))
    if retries != recipe.retries:
        run.directory.write_recipe(replace(recipe, retries=retries))


def _is_begun(run: Run) -> bool:
    return not run.record.first or run.directory.begun.exists()


def continue_run(run: Run, number: int) -> bool:
    """Submit what has to run again after a round, and return whether there is something.

    Parameters
    ----------
    run
        The run.
    number
        Number of the round that has ended.

    Raises
    ------
    PipetaskError
        If Slurm does not take it.
    """
    with only_one(run.layout):
        state, rounds = run.journal.read(), read_rounds(run.layout)
        if state.cancelled:
            return False
        if state.last > number:  # this job was started again
            if _is_interrupted(state):
                run.submit(rounds[state.last - 1])
            return True
        rounds = rounds[:number]
        causes, demands = _again(run, rounds, state)
        if not demands or _rounds_since_start(rounds) > run.configuration.run.rounds:
            return False
        plan = Plan(number + 1, False, demands, causes, rounds[-1].done, not _is_begun(run))
        run.submit(run.write(plan, run.nodes()))
        return True


def _again(run: Run, rounds: list[Round], state: State) -> tuple[Mapping[str, str], Mapping[str, Demand]]:
    history = History(run.layout, run.configuration, rounds, state)
    left = {node.name: node for node in Ledger(run.directory).remainder().left}
    causes = to_run_again(left.values(), history.verdict)
    demands = {name: history.next_demand(left[name], cause) for name, cause in causes.items()}
    return {name: cause.value for name, cause in causes.items()}, demands


def _rounds_since_start(rounds: list[Round]) -> int:
    """Return the number of rounds, without those for which there was no room before."""
    start = max(position for position, each in enumerate(rounds) if each.starts)
    return sum(Cause.LEFT_OUT.value not in each.causes.values() for each in rounds[start:])
