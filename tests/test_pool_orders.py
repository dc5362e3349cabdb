"""Whatever the order of events, no quantum of a pool is lost or answered twice, and the run ends."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from pipetask.errors import PipetaskError
from pipetask.executors.pool.bundling import BundlePolicy
from pipetask.executors.pool.messages import Unreadable, Untidy
from pipetask.executors.retries import RetryPolicy, RetryRule
from pipetask.executors.stop import StopLevel
from pipetask.outcome import Status
from pipetask.runner.process_state import LeftBehind
from pipetask.testing import enumerated
from simulated_pool import SimulatedPool, assert_it_fits, made_resources

from test_enumeration import random_graphs  # isort: skip

pytestmark = pytest.mark.slow

RETRIES = st.sampled_from([RetryRule(), RetryRule(retries=1), RetryRule(retries=2, timeouts=True, delay=3.0)])

NEEDS = st.none() | st.lists(
    st.fixed_dictionaries(
        {"cpus": st.integers(1, 4), "memory": st.integers(0, 9), "tokens": st.integers(0, 2)}
    ),
    min_size=4,
    max_size=4,
)


class AnyOrder(RuleBasedStateMachine):
    """Events in any order that processes allow; the foreman follows instructions after each."""

    pool: SimulatedPool

    @initialize(
        drawn=random_graphs(),
        processes=st.integers(1, 4),
        most=st.integers(1, 5),
        timeout=st.sampled_from([None, 5.0]),
        rule=RETRIES,
        fail_fast=st.booleans(),
        needs=NEEDS,
    )
    def begin_run(
        self,
        drawn: tuple[dict, list],
        processes: int,
        most: int,
        timeout: float | None,
        rule: RetryRule,
        fail_fast: bool,
        needs: list[dict[str, int]] | None,
    ) -> None:
        self.graph = enumerated(*drawn)
        self.resources = needs and made_resources(self.graph, needs, processes)
        self.attempts = 1 + (rule.retries or 0)
        self.pool = SimulatedPool(
            self.graph,
            processes,
            BundlePolicy(most=most),
            timeout=timeout,
            retries=RetryPolicy(rule),
            fail_fast=fail_fast,
            resources=self.resources,
        )
        self.settle()

    def settle(self) -> None:
        try:
            self.pool.settle()
        except PipetaskError as error:
            self.pool.context.stop.ask(str(error))
        if self.resources is not None:
            assert_it_fits(self.pool)

    def choose(self, data: st.DataObject, where: str) -> int | None:
        """Choose one of the workers that are in some state."""
        fits = {
            "alive": lambda worker: worker.alive,
            "starting": lambda worker: worker.alive and not worker.ready,
            "idle": lambda worker: worker.alive and worker.ready and worker.running is None,
            "busy": lambda worker: worker.alive and worker.running is not None,
            "reporting": lambda worker: bool(worker.reports),
            "dead": lambda worker: not worker.alive,
        }[where]
        found = [number for number, worker in self.pool.workers.items() if fits(worker)]
        return data.draw(st.sampled_from(found)) if found else None

    @rule(data=st.data())
    def a_worker_is_ready(self, data: st.DataObject) -> None:
        if (number := self.choose(data, "starting")) is not None:
            self.pool.make_ready(number)
            self.settle()

    @rule(data=st.data())
    def a_worker_begins(self, data: st.DataObject) -> None:
        if (number := self.choose(data, "idle")) is not None:
            self.pool.begin(number)

    @rule(data=st.data(), bad=st.sampled_from([None, None, Status.FAILED]), seconds=st.floats(0, 0.2))
    def a_worker_ends(self, data: st.DataObject, bad: Status | None, seconds: float) -> None:
        if (number := self.choose(data, "busy")) is not None:
            self.pool.clock.now += seconds
            interrupted = self.pool.workers[number].interrupted
            self.pool.end(number, Status.CANCELLED if interrupted else bad or Status.SUCCEEDED, seconds)

    @rule(data=st.data())
    def the_foreman_reads(self, data: st.DataObject) -> None:
        if (number := self.choose(data, "reporting")) is not None:
            self.pool.read(number)
            self.settle()

    @rule(data=st.data())
    def a_worker_dies(self, data: st.DataObject) -> None:
        if (number := self.choose(data, "alive")) is not None:
            self.pool.workers[number].alive = False

    @rule(data=st.data(), exit_code=st.sampled_from([-9, -11, 0, 1]))
    def the_foreman_notices_a_death(self, data: st.DataObject, exit_code: int) -> None:
        if (number := self.choose(data, "dead")) is not None:
            try:
                self.pool.bury(number, exit_code)
            except PipetaskError as error:
                self.pool.context.stop.ask(str(error))
            self.settle()

    @rule(data=st.data(), stays=st.booleans())
    def a_worker_is_untidy(self, data: st.DataObject, stays: bool) -> None:
        if (number := self.choose(data, "busy")) is not None:
            worker = self.pool.workers[number]
            left = LeftBehind((), ("thread",)) if stays else LeftBehind(("variable",))
            worker.reports.append(Untidy(worker.running or 0, left))

    @rule(data=st.data())
    def a_worker_writes_nonsense(self, data: st.DataObject) -> None:
        if (number := self.choose(data, "busy")) is not None:
            self.pool.workers[number].reports.append(Unreadable())

    @rule()
    def a_start_is_refused(self) -> None:
        self.pool.starts_refused = 1

    @rule(seconds=st.sampled_from([0.1, 1.0, 5.0, 20.0]))
    def time_passes(self, seconds: float) -> None:
        self.pool.clock.now += seconds
        self.settle()

    @precondition(lambda self: len(self.pool.outcomes) > 2)
    @rule(level=st.sampled_from([StopLevel.FINISH, StopLevel.STOP, StopLevel.KILL]))
    def the_user_stops_the_run(self, level: StopLevel) -> None:
        self.pool.context.stop.ask("enough", level)
        self.settle()

    def teardown(self) -> None:
        if not hasattr(self, "pool"):
            return
        pool = self.pool
        pool.finish()
        pool.context.stop.close()
        counts = Counter(outcome.id for outcome in pool.outcomes)
        assert set(counts.values()) <= {1}, "exactly one outcome each"
        assert set(counts) == {quantum.id for quantum in self.graph}
        assert all(count <= self.attempts for count in pool.begun.values()), (
            "nothing runs more often than it may"
        )
        by_id = {outcome.id: outcome for outcome in pool.outcomes}
        for quantum in self.graph:
            if by_id[quantum.id].status is Status.SUCCEEDED:
                assert all(by_id[id].status is Status.SUCCEEDED for id in quantum.prerequisites)
        if not pool.context.stop:
            assert Status.CANCELLED not in {outcome.status for outcome in pool.outcomes}


AnyOrder.TestCase.settings = settings(
    max_examples=200, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
test_any_order = AnyOrder.TestCase
