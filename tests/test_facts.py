"""Facts about a run, against independent computations on random graphs."""

from __future__ import annotations

import math
import uuid
from itertools import pairwise

import networkx as nx
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from made_runs import BEGIN, LABELS, Made, attempts_of, make_run
from pipetask.observe.facts.attempts import RUNNING, STATUSES, Attempts
from pipetask.observe.facts.efficiency import Idle, concurrency
from pipetask.observe.facts.paths import Wait, chain_of_waits, longest_chain
from pipetask.observe.facts.run import RunFacts
from pipetask.observe.facts.waits import ready_times
from pipetask.observe.running import Running
from pipetask.outcome import QuantumOutcome, Status
from pipetask.testing import enumerated

runs = st.builds(make_run, st.integers(0, 10**6), st.integers(1, 40), st.integers(1, 6))
several = settings(max_examples=60, deadline=None)


def network_of(made: Made) -> nx.DiGraph:
    network = nx.DiGraph()
    network.add_nodes_from(range(len(made.graph.structure)))
    network.add_edges_from(made.edges)
    return network


@given(runs)
@several
def test_attempts_have_what_outcomes_have(made: Made) -> None:
    table = Attempts.of(made.graph, made.outcomes)
    rows = {
        (p, n): (STATUSES[s], start, end, table.hosts[h], pid, memory)
        for p, n, s, start, end, h, pid, memory in zip(
            table.position.tolist(),
            table.number.tolist(),
            table.status.tolist(),
            table.start.tolist(),
            table.end.tolist(),
            table.host.tolist(),
            table.pid.tolist(),
            table.usage["peak_memory"].tolist(),
            strict=True,
        )
    }
    assert rows == {
        (made.graph.position(o.id), o.attempt): (o.status, o.start, o.end, o.host, o.pid, o.usage.peak_memory)
        for o in attempts_of(made)
    }
    assert [made.graph.structure.labels[t] for t in table.task] == [
        made.graph.structure.label(p) for p in table.position.tolist()
    ]
    assert np.isnan(table.usage["bytes_written"]).all()


@given(runs)
@several
def test_attempts_of_a_lane_do_not_overlap(made: Made) -> None:
    table = Attempts.of(made.graph, made.outcomes)
    same = np.diff(table.lane) == 0
    assert (np.diff(table.lane) >= 0).all()
    assert (table.start[1:] >= table.end[:-1])[same].all()
    assert {(lane, pid) for lane, pid in zip(table.lane, table.pid, strict=True)} == set(
        {pid: (lane, pid) for lane, pid in zip(table.lane, table.pid, strict=True)}.values()
    ), "a process keeps its lane"
    assert len(table.lanes) <= made.slots


@given(runs)
@several
def test_ready_times(made: Made) -> None:
    table = Attempts.of(made.graph, made.outcomes)
    ready = ready_times(table, made.graph.structure, BEGIN)
    network, by_position = network_of(made), {made.graph.position(o.id): o for o in made.outcomes}
    for row, (position, number) in enumerate(
        zip(table.position.tolist(), table.number.tolist(), strict=True)
    ):
        if number > 1:
            expected = by_position[position].earlier[number - 2].end
        else:
            ends = (by_position[p].end for p in network.predecessors(position))
            expected = max((end for end in ends if end is not None), default=BEGIN)
        assert ready[row] == max(expected, BEGIN)


@given(runs)
@several
def test_the_longest_chain_is_that_of_networkx(made: Made) -> None:
    facts = RunFacts.of(made.summary(), made.slots)
    network = network_of(made)
    taken = dict.fromkeys(network, 0.0)
    for each in attempts_of(made):
        taken[made.graph.position(each.id)] += each.end - each.start
    network.remove_nodes_from([p for p in range(len(taken)) if facts.last[p] < 0])  # nothing waited for these
    for first, second in network.edges:
        network.edges[first, second]["weight"] = taken[second]
    for position in list(network):
        network.add_edge("begin", position, weight=taken[position])
    assert facts.longest_chain.seconds == nx.dag_longest_path_length(network)
    chain = facts.longest_chain.positions
    assert sum(taken[p] for p in chain) == facts.longest_chain.seconds
    assert all(network.has_edge(*pair) for pair in pairwise(chain)) or not len(facts.attempts)


