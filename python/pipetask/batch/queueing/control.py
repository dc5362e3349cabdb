"""Submit, cancel and restart a run, and make sure that it has happened."""

from __future__ import annotations

import sys
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from ...errors import PipetaskError
from ..attempt_ends import AttemptEnds
from ..exit_codes import ExitCode
from ..ledger import Ledger, UnfinishedNode
from ..names import FINAL, FIRST
from ..pilots.look import has_pilots
from ..rounds import Cause, to_run_again
from ..run_directory import RunDirectory
from ..system import Restarted
from .absence import Absence
from .arrays import Demand, Nodes
from .client import QueueLimitError, QueueUnknownError
from .configuration import QueueConfiguration
from .dialect import Dialect
from .job_script import first_failed
from .journal import Journal, State
from .layout import Layout, RunRecord
from .limits import Limits
from .pilot_rounds import raised_demand, what_pilots_left, write_next_round
from .planning import Plan, make_round
from .queue import Element
from .round import Round, read_rounds, write_round
from .submission import only_one, submit_round
from .verdicts import History

__all__ = ["Run", "cancel", "continue_run", "restart", "submit_new", "withdraw"]

_PATIENCE = 300.0
"""Seconds that jobs have to leave the queue."""

_AGAIN = 5.0
"""Seconds after which jobs that are still in the queue are removed once more."""


@dataclass(frozen=True)
class Run:
    """A run, as commands and jobs open it."""

    system: Dialect[Any]
    directory: RunDirectory
    layout: Layout
    configuration: QueueConfiguration[Any]
    record: RunRecord

    @classmethod
    def open(cls, directory: RunDirectory, system: Dialect[Any]) -> Run:
        """Read the settings of a run."""
        kind = system.configuration_type
        layout = Layout(directory.path, kind.shape.whole)
        return cls(system, directory, layout, kind.load(str(layout.configuration)), layout.record())

    @property
    def patience(self) -> float:
        """Seconds that a command of the system may take."""
        return self.configuration.run.patience

    @property
    def journal(self) -> Journal:
        """Its journal."""
        return Journal(self.layout.journal)

    def in_queue(self) -> list[Element]:
        """Return what is in the queue and has not ended.

        A final job that has noted the end of the run counts as ended, although it is still seen for a moment.
        """
        found = self.all_elements()
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
        Absence(self.layout.absent).ends()
        jobs = submit_round(self.system, self.directory, self.layout, self.configuration, self.record, new)
        if new.left_out:
            print(
                f"{self.system.title} has room for {new.nodes:,} of {new.nodes + new.left_out:,} jobs now; the final "
                "job of these submits the others.",
                file=sys.stderr,
            )
        return called(jobs)

    def all_elements(self) -> list[Element]:
        """Return all that the system still knows of the run, also what has ended."""
        return self.system.look(self.layout, self.record, self.patience)

    def ended_elements(self) -> list[Element]:
        """Return what the system still knows of what has ended, with how it did."""
        return self.system.look_at_ended(self.layout, self.record, self.patience)

    def start(self, new: Round) -> str:
        """Submit a round because a person has asked for it."""
        self.journal.note("started", new.number)
        try:
            return self.submit(new)
        except QueueLimitError as error:
            how = f"when there is room, continue with: pipetask restart {self.directory.path}"
            raise QueueLimitError(f"{error}  The submission is not complete; {how}") from error

    def write(self, plan: Plan, nodes: Nodes) -> Round:
        """Write the scripts of another round."""
        limits = self.limits_now(len(plan.demands) + 2)
        new = make_round(nodes, self.configuration, limits, plan)
        if plan.demands and not new.nodes:
            raise QueueLimitError(
                f"{self.system.title} has no room for jobs of {self.directory.path} (at most {limits.submit} now): try "
                f"again later with: pipetask restart {self.directory.path}"
            )
        write_round(self.system, self.layout, self.directory.path, self.configuration, self.record, new)
        if self.configuration.run.pilots:
            write_next_round(self.directory, plan.demands, starts=plan.starts)
        return new

    def limits_now(self, wanted: int) -> Limits:
        """Ask how many jobs are taken now; so many are wanted."""
        limits = self.system.limits(self.patience, wanted).lowered(self.configuration.run)
        kinds = [self.configuration.for_labels([label]) for label in self.directory.facts.labels]
        kinds += [self.configuration.for_node(node) for node in (FIRST, FINAL)]
        room = self.system.room_for_user(self.patience, kinds)
        return limits if room is None else replace(limits, submit=max(0, min(room, limits.submit)))

    def history(self, rounds: Sequence[Round], state: State) -> History:
        """Return how jobs have ended."""
        return History(self.system, self.layout, self.configuration, rounds, state)


