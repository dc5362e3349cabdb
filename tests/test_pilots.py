"""Pilots: who takes which node, who takes over from whom, and what that costs."""

from __future__ import annotations

import json
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pilot_rounds import Clock, counted, layered, make_agenda, make_round
from pipetask.batch.pilots.agenda import Abilities, Agenda
from pipetask.batch.pilots.departures import Departures, ask_to_leave
from pipetask.batch.pilots.following import rest_of
from pipetask.batch.pilots.look import look_at_pilots
from pipetask.batch.pilots.marks import Claim, Terms
from pipetask.batch.pilots.places import PilotSettings, last_round
from pipetask.batch.run_directory import VERSION, RunDirectory
from pipetask.errors import PipetaskError

CHAIN = [(), (0,), (1,)]
FACTS = {
    "id": "",
    "batch_system": "",
    "output_run": "",
    "repository": "",
    "labels": {},
    "nodes": 3,
    "files": {},
}


@pytest.fixture
def clock() -> Clock:
    return Clock()


def taken(agenda: Agenda) -> Claim:
    claim = agenda.take()
    assert claim is not None
    return claim


def test_a_node_is_taken_by_one_and_what_needs_it_follows(tmp_path: Path) -> None:
    round = make_round(tmp_path, CHAIN)
    one, other = make_agenda(round, "one"), make_agenda(round, "other")
    claim = taken(one)
    assert claim.node == 0
    assert other.take() is None
    assert other.can_still_come(), "one runs it"
    assert one.end(claim, 0, 1.0)
    second = taken(other)
    assert (second.node, one.take()) == (1, None)
    assert other.end(second, 1), "how it has ended is nothing to do with what may begin"
    assert one.end(taken(one), 0)
    assert (one.take(), other.take()) == (None, None)
    assert not one.can_still_come()
    assert not other.can_still_come()
    assert round.marks.over() == {0, 1, 2}
    assert rest_of(round).terms == {}


def test_of_a_dead_pilot_one_takes_over_and_no_other(tmp_path: Path, clock: Clock) -> None:
    round = make_round(tmp_path, [()])
    dead, *others = (make_agenda(round, name, clock) for name in ("dead", "b", "c", "d"))
    late = taken(dead)
    assert [other.take() for other in others] == [None] * 3
    clock.now += 99
    assert [other.take() for other in others] == [None] * 3, "it may live"
    clock.now += 2
    claims = [claim for other in others if (claim := other.take()) is not None]
    assert claims == [Claim(0, 1, Terms(failures=1))]
    assert not dead.holds(late)
    assert not dead.end(late, 0), "it comes back, and has lost its claim"
    assert not dead.give_back(late, late.terms)
    assert round.marks.over() == set()


def test_a_sign_of_life_is_judged_by_the_clock_of_who_looks(tmp_path: Path) -> None:
    """The clock of the pilot itself may be years off."""
    round = make_round(tmp_path, [()])
    slow, fast = Clock(), Clock()
    busy, observer = make_agenda(round, "busy", slow), make_agenda(round, "observer", fast)
    assert taken(busy)
    for _ in range(5):
        assert observer.take() is None
        fast.now += 60
        busy._me.beat()
    assert observer.take() is None
    fast.now += 101
    assert observer.take() is not None


def test_one_who_was_believed_dead_is_seen_again(tmp_path: Path, clock: Clock) -> None:
    round = make_round(tmp_path, [(), ()])
    back, other = make_agenda(round, "back", clock), make_agenda(round, "other", clock)
    late = taken(back)
    first = taken(other)
    assert other.can_still_come()
    clock.now += 101
    assert other.end(first, 0)
    second = taken(other)
    assert second.node == late.node
    back._me.beat()
    assert not back.end(late, 0)
    assert back.take() is None
    assert other.end(second, 0)
    assert {member.id for member in back._members} == {"back", "other"}
    assert not other.can_still_come()


def test_what_a_pilot_ended_before_it_died_is_not_run_again(tmp_path: Path, clock: Clock) -> None:
    """It wrote that the node is over, and could not let the next one be taken."""
    round = make_round(tmp_path, CHAIN)
    dead, heir = make_agenda(round, "dead", clock), make_agenda(round, "heir", clock)
    round.marks.end(taken(dead).node, 0)
    assert heir.take() is None
    clock.now += 101
    assert heir.take() is None, "there is nothing to run"
    assert taken(heir).node == 1


def test_a_node_that_was_not_offered_is_found(tmp_path: Path) -> None:
    """The last two that it needs may each not have seen that the other was over."""
    round = make_round(tmp_path, [(), (), (0, 1)])
    agenda = make_agenda(round, "one")
    for node in (0, 1):
        claim = taken(agenda)
        round.marks.end(claim.node, 0)
        assert claim.node in (0, 1), node
    assert agenda.take() is None
    assert agenda.can_still_come()
    assert taken(agenda).node == 2