@given(runs)
@several
def test_the_chain_of_waits_goes_from_the_beginning_to_the_end(made: Made) -> None:
    facts = RunFacts.of(made.summary(), made.slots)
    table, steps = facts.attempts, facts.chain_of_waits
    if not len(table):
        assert steps == []
        return
    assert table.end[steps[-1].row] == table.end.max()
    assert steps[0].waited_for is Wait.BEGINNING
    total = sum(step.gap + table.seconds[step.row] for step in steps)
    assert total == table.end.max() - facts.begin, "no time is left out, and none counted twice"
    network = network_of(made)
    for before, step in pairwise(steps):
        first, second = before.row, step.row
        match step.waited_for:
            case Wait.DEPENDENCY:
                assert network.has_edge(table.position[first], table.position[second])
            case Wait.SLOT:
                assert table.lane[first] == table.lane[second]
            case Wait.ATTEMPT:
                assert table.position[first] == table.position[second]
            case Wait.BEGINNING:
                pytest.fail("only the first begins")
        assert step.gap == table.start[second] - table.end[first]


@given(runs)
@several
def test_idle_time_is_that_of_a_count_second_by_second(made: Made) -> None:
    facts = RunFacts.of(made.summary(), made.slots)
    table, sums = facts.attempts, dict.fromkeys(Idle, 0.0)
    if not len(table):
        assert facts.idle == []
        return
    first, last = table.start.min(), table.end.max()
    for second in np.arange(facts.begin, facts.end):
        busy = ((table.start <= second) & (table.end > second)).sum()
        waiting = ((facts.ready <= second) & (table.start > second)).sum()
        idle = facts.slots - busy
        if second < first:
            sums[Idle.BEFORE] += idle
        elif second >= last:
            sums[Idle.AFTER] += idle
        else:
            between = min(idle, waiting)
            sums[Idle.BETWEEN] += between
            unready = (facts.ready > second).any()
            sums[Idle.DEPENDENCY if unready else Idle.TAIL] += idle - between
    found = dict.fromkeys(Idle, 0.0)
    for reason in facts.idle:
        found[reason.idle] += reason.slot_seconds
    assert found == pytest.approx(sums)
    assert facts.busy + sum(found.values()) == pytest.approx(facts.available)


@given(runs, st.integers(1, 30))
@several
def test_concurrency_adds_up(made: Made, spans: int) -> None:
    facts = RunFacts.of(made.summary(), made.slots)
    if facts.end == facts.begin:
        return
    edges = np.linspace(facts.begin, facts.end, spans + 1)
    means = concurrency(facts.attempts, edges, len(LABELS))
    widths = np.diff(edges)
    for task in range(len(LABELS)):
        expected = facts.attempts.seconds[facts.attempts.task == task].sum()
        assert (means[task] * widths).sum() == pytest.approx(expected, abs=1e-6)
    middle = spans // 2
    overlaps = np.minimum(facts.attempts.end, edges[middle + 1]) - np.maximum(
        facts.attempts.start, edges[middle]
    )
    assert means[:, middle].sum() * widths[middle] == pytest.approx(np.maximum(overlaps, 0).sum(), abs=1e-6)


@example(make_run(51, 4, 6))  # one that ran beside what its skipped prerequisite needs
@given(runs)
@several
def test_gains_are_lower_limits(made: Made) -> None:
    facts = RunFacts.of(made.summary(), made.slots)
    gains = facts.gains
    took = facts.attempts.end.max(initial=facts.begin) - facts.begin
    assert gains.any_slots <= gains.twice_the_slots <= gains.at_least <= took + 1e-9
    for task, seconds in gains.half_as_long.items():
        faster = facts.seconds.copy()
        faster[[made.graph.structure.task_index(p) == task for p in range(len(faster))]] /= 2
        limit = max(
            longest_chain(
                made.graph.structure,
                faster,
                [p for p in made.graph.structure.depth_first() if facts.last[p] >= 0],
            ).seconds,
            faster.sum() / facts.slots,
        )
        assert seconds == pytest.approx(limit)
        assert seconds <= gains.at_least


