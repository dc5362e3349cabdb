"""What the pool decides, step by step, without a process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from pipetask.errors import PipetaskError
from pipetask.executors.pool.bundling import BundlePolicy
from pipetask.executors.pool.instructions import Give, Halt, Instruction, Interrupt, Kill, Start, TakeBack
from pipetask.executors.pool.messages import InDebugger, Ready, StartFailure, Unreadable, Untidy
from pipetask.executors.pool.worker_state import WorkerState
from pipetask.executors.retries import RetryPolicy, RetryRule
from pipetask.executors.stop import StopLevel
from pipetask.graph.enumeration import EnumeratedGraph
from pipetask.outcome import QuantumError, QuantumOutcome, Status
from pipetask.runner.process_state import LeftBehind
from pipetask.testing import enumerated
from simulated_pool import SimulatedPool

ERROR = QuantumError("ValueError", "no", "")


class Pools:
    """Makes pools, and closes them."""

    def __init__(self, stack: ExitStack):
        self._stack = stack

    def __call__(self, quanta: int | EnumeratedGraph, processes: int = 2, **options: object) -> SimulatedPool:
        graph = enumerated({"a": quanta}) if isinstance(quanta, int) else quanta
        made = SimulatedPool(graph, processes, **options)  # type: ignore[arg-type]
        self._stack.callback(made.context.stop.close)
        return made


@pytest.fixture
def pool() -> Iterator[Pools]:
    with ExitStack() as stack:
        yield Pools(stack)


def warm(made: SimulatedPool, seconds: float = 0.01) -> SimulatedPool:
    """Start workers, and let each run one quantum, so that it is known how long that takes."""
    made.settle()
    made.make_ready()
    made.settle()
    for number in list(made.workers):
        made.run(number, seconds=seconds)
    return made


def given(instructions: list[Instruction]) -> dict[int, list[int]]:
    """Return which quanta each worker was given."""
    found: dict[int, list[int]] = {}
    for each in instructions:
        if isinstance(each, Give):
            found.setdefault(each.worker, []).extend(ticket.id for ticket in each.tickets)
    return found


def statuses(made: SimulatedPool) -> dict[int, Status]:
    assert len({outcome.id for outcome in made.outcomes}) == len(made.outcomes), "one outcome each"
    return {outcome.id: outcome.status for outcome in made.outcomes}


# Who gets what


def test_workers_are_started_for_as_many_quanta_as_are_ready(pool: Pools) -> None:
    assert pool(1, processes=4).settle() == [Start(1)]
    assert pool(9, processes=3).settle() == [Start(1), Start(2), Start(3)]


def test_only_those_that_are_ready_get_work(pool: Pools) -> None:
    made = pool(9)
    made.settle()
    made.make_ready(2)
    assert given(made.settle()) == {2: [0]}


def test_quanta_of_unknown_length_go_alone_and_lowest_first(pool: Pools) -> None:
    made = pool(9)
    made.settle()
    made.make_ready()
    assert given(made.settle()) == {1: [0], 2: [1]}
    assert made.settle() == [], "there is nothing new to decide"
    made.run(2, seconds=1.0)
    assert given(made.settle()) == {2: [2]}, "a long one goes alone"


def test_a_bundle_is_an_equal_share_of_what_is_ready(pool: Pools) -> None:
    made = warm(pool(12))
    assert given(made.settle()) == {1: [2, 3, 4, 5, 6], 2: [7, 8]}, "half of ten, then half of the other five"
    made = warm(pool(100, policy=BundlePolicy(most=3)))
    assert given(made.settle()) == {1: [2, 3, 4], 2: [5, 6, 7]}, "no more than fit into a bundle"


def test_a_bundle_is_as_much_as_takes_a_fifth_of_a_second(pool: Pools) -> None:
    made = warm(pool(100, policy=BundlePolicy(seconds=0.045)))
    assert given(made.settle()) == {1: [2, 3, 4, 5], 2: [6, 7, 8, 9]}


def test_the_next_bundle_comes_before_the_worker_has_nothing_to_do(pool: Pools) -> None:
    made = warm(pool(100, processes=1))
    assert given(made.settle()) == {1: list(range(1, 17))}
    made.run(1, 6, seconds=0.01)
    assert made.settle() == [], "ten are left, half of a fifth of a second"
    made.run(1, seconds=0.01)
    assert given(made.settle()) == {1: list(range(17, 33))}


def test_what_waits_for_others_comes_when_they_have_ended(pool: Pools) -> None:
    made = warm(pool(enumerated({"a": 2, "b": 2}, [(0, 2), (1, 3)])), seconds=1.0)
    assert given(made.settle()) == {1: [1], 2: [3]}
    assert set(statuses(made)) == {0, 2}


def dealt(made: SimulatedPool) -> dict[int, list[int]]:
    """Let all that is ready be given, and return what each worker has."""
    while given(made.settle()):
        pass
    return {number: list(worker.tokens) for number, worker in made.workers.items()}


def test_half_of_what_one_has_not_begun_goes_to_one_that_is_idle(pool: Pools) -> None:
    made = warm(pool(12))
    assert dealt(made) == {1: [2, 3, 4, 5, 6, 10], 2: [7, 8, 9, 11]}
    made.begin(1)
    made.run(2, 4)
    done = made.settle()
    assert done[0] == TakeBack(1, half=True)
    assert given(done) == {2: [3], 1: [4]}, "three were taken back, and dealt like any others"
    assert list(made.workers[1].tokens) == [6, 10, 4]


def test_one_that_only_seems_to_have_something_is_asked_once(pool: Pools) -> None:
    made = warm(pool(4), seconds=9.0)
    made.settle()
    made.begin(1)
    made.run(2)
    assert made.settle() == [TakeBack(1, half=True)], "it had begun the only one that it had"
    assert made.settle() == []


def test_where_one_has_nothing_after_all_another_is_asked(pool: Pools) -> None:
    made = warm(pool(40, processes=3), seconds=0.001)
    first, second, idle = sorted(dealt(made), key=lambda number: -len(made.workers[number].tokens))
    while made.begin(first) is not None and made.workers[first].tokens:
        made.end(first)  # this is not read yet, so all of them seem to be waiting
    made.run(idle, len(made.workers[idle].tokens))
    done = made.settle()
    assert done[:2] == [TakeBack(first, half=True), TakeBack(second, half=True)]
    assert idle in given(done)


# Failures


def test_a_failure_blocks_what_needs_it(pool: Pools) -> None:
    made = pool(enumerated({"a": 1, "b": 1}, [(0, 1)]))
    made.settle()
    made.make_ready()
    made.settle()
    made.begin(1)
    made.end(1, Status.FAILED)
    made.read(1)
    made.settle()
    assert statuses(made) == {0: Status.FAILED, 1: Status.BLOCKED}
    assert made.state.over


def test_another_attempt_comes_when_it_is_due(pool: Pools) -> None:
    retries = RetryPolicy(RetryRule(error_retries=1, delay=10.0))
    made = pool(1, retries=retries)
    made.settle()
    made.make_ready()
    made.settle()
    made.begin(1)
    made.workers[1].reports.append(QuantumOutcome(0, Status.FAILED, error=ERROR))
    made.workers[1].running = None
    made.read(1)
    assert made.settle() == []
    assert not made.outcomes
    assert made.state.deadline == made.clock.now + 10.0
    made.clock.now += 9.0
    assert made.settle() == []
    made.clock.now += 1.0
    (give,) = made.settle()
    assert isinstance(give, Give)
    assert [(ticket.id, ticket.attempt) for ticket in give.tickets] == [(0, 2)]
    made.finish()
    (outcome,) = made.outcomes
    assert (outcome.status, outcome.attempt) == (Status.SUCCEEDED, 2)


def test_a_stop_ends_the_wait_for_another_attempt(pool: Pools) -> None:
    made = pool(1, retries=RetryPolicy(RetryRule(error_retries=1, delay=10.0)))
    made.settle()
    made.make_ready()
    made.settle()
    made.begin(1)
    made.workers[1].reports.append(QuantumOutcome(0, Status.FAILED, error=ERROR))
    made.read(1)
    made.settle()
    made.context.stop.ask("enough")
    made.finish()
    assert statuses(made) == {0: Status.FAILED}


# Deaths


def test_a_death_costs_the_quantum_that_ran(pool: Pools) -> None:
    made = warm(pool(40, processes=1))
    made.settle()
    made.run(1, 2)
    made.begin(1)
    made.end(1)  # it has reported this, and the foreman has not read it
    made.begin(1)
    made.bury(1)
    assert made.settle()[0] == Start(2)
    made.finish()
    assert [id for id, status in statuses(made).items() if status is not Status.SUCCEEDED] == [4]
    assert statuses(made)[4] is Status.KILLED
    assert len(made.outcomes) == 40


def test_the_death_of_an_idle_worker_costs_nothing(pool: Pools) -> None:
    made = warm(pool(6))
    made.settle()
    made.bury(1)
    made.finish()
    assert set(statuses(made).values()) == {Status.SUCCEEDED}
    assert len(made.outcomes) == 6


def test_what_cannot_be_given_goes_to_another(pool: Pools) -> None:
    made = pool(6, processes=1)
    made.settle()
    made.make_ready()
    made.workers[1].alive = False
    assert [type(each) for each in made.settle()] == [Give]
    assert [type(each) for each in made.settle()] == [Start], (
        "the dead one gets no more, though nothing says yet"
    )
    made.finish()
    assert set(statuses(made).values()) == {Status.SUCCEEDED}


def test_three_workers_that_die_before_they_are_ready_end_the_run(pool: Pools) -> None:
    made = pool(9, processes=1)
    for number in (1, 2):
        assert made.settle() == [Start(number)]
        made.bury(number, exit_code=1)
    made.settle()
    with pytest.raises(
        PipetaskError, match=r"3 workers in a row died before they were ready \(exit code 1\)"
    ):
        made.bury(3, exit_code=1)
    made.context.stop.ask("as the foreman does")
    made.finish()
    assert set(statuses(made).values()) == {Status.CANCELLED}


def test_failed_starts_count_in_a_row_only(pool: Pools) -> None:
    made = pool(99, processes=2)
    for _ in range(5):
        made.settle()
        first, second = sorted(made.workers)[-2:]
        made.bury(second)
        made.workers[first].ready = False
        made.state.workers[first].ready = False
        made.make_ready(first)
    made.finish()
    assert len(made.outcomes) == 99


def test_a_worker_that_cannot_open_its_runner_ends_the_run(pool: Pools) -> None:
    made = pool(2)
    made.settle()
    with pytest.raises(PipetaskError, match="A worker could not start: ValueError: no"):
        made.report(1, StartFailure(ERROR))


def test_fewer_workers_where_the_system_has_no_more(pool: Pools, caplog: pytest.LogCaptureFixture) -> None:
    made = pool(9, processes=4)
    made.settle()
    made.bury(4)
    made.starts_refused = 1
    made.settle()
    assert "No more than 3 workers can be started (no more)." in caplog.text
    made.bury(3)
    made.settle()
    assert sorted(made.workers) == [1, 2, 6]
    made.finish()
    assert len(made.outcomes) == 9


def test_no_worker_at_all_is_an_error(pool: Pools) -> None:
    made = pool(9)
    made.starts_refused = 1
    with pytest.raises(PipetaskError, match="No worker process can be started"):
        made.settle()


# Timeouts


def test_an_overdue_quantum_is_killed_and_counts_from_its_own_start(pool: Pools) -> None:
    made = warm(pool(12, processes=1, timeout=5.0))
    made.settle()
    made.run(1, 2, seconds=3.0)
    made.begin(1)
    assert made.state.deadline == made.clock.now + 5.0
    made.clock.now += 4.9
    made.settle()
    assert made.workers[1].killed is None
    made.clock.now += 0.1
    assert made.settle() == [TakeBack(1), Kill(1, Status.TIMED_OUT)]
    assert made.state.deadline is None, "there is nothing to do until it is dead"
    made.finish()
    assert [id for id, status in statuses(made).items() if status is Status.TIMED_OUT] == [3]


def test_a_result_that_comes_just_before_the_kill_prevents_it(pool: Pools) -> None:
    made = warm(pool(3, processes=1, timeout=5.0))
    made.settle()
    made.begin(1)
    made.clock.now += 5.0
    made.end(1)  # this is not read yet
    assert TakeBack(1) in made.settle()
    assert made.workers[1].killed is None
    made.finish()
    assert set(statuses(made).values()) == {Status.SUCCEEDED}


def test_a_result_that_comes_just_after_the_kill_counts(pool: Pools) -> None:
    made = warm(pool(3, processes=1, timeout=5.0))
    made.settle()
    made.begin(1)
    made.clock.now += 5.0
    made.settle()
    assert made.workers[1].killed is Status.TIMED_OUT
    made.end(1)
    made.finish()
    assert set(statuses(made).values()) == {Status.SUCCEEDED}


def test_no_timeout_in_a_debugger(pool: Pools) -> None:
    made = warm(pool(2, processes=1, timeout=5.0))
    made.settle()
    made.begin(1)
    made.report(1, InDebugger(ERROR))
    made.clock.now += 3600.0
    assert made.settle() == []
    made.bury(1)
    made.finish()
    (lost,) = [outcome for outcome in made.outcomes if outcome.status is not Status.SUCCEEDED]
    assert (lost.status, lost.error) == (Status.FAILED, ERROR), "it had failed before it died"


# Stops


def test_a_stop_takes_back_then_interrupts_then_kills(pool: Pools) -> None:
    made = warm(pool(12))
    made.settle()
    made.begin(1)
    made.context.stop.ask("enough")
    assert made.settle() == [TakeBack(1), TakeBack(2), Halt(), Interrupt(1)]
    assert statuses(made)[11] is Status.CANCELLED
    assert not made.state.over, "one still runs"
    assert made.state.deadline == made.clock.now + 10.0
    made.clock.now += 9.0
    assert made.settle() == []
    made.clock.now += 1.0
    assert made.settle() == [Kill(1, Status.CANCELLED)]
    assert made.settle() == []
    made.finish()
    assert len(statuses(made)) == 12


def test_one_that_obeys_is_not_killed(pool: Pools) -> None:
    made = warm(pool(12))
    made.settle()
    made.begin(1)
    made.context.stop.ask("enough")
    made.finish()
    assert all(not isinstance(each, Kill) for each in made.followed)
    assert len(statuses(made)) == 12


def test_a_second_stop_kills_at_once(pool: Pools) -> None:
    made = warm(pool(12))
    made.settle()
    made.begin(1)
    made.context.stop.ask("enough")
    made.settle()
    made.context.stop.ask("enough", StopLevel.KILL)
    assert made.settle() == [Kill(1, Status.CANCELLED)]


def test_a_failure_that_ends_the_run_lets_nothing_begin(pool: Pools) -> None:
    made = warm(pool(12, fail_fast=True))
    made.settle()
    made.begin(1)
    made.end(1, Status.FAILED)
    made.read(1)
    assert not given(made.settle())
    made.finish()
    assert made.context.stop.reason == "a (number=2) failed"
    assert [id for id, status in statuses(made).items() if status is Status.FAILED] == [2]


# Workers that leave something behind, and workers that are not to be believed


def test_a_worker_that_is_untidy_keeps_only_what_it_runs(pool: Pools) -> None:
    made = warm(pool(12))
    made.settle()
    made.begin(1)
    made.report(1, Untidy(2, LeftBehind(stays=("a thread",))))
    made.end(1)
    made.read(1)
    done = made.settle()
    assert done[0] == Start(3), "it is replaced"
    assert TakeBack(1) in done
    assert 1 not in given(done)
    made.finish()
    assert set(statuses(made).values()) == {Status.SUCCEEDED}
    assert all(count == 1 for count in made.begun.values())


def test_what_can_be_put_back_is_no_reason_to_replace_a_worker(pool: Pools) -> None:
    made = warm(pool(12))
    made.settle()
    made.begin(1)
    made.report(1, Untidy(2, LeftBehind(put_back=("a variable",))))
    made.end(1)
    made.read(1)
    assert Start(3) not in made.settle()


@pytest.mark.parametrize(
    ("report", "words"),
    [
        (Unreadable(), "was no report: it was killed"),
        (QuantumOutcome(5, Status.SUCCEEDED), "was no report of the quantum that it ran (but of 5)"),
        (Untidy(5, LeftBehind()), "was no report of the quantum that it ran (but of 5)"),
        (Ready(), "it reported Ready"),
        (StartFailure(ERROR), "it reported StartFailure"),
        ("surprise", "it reported str"),
    ],
)
def test_a_worker_that_is_not_believed_is_killed(pool: Pools, report: object, words: str) -> None:
    made = warm(pool(12))
    made.settle()
    made.begin(1)
    made.report(1, report)  # type: ignore[arg-type]
    assert Kill(1, Status.KILLED) in made.settle()
    made.end(1)  # too late: nothing that it says is believed
    made.finish()
    (lost,) = [outcome for outcome in made.outcomes if outcome.status is not Status.SUCCEEDED]
    assert (lost.id, lost.status) == (2, Status.KILLED)
    assert words in (lost.reason or "")


# The trace


def test_the_trace_says_who_got_what_and_what_became_of_it(pool: Pools) -> None:
    made = warm(pool(3, processes=1))
    made.finish()
    lines = [line.split(maxsplit=2)[2] for line in made.state.trace.lines()]
    assert lines[:4] == [
        "worker 1    start",
        "worker 1    ready",
        "worker 1    give 0",
        "worker 1    succeeded 0",
    ]
    assert "worker 1    give 1, 2" in lines


def test_the_trace_is_bounded(pool: Pools) -> None:
    made = warm(pool(1000))
    made.finish()
    assert len(made.state.trace.lines()) == 400


@pytest.mark.parametrize(("backlog", "shown"), [(0.18, "backlog 0.180 s"), (float("inf"), "backlog unknown")])
def test_a_worker_whose_work_has_no_known_duration_is_described(backlog: float, shown: str) -> None:
    assert WorkerState(1, 0.0, pid=2, ready=True, backlog=backlog).describe(0.0).endswith(shown)
