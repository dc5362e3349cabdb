"""Follow a batch run to its end, as if it ran here."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable

from ..executors.activity import RunningQuantum
from ..executors.base import ExecutionContext
from ..graph.enumeration import QuantumData
from ..outcome import QuantumOutcome, Status
from .exit_codes import FINAL_CODES
from .outcomes import AttemptTails
from .replay import ReplayExecutor
from .run_directory import RunDirectory

__all__ = ["follow"]


def follow(
    directory: RunDirectory,
    quanta: Iterable[QuantumData],
    context: ExecutionContext,
    wait: Callable[[], bool],
) -> Generator[QuantumOutcome, None, None]:
    """Yield the outcomes of a batch run while it is executed.

    Parameters
    ----------
    directory
        The run.
    quanta
        All quanta of the run.
    context
        Asked whether to stop following, and told what runs.
    wait
        Waits for news or a little while, and returns whether the run is over.

    Yields
    ------
    outcome
        One for each quantum, without outputs, which the final job registers.  A failure is reported when its job has
        given up.  Where following is stopped, the run goes on, and what has not ended stays submitted.
    """
    left = {quantum.id for quantum in quanta}
    tails = AttemptTails(directory.outcomes)
    failed: dict[int, list[QuantumOutcome]] = {}
    with directory.index() as index:
        members = [[quantum.id for quantum in node.quanta] for node in index.nodes()]
    context.activity.report_with(lambda: _running(tails, members, left))
    over = False
    while not context.stop and not over:
        over = wait()
        for attempt, news in tails.news():
            for outcome in news:
                if outcome.status.unblocks:
                    yield from _once(outcome, left)
                else:
                    failed.setdefault(attempt.number, []).append(outcome)
            if attempt.exit_code in FINAL_CODES:
                for outcome in _last(failed.pop(attempt.number, ())):
                    yield from _once(outcome, left)
    if context.stop:
        for id in sorted(left):
            yield QuantumOutcome(id, Status.SUBMITTED, reason="the run continues and is no longer followed")
        return
    for outcome in ReplayExecutor(directory, register=False).execute(quanta, context):
        yield from _once(outcome, left)


def _once(outcome: QuantumOutcome, left: set[int]) -> Generator[QuantumOutcome, None, None]:
    if outcome.id in left:
        left.remove(outcome.id)
        yield outcome.without_outputs()


def _last(outcomes: Iterable[QuantumOutcome]) -> Iterable[QuantumOutcome]:
    return {outcome.id: outcome for outcome in outcomes}.values()


def _running(tails: AttemptTails, members: list[list[int]], left: set[int]) -> list[RunningQuantum]:
    """Return what jobs have noted as running; for a job that has not, its first quantum without an outcome."""
    running = []
    for attempt in tails.running():
        if noted := list(attempt.running.values()):
            running += [RunningQuantum(each.id, each.start, each.pid, each.attempt) for each in noted]
        elif (id := next((id for id in members[attempt.number] if id in left), None)) is not None:
            running.append(RunningQuantum(id))
    return running