def called(jobs: list[str]) -> str:
    """Return what a few jobs are called in a message."""
    return f"job {jobs[0]}" if len(jobs) == 1 else f"jobs {jobs[0]} to {jobs[-1]}"


def submit_new(run: Run) -> str:
    """Submit a run that was just written, and return what the system calls it."""
    with only_one(run.layout):
        return run.start(_first_round(run))


def _first_round(run: Run) -> Round:
    """Return the first round, which is written again if fewer jobs are taken than was thought."""
    (new,) = read_rounds(run.layout)
    if run.journal.read().rounds:
        return new  # it was interrupted
    limits = run.limits_now(run.directory.facts.nodes + 2)
    if limits == new.limits:
        return new
    places = {node: array.demand for array in new.arrays if array.labels for node in array.nodes}
    if new.left_out or run.configuration.run.pilots:
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


def cancel(run: Run, patience: float = _PATIENCE) -> bool:
    """Remove a run from the queue, and wait until all of its jobs have ended.

    Parameters
    ----------
    run
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
        If the system does not answer, or if jobs do not leave the queue.
    """
    if not _was_in_queue(run):
        return False
    # First of all, so that the final job submits nothing any more, and a submission that goes on removes its jobs.
    run.journal.note("cancelled")
    deadline = time.monotonic() + patience
    told, last = set[str](), 0.0
    while left := run.in_queue():
        jobs = {each.job for each in left}
        # Once more now and then: one that was just ending may have put itself back into the queue.
        if jobs - told or time.monotonic() - last > _AGAIN:
            run.system.remove(jobs, run.patience)
            told, last = told | jobs, time.monotonic()
        if time.monotonic() > deadline:
            path = run.directory.path
            raise PipetaskError(
                f"{len(left)} jobs of {path} are still in the queue (such as {left[0].id}): try {run.system.remover} "
                f"{left[0].job}, and then pipetask run-node {path} {FINAL}"
            )
        time.sleep(0.5)
    return True


def _was_in_queue(run: Run) -> bool:
    state = run.journal.read()
    try:
        return bool(run.in_queue()) or _is_interrupted(state)
    except PipetaskError:
        # What was never submitted is in no queue, also where the system is not installed.
        if state.started or state.rounds:
            raise
        return False


def restart(run: Run) -> Restarted:
    """Submit what is missing of a run, or continue a submission that was interrupted.

    Raises
    ------
    PipetaskError
        If the system does not take it.
    """
    with only_one(run.layout):
        state, rounds = run.journal.read(), read_rounds(run.layout)
        if _is_interrupted(state):
            new = rounds[state.last - 1]
            run.directory.forget_end()  # the final job of the round before may have registered what was done
            return Restarted(run.start(new), False, len(new.done))
        if left := run.in_queue():
            left.sort(key=lambda each: (each.round, each.array))
            return Restarted(called(list(dict.fromkeys(each.job for each in left))), True, 0)
        if not state.rounds:
            return Restarted(run.start(_first_round(run)), False, 0)
        return _start_again(run, rounds, state)


def _is_interrupted(state: State) -> bool:
    """Return whether the last submission was not brought to its end."""
    progress = state.rounds.get(state.last)
    return progress is not None and progress.released is None and not state.cancelled


def _start_again(run: Run, rounds: list[Round], state: State) -> Restarted:
    directory, remainder = run.directory, Ledger(run.directory).remainder()
    history = run.history(rounds, state)
    demands, raised = {}, {}
    for node in remainder.left:
        demand = demands[node.name] = _demand_at_restart(history, node)
        if demand.memory > run.configuration.for_labels(node.labels).memory:
            raised[node.name] = demand.memory
    if demands and run.configuration.run.pilots:
        demands, raised = _raised_for_pilots(run, demands), {}
    _renew_retries(run)
    since = max((each.began for each in AttemptEnds(directory.outcomes).look().values()), default=0)
    plan = Plan(rounds[-1].number + 1, True, demands, {}, remainder.done, not _is_begun(run), since)
    new = run.write(plan, run.nodes())
    directory.forget_end()
    return Restarted(run.start(new), False, len(remainder.done), raised)


def _raised_for_pilots(run: Run, demands: Mapping[str, Demand]) -> dict[str, Demand]:
    """Return what all pilots ask for: what each node would, or more if the last ones had too little."""
    most = Demand(max(each.memory for each in demands.values()), max(each.time for each in demands.values()))
    if not has_pilots(run.directory):
        return dict.fromkeys(demands, most)
    settings = run.configuration.for_labels(list(run.directory.facts.labels))
    return dict.fromkeys(demands, raised_demand(run.directory, settings, most))