@given(runs)
@several
def test_errors_are_grouped_and_none_is_lost(made: Made) -> None:
    groups = RunFacts.of(made.summary()).errors
    failed = [id for group in groups for id in group.failed]
    assert sorted(failed) == sorted(o.id for o in made.outcomes if o.status.is_failure)
    again = {o.id for o in made.outcomes for before in o.earlier if before.status.is_failure}
    assert {id for group in groups for id in group.tried_again} == again
    assert len(groups) <= 2, "the same error with other numbers is the same error"


def test_errors_that_differ_in_a_uuid_are_the_same() -> None:
    graph = enumerated({"isr": 3})
    list(graph)
    reasons = [f"dataset {uuid.UUID(int=n)} is gone" for n in (0, 0xABC << 116, 0xF1 << 120)]
    outcomes = [
        QuantumOutcome(id, Status.KILLED, 1.0, 2.0, "a", 1, reason=why) for id, why in enumerate(reasons)
    ]
    (group,) = RunFacts.of(Made(graph, [], outcomes, 1).summary()).errors
    assert group.failed == [0, 1, 2]


def test_a_run_without_quanta_has_no_facts() -> None:
    facts = RunFacts.of(Made(enumerated({"isr": 0}), [], [], 1).summary())
    assert (facts.slots, facts.busy, facts.idle, facts.chain_of_waits, facts.errors) == (0, 0.0, [], [], [])
    assert facts.longest_chain.positions == ()


def test_what_is_running_ends_now() -> None:
    graph = enumerated({"isr": 2})
    list(graph)
    table = Attempts.of(
        graph, [QuantumOutcome(0, Status.SUCCEEDED, 1.0, 2.0, "a", 5)], [Running(1, 2.5, "a", 5)], now=9.0
    )
    assert (table.status.tolist()[1], table.end[1], len(table.lanes)) == (RUNNING, 9.0, 1)


def test_the_time_of_what_was_cut_off_says_nothing_of_its_label() -> None:
    graph = enumerated({"isr": 2})
    for _ in graph:
        pass
    outcomes = [
        QuantumOutcome(0, Status.SUCCEEDED, 1000.0, 1005.0, "a", 1),
        QuantumOutcome(1, Status.CANCELLED, 1004.0, 1004.5, "a", 2),
    ]
    facts = RunFacts.of(Made(graph, [], outcomes, 2).summary())
    (isr,) = facts.labels
    assert isr.attempts == 2
    assert (isr.seconds.count, isr.seconds.median) == (1, 5.0)
    assert facts.busy == 5.5


def test_clocks_that_disagree_are_no_error() -> None:
    graph = enumerated({"isr": 3}, [(0, 1), (1, 2)])
    list(graph)
    outcomes = [
        QuantumOutcome(0, Status.SUCCEEDED, 100.0, 90.0, "a", 1),  # the clock was set back
        QuantumOutcome(1, Status.SUCCEEDED, 50.0, 60.0, "b", 2),  # an hour behind
        QuantumOutcome(2, Status.SUCCEEDED, 55.0, 57.0, "b", 2),
    ]
    facts = RunFacts.of(Made(graph, [(0, 1), (1, 2)], outcomes, 2).summary())
    assert (facts.attempts.end >= facts.attempts.start).all()
    assert (facts.ready <= facts.attempts.start).all()
    assert len(facts.chain_of_waits) <= 3
    assert all(math.isfinite(reason.slot_seconds) for reason in facts.idle)
    assert chain_of_waits(facts.attempts, graph.structure, 0.0)
