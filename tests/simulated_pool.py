"""A pool without processes: its state machine, workers that a test moves by hand, and a clock that it sets."""

from __future__ import annotations

import errno
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pipetask.errors import PipetaskError
from pipetask.executors.base import ExecutionContext
from pipetask.executors.pool.bundling import BundlePolicy
from pipetask.executors.pool.death import Death
from pipetask.executors.pool.ending import Ending
from pipetask.executors.pool.instructions import Give, Halt, Instruction, Interrupt, Kill, Start, TakeBack
from pipetask.executors.pool.messages import Ready, Report
from pipetask.executors.pool.state import PoolState
from pipetask.executors.resources import Resources
from pipetask.graph.enumeration import EnumeratedGraph
from pipetask.outcome import QuantumOutcome, Status
from pipetask.testing import CallSpec


@dataclass
class Clock:
    """Tells the time that a test has set."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class SimulatedWorker:
    """What is in a worker's pipes, and what it does."""

    tokens: deque[int] = field(default_factory=deque)
    reports: deque[Report] = field(default_factory=deque)
    running: int | None = None
    alive: bool = True
    ready: bool = False
    interrupted: bool = False
    killed: Status | None = None


class SimulatedPool:
    """Does what the state machine says, as the foreman does, with workers that do nothing by themselves."""

    def __init__(
        self,
        graph: EnumeratedGraph,
        processes: int = 2,
        policy: BundlePolicy | None = None,
        **context: object,
    ):
        self.clock = Clock()
        self.context = ExecutionContext(graph, CallSpec(print), **context)  # type: ignore[arg-type]
        self.state = PoolState(graph, self.context, processes, policy or BundlePolicy(), self.clock)
        self.workers: dict[int, SimulatedWorker] = {}
        self.followed: list[Instruction] = []
        self.outcomes: list[QuantumOutcome] = []
        self.begun: Counter[int] = Counter()
        self.halted = False
        self.starts_refused = 0

    def settle(self) -> list[Instruction]:
        """Follow all instructions that there are now; return them."""
        before = len(self.followed)
        for instruction in self.state.instructions():
            self.followed.append(instruction)
            self._follow(instruction)
        self.outcomes += self.state.take_outcomes()
        return self.followed[before:]

    def _follow(self, instruction: Instruction) -> None:
        match instruction:
            case Start(number) if self.starts_refused:
                self.starts_refused -= 1
                self.state.not_started(number, OSError(errno.EAGAIN, "no more"))
            case Start(number):
                self.workers[number] = SimulatedWorker()
                self.state.started(number, 100 + number)
            case Give(number, tickets):
                if self.workers[number].alive:
                    self.workers[number].tokens.extend(ticket.id for ticket in tickets)
                else:
                    self.state.not_given(instruction)
            case TakeBack(number, half):
                tokens = self.workers[number].tokens
                count = (len(tokens) + 1) // 2 if half else len(tokens)
                self.state.taken_back(instruction, [tokens.popleft() for _ in range(count)])
                self.read(number)
            case Halt():
                assert not self.halted, "once is enough"
                self.halted = True
            case Interrupt(number):
                assert self.halted, "otherwise the worker takes it for a stray signal"
                self.workers[number].interrupted = True
            case Kill(number, why):
                self.workers[number].killed = why
                self.workers[number].alive = False

    # What workers do

    def make_ready(self, *numbers: int) -> None:
        for number in numbers or list(self.workers):
            if not self.workers[number].ready:
                self.workers[number].ready = True
                self.report(number, Ready())

    def report(self, number: int, report: Report) -> None:
        self.workers[number].reports.append(report)
        self.read(number)

    def begin(self, number: int) -> int | None:
        """Let a worker begin its next quantum; return which, `None` if it has none."""
        worker = self.workers[number]
        if worker.alive and worker.running is None and worker.tokens:
            worker.running = worker.tokens.popleft()
            self.begun[worker.running] += 1
        return worker.running

    def end(self, number: int, status: Status = Status.SUCCEEDED, seconds: float = 0.0) -> None:
        """Let a worker end what it runs; its outcome waits in the pipe until `read`."""
        worker = self.workers[number]
        assert worker.running is not None
        outcome = QuantumOutcome(worker.running, status, start=0.0, end=seconds)
        worker.reports.append(outcome)
        worker.running = None

    def run(self, number: int, count: int = 1, seconds: float = 0.0) -> None:
        """Let a worker run its next quanta."""
        for _ in range(count):
            assert self.begin(number) is not None
            self.clock.now += seconds
            self.end(number, seconds=seconds)
            self.read(number)

    # What the foreman notices

    def read(self, number: int) -> None:
        """Read what a worker has reported."""
        reports = self.workers[number].reports
        while reports:
            self.state.report(number, reports.popleft())

    def bury(self, number: int, exit_code: int = -9) -> None:
        """Notice the death of a worker."""
        self.read(number)
        worker = self.workers.pop(number)
        self.state.taken_back(TakeBack(number), list(worker.tokens))
        self.state.died(number, Death(100 + number, Ending(exit_code), None))

    # To the end

    def finish(self) -> None:
        """Let all workers do what they are there for, until the run is over."""
        for _ in range(10_000):
            self._attempt(self.settle)
            if self.state.over:
                self.outcomes += self.state.take_outcomes()
                return
            if not self._work():
                assert self.state.deadline is not None, "nothing will ever happen"
                self.clock.now = max(self.clock.now, self.state.deadline)
        raise AssertionError("the run does not end")

    def _work(self) -> bool:
        """Let each worker do one thing; return whether there was anything to do."""
        busy = False
        for number, worker in list(self.workers.items()):
            if not worker.alive:
                self._attempt(self.bury, number)
            elif not worker.ready:
                self.make_ready(number)
            elif worker.reports:
                self._attempt(self.read, number)
            elif self.begin(number) is not None:
                self.end(number, Status.CANCELLED if worker.interrupted else Status.SUCCEEDED)
                self.read(number)
            else:
                continue
            busy = True
        return busy

    def _attempt(self, action: object, *arguments: object) -> None:
        """Do as the foreman does with an error: stop the run, and go on."""
        try:
            action(*arguments)  # type: ignore[operator]
        except PipetaskError as error:
            self.context.stop.ask(str(error))


def made_resources(graph: EnumeratedGraph, needs: Sequence[Mapping[str, int]], processes: int) -> Resources:
    """Let the labels of a graph need some things, of which there is as much as the largest needs, or a bit more."""
    limits = {name: 1 + max(each[name] for each in needs) for name in needs[0]}
    limits["cpus"] = max(limits["cpus"] - 1, processes)
    return Resources(dict(zip(graph.structure.labels, needs, strict=False)), limits)


def assert_it_fits(pool: SimulatedPool) -> None:
    """Check that what all workers have, as each of them knows it, fits side by side."""
    resources = pool.context.resources
    assert resources is not None
    used: Counter[str] = Counter()
    for worker in pool.state.workers.values():
        needs = [resources.needs[quantum.label] for quantum in worker.assigned.values()]
        assert all(each == needs[0] for each in needs), "a bundle is of one kind"
        used.update(needs[0] if needs else {})
    over = {name: used[name] for name, limit in resources.limits.items() if used[name] > limit}
    assert not over, f"more than {resources.limits}"