def _demand_at_restart(history: History, node: UnfinishedNode) -> Demand:
    """Return what a node asks for: more if it has run out of something, whatever the budget is."""
    cause = to_run_again([node], history.verdict).get(node.name)
    return history.demand(node) if cause is None else history.next_demand(node, cause)


def _renew_retries(run: Run) -> None:
    """Let jobs try again what the present settings say."""
    recipe = run.directory.recipe()
    retries = run.configuration.retried_in_jobs(recipe.retries, run.directory.facts.labels)
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
        If the system does not take it, or if there were as many rounds as there may be.
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
        if not _is_begun(run) and _gives_up_first(run, rounds):
            return False
        if run.configuration.run.pilots:
            killed = _pilots_killed_for_memory(run.history(rounds, state), rounds[-1])
            causes, demands = what_pilots_left(run.directory, run.configuration, rounds[-1], killed)
        else:
            causes, demands = _again(run, rounds, state)
        if not demands:
            return False
        if _rounds_since_start(rounds) > (most := run.configuration.run.rounds):
            raise PipetaskError(f"jobs may submit {most} more rounds at most (setting rounds)")
        last = rounds[-1]
        plan = Plan(number + 1, False, demands, causes, last.done, not _is_begun(run), last.since)
        run.submit(run.write(plan, run.nodes()))
        return True


def withdraw(run: Run, number: int) -> None:
    """Take back the round after one that has ended, if its submission did not get to its end.

    Parameters
    ----------
    run
        The run.
    number
        Number of the round that has ended.
    """
    with suppress(PipetaskError), only_one(run.layout):
        state = run.journal.read()
        if state.last > number and _is_interrupted(state) and not state.rounds[state.last].releasing:
            if held := {each.job for each in run.in_queue() if each.round == state.last}:
                run.system.remove(held, run.patience)
            run.journal.note("withdrawn", state.last)


def _pilots_killed_for_memory(history: History, last: Round) -> bool:
    """Return whether the system has killed pilots of a round for want of memory, also before they took anything."""
    pilots = [name for array in last.arrays if array.runs_pilots for name in array.nodes]
    return any(history.how(name) == "memory" for name in pilots)


def _gives_up_first(run: Run, rounds: list[Round]) -> bool:
    """Return whether the first node has failed, and another attempt is not expected to help."""
    try:
        code = int((run.directory.path / first_failed(rounds[-1].number)).read_text())
    except (OSError, ValueError):
        return False  # its job was killed
    start = max(position for position, each in enumerate(rounds) if each.starts)
    retries = run.configuration.for_node(FIRST).retries
    return code != ExitCode.INFRASTRUCTURE or len(rounds) - start > retries


def _again(run: Run, rounds: list[Round], state: State) -> tuple[Mapping[str, str], Mapping[str, Demand]]:
    left = {node.name: node for node in Ledger(run.directory).remainder().left}
    history = run.history(rounds, state)
    if told := _told_by_queue(run, history, left):
        run.journal.note("told", rounds[-1].number, how=told)
        history = run.history(rounds, run.journal.read())
    # Before the registry is ready nothing can run, whatever became of the jobs.
    begun = _is_begun(run)
    causes = to_run_again(left.values(), history.verdict) if begun else dict.fromkeys(left, Cause.NEEDED)
    demands = {name: history.next_demand(left[name], cause) for name, cause in causes.items()}
    return {name: cause.value for name, cause in causes.items()}, demands


def _told_by_queue(run: Run, history: History, left: Collection[str]) -> dict[str, str]:
    """Return how jobs ended of which the error file does not say it, as far as the queue still shows that.

    Raises
    ------
    QueueUnknownError
        If the system does not answer, and nothing else says how some have ended.
    """
    try:
        shown = history.shown_as_ended(run.ended_elements())
    except QueueUnknownError:
        if all(history.how(node) for node in left if history.was_submitted(node)):
            return {}
        raise
    except PipetaskError:  # here it cannot be asked
        return {}
    return {node: how for node, how in shown.items() if node in left}


def _rounds_since_start(rounds: list[Round]) -> int:
    """Return the number of rounds, without those that go on with something: it gets less each time."""
    goes_on = {Cause.LEFT_OUT.value, Cause.UNFINISHED.value}
    start = max(position for position, each in enumerate(rounds) if each.starts)
    return sum(goes_on.isdisjoint(each.causes.values()) for each in rounds[start:])