def test_what_ran_out_of_memory_is_for_a_larger_pilot(tmp_path: Path) -> None:
    round = make_round(tmp_path, [()])
    small = make_agenda(round, "small", abilities=Abilities(memory=1000))
    same = make_agenda(round, "same", abilities=Abilities(memory=1000))
    claim = taken(small)
    assert small.give_back(claim, replace(claim.terms, memory=1000))
    assert (small.take(), same.take()) == (None, None)
    assert not small.can_still_come(), "unless a larger one comes"
    rest = rest_of(round)
    assert (rest.memory, rest.is_stuck) == (1000, True)
    large = make_agenda(round, "large", abilities=Abilities(memory=1001))
    assert taken(large) == Claim(0, 1, Terms(memory=1000))


def test_a_node_whose_pilot_was_killed_for_its_memory_kills_no_other_one(
    tmp_path: Path, clock: Clock
) -> None:
    """The batch system has ended the whole job, so the pilot could not say so."""
    round = make_round(tmp_path, [()])
    told = lambda job: "memory"  # noqa: E731
    dead, same, large = (
        make_agenda(round, name, clock, Abilities(memory=memory), told)
        for name, memory in (("dead", 1000), ("same", 1000), ("large", 2000))
    )
    assert taken(dead).node == 0
    assert (rest_of(round, told).memory, rest_of(round).memory) == (1000, 0), "if no other one takes over"
    assert (same.take(), large.take()) == (None, None)
    clock.now += 101
    assert same.take() is None
    assert not same.can_still_come(), "it is offered to larger ones"
    assert taken(large) == Claim(0, 2, Terms(memory=1000))


def test_what_does_not_fit_into_the_walltime_is_left_to_others(tmp_path: Path, clock: Clock) -> None:
    round = make_round(tmp_path, [(), (), ()])
    old = make_agenda(round, "old", clock, Abilities(end=clock.now + 100, clock=clock))
    claim = taken(old)
    clock.now += 60
    assert old.end(claim, 0, 60.0)
    assert old.take() is None
    assert old.short_of_time, "the next of this kind may take 60 s, and 40 are left"
    fresh = make_agenda(round, "fresh", clock, Abilities(end=clock.now + 100, clock=clock))
    claim = taken(fresh)
    assert fresh.give_back(claim, replace(claim.terms, seconds=100.0))
    again = make_agenda(round, "again", clock, Abilities(end=clock.now + 105, clock=clock))
    assert taken(again).node != claim.node, "it has hardly more time"
    long = make_agenda(round, "long", clock, Abilities(end=clock.now + 200, clock=clock))
    assert taken(long).node == claim.node


def test_what_was_killed_too_often_is_hopeless(tmp_path: Path, clock: Clock) -> None:
    round = make_round(tmp_path, [()], PilotSettings(stale=100.0, retries=2))
    first = taken(make_agenda(round, "p0", clock))
    assert first.terms == Terms()
    for number in range(1, 4):
        heir = make_agenda(round, f"p{number}", clock)
        assert heir.take() is None
        clock.now += 101
        claim = taken(heir)
    assert claim.terms.failures == 3
    assert heir.is_hopeless(claim)


def test_one_request_lets_one_pilot_leave_and_first_one_without_work(tmp_path: Path) -> None:
    idle, busy = Departures(tmp_path), Departures(tmp_path)
    assert not idle.is_my_turn(busy=False)
    ask_to_leave(tmp_path, 1)
    assert not busy.is_my_turn(busy=True)
    assert idle.is_my_turn(busy=False)
    assert not busy.is_my_turn(busy=True)
    ask_to_leave(tmp_path, 1)
    assert [busy.is_my_turn(busy=True) for _ in range(4)] == [False, False, True, False]


def test_a_node_that_has_not_ended_waits_for_something(tmp_path: Path) -> None:
    round = make_round(tmp_path, [(), (), (0, 1)])
    agenda = make_agenda(round, "p", abilities=Abilities(memory=1000))
    first = taken(agenda)
    assert agenda.give_back(first, Terms(memory=1000))
    second = taken(agenda)
    (tmp_path / "run.json").write_text(json.dumps({"version": VERSION, **FACTS}))
    seen = look_at_pilots(RunDirectory(tmp_path))
    assert [seen.sentence(f"a-{node}") for node in (first.node, second.node, 2)] == [
        f"Its node a-{first.node} needs a pilot with more memory than 1000 MB, and there is none.",
        f"A pilot (p on here) runs its node a-{second.node}, and has not come to it.",
        "Its node a-2 waits for others; then a pilot can take it.",
    ]
    assert list(seen.notes(RunDirectory(tmp_path))) == [
        "Pilots: 1 run a node, 0 wait.",
        f"a-{first.node} needs a pilot with more memory than 1000 MB: "
        f"pipetask pilots {tmp_path} --add 1 --memory …",
    ]
    (file,) = (round.folder / "members").iterdir()
    os.utime(file, (0, 0))
    seen = look_at_pilots(RunDirectory(tmp_path))
    assert next(seen.notes(RunDirectory(tmp_path))) == "Pilots: 0 run a node, 0 wait, 1 may be dead."
    agenda._me.beat()
    assert [pilot.state for pilot in look_at_pilots(RunDirectory(tmp_path)).there] == ["runs"]


def test_a_run_without_pilots_says_so(tmp_path: Path) -> None:
    with pytest.raises(PipetaskError, match="has no pilots: its jobs run one node each"):
        last_round(tmp_path)


def work_in_turn(agendas: list[Agenda], rng: random.Random) -> Iterator[int]:
    """Let pilots work in any order, each several steps behind the others; yield the nodes in their order."""
    running: dict[int, Claim] = {}
    while True:
        number = rng.randrange(len(agendas))
        if number in running:
            claim = running.pop(number)
            assert agendas[number].end(claim, 0, 1.0)
            yield claim.node
        elif (taken := agendas[number].take()) is not None:
            running[number] = taken
        elif not running:
            return


@settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(seed=st.integers(0, 10**6), pilots=st.integers(1, 6), size=st.integers(3, 40))
def test_everything_is_run_once_and_in_order(
    tmp_path_factory: pytest.TempPathFactory, seed: int, pilots: int, size: int
) -> None:
    rng = random.Random(seed)
    needs = [tuple(sorted(rng.sample(range(n), rng.randrange(min(n, 4) + 1)))) for n in range(size)]
    round = make_round(tmp_path_factory.mktemp("run"), needs)
    order = list(work_in_turn([make_agenda(round, f"p{n}") for n in range(pilots)], rng))
    assert sorted(order) == list(range(size))
    place = {node: position for position, node in enumerate(order)}
    assert all(place[before] < place[node] for node in range(size) for before in needs[node])
    assert (round.marks.offers(), round.marks.over()) == ([], set(range(size)))


def operations(folder: Path, size: int, pilots: int) -> float:
    """Return how many operations on files a node costs."""
    folder.mkdir()
    rng = random.Random(1)
    round = make_round(folder, layered(rng, size))
    agendas = [make_agenda(round, f"p{n}") for n in range(pilots)]
    with counted() as counts:
        assert len(list(work_in_turn(agendas, rng))) == size
    return sum(counts.values()) / size


@pytest.mark.slow
def test_what_a_node_costs_does_not_grow_with_the_run_and_little_with_the_pilots(tmp_path: Path) -> None:
    few = operations(tmp_path / "few", 100, 4)
    many = operations(tmp_path / "many", 600, 4)
    crowd = operations(tmp_path / "crowd", 600, 60)
    assert few < 40
    assert many < 1.3 * few
    assert crowd < 2 * few


# Processes that are killed.


class Noted:
    """A run of processes that note what they do, so that it can be checked whatever is killed when."""

    def __init__(self, folder: Path, needs: list[tuple[int, ...]]):
        self.folder, self.needs = folder, needs
        self.round = make_round(folder, needs, PilotSettings(stale=0.4, retries=1000))

    def start(self, name: str) -> int:
        if pid := os.fork():
            return pid
        try:
            self._work(name)
        finally:
            os._exit(0)

    def _work(self, name: str) -> None:
        agenda, rng = make_agenda(self.round, name), random.Random(name)
        while True:
            if (claim := agenda.take()) is None:
                if not agenda.can_still_come():
                    return
                time.sleep(0.01)
                continue
            over = self.round.marks.over()
            ready = over.issuperset(self.needs[claim.node])
            self._note(f"{claim.node} {claim.generation} {name} {int(ready)}")
            time.sleep(rng.random() * 0.01)
            if rng.random() < 0.1:
                agenda.give_back(claim, claim.terms)
            else:
                agenda.end(claim, 0)

    def _note(self, line: str) -> None:
        file = os.open(self.folder / "notes", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.write(file, f"{line}\n".encode())
        os.close(file)

    def notes(self) -> list[list[str]]:
        return [line.split() for line in (self.folder / "notes").read_text().splitlines()]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_pilots_that_are_killed_at_any_moment_lose_and_double_nothing(tmp_path: Path, seed: int) -> None:
    threads = set(threading.enumerate())  # other tests of this process may have left some
    rng = random.Random(seed)
    run = Noted(tmp_path, layered(rng, 60))
    names = (f"p{number}" for number in range(10**6))
    living = [run.start(next(names)) for _ in range(4)]
    for _ in range(12):
        time.sleep(rng.random() * 0.05)  # any moment will do
        victim = living.pop(rng.randrange(len(living)))
        os.kill(victim, signal.SIGKILL)
        os.waitpid(victim, 0)
        living.append(run.start(next(names)))
    for pid in living:
        os.waitpid(pid, 0)
    os.waitpid(run.start("last"), 0)  # those that came last may have been killed
    assert run.round.marks.over() == set(range(60))
    notes = run.notes()
    claims = Counter((node, generation) for node, generation, _, _ in notes)
    assert set(claims.values()) == {1}, "in each generation a node has one owner"
    assert all(ready == "1" for *_, ready in notes), "nothing begins before all that it needs is over"
    assert set(threading.enumerate()) <= threads
