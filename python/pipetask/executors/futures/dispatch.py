"""Keep an engine busy with the bundles of one run, and take the outcomes, whatever becomes of its workers."""

from __future__ import annotations

import contextlib
import logging
import os
import pickle
import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import wait

from ...errors import PipetaskError, one_line, reason_of
from ...graph.enumeration import QuantumData
from ...outcome import QuantumOutcome, Status
from ..base import ExecutionContext
from ..frontier import Frontier
from ..left_behind import LeftBehindLog
from ..pool.bundling import BundlePolicy
from ..pool.packing import bundler_for
from ..resources import Share
from ..stop import StopLevel
from .bundle_file import BundleTakenError, Watch
from .engine import Engine
from .environment import Environment
from .far_side import Answer, Order, run_bundle
from .lone_worker import Limits
from .shared_folder import SharedFolder
from .surroundings import Surroundings
from .survivors import SILENCE, Survivors

__all__ = ["Dispatch"]

_LOG = logging.getLogger(__name__)

MOST_LOSSES = 3
"""Times that an engine may lose a quantum until it is given up."""

MOST_REFUSALS = 20
"""Times that an engine may refuse work, without an answer in between, until the run is given up."""

PULSE = 5.0
"""Seconds between two looks at whether an engine that says nothing is dead."""

LOOK = 10.0
"""Seconds between two looks at whether what drives bundles gives signs of life."""

GIVEN_UP = 300.0
"""Seconds without a sign of life after which a bundle is run elsewhere; fewer if a quantum may not take so long."""

NEXT_OF_KIN = 1.0
"""Seconds between two looks at what workers of an earlier attempt still run."""

FAREWELL = 15.0
"""Seconds, beyond the grace of a quantum, in which bundles must come back when the run stops."""


@dataclass
class _Flight:
    """A bundle that the engine has."""

    future: Future[Answer]
    quanta: Mapping[int, QuantumData]
    given_up: bool = False
    """Whether it is not waited for any more."""

    loss: Exception | None = None
    """Why it is lost, although the engine does not say so."""

    is_told: bool = False
    """Whether it was told that nothing is heard of it."""

    is_doubled: bool = False
    """Whether the engine has given it out twice, and of these the first still runs."""

    is_inherited: bool = False
    """Whether a worker of an earlier attempt has it."""


class Dispatch:
    """The bundles of one run.

    Parameters
    ----------
    quanta
        The stream.
    context
        What the execution model was told.
    engine
        What runs bundles.
    policy
        How many quanta travel together, and how long they may take to stop.
    folder
        A folder that the engine's workers see, too, if there is one.
    variables
        Environment variables of worker processes.
    run
        Identifier of the run, unlike that of any other.
    surroundings
        What is different where workers of the engine are.
    survivors
        What workers of an earlier attempt still run.
    """

    def __init__(
        self,
        quanta: Iterable[QuantumData],
        context: ExecutionContext,
        engine: Engine,
        policy: BundlePolicy,
        folder: SharedFolder | None,
        variables: Mapping[str, str],
        run: str,
        surroundings: Surroundings,
        survivors: Survivors,
    ):
        self._run = run
        self._surroundings = surroundings
        self._environments = surroundings.environments(context.graph.structure.labels, context.subsets)
        self._n_lacking_code = 0
        """Bundles that came back for want of a code package, which other bundles then take along."""
        self._survivors = survivors
        self._watch = Watch()
        self._next_look = time.monotonic() + LOOK
        self._context = context
        self._engine = engine
        self._policy = policy
        self._folder = folder
        self._variables = variables
        # In a shared folder a bundle can be begun only once; otherwise each quantum has to look what is there.
        unguarded = engine.reruns and folder is None
        runner = context.runner.resuming() if unguarded else context.runner
        self._runner = pickle.dumps(runner)
        self._frontier = Frontier(quanta, context.retries, elsewhere=context.elsewhere)
        self._bundler = bundler_for(
            context, self._frontier, policy, engine.slots, self._flying, here=engine.is_here
        )
        self._left_behind = LeftBehindLog(context.graph, "its worker is replaced")
        self._flights: dict[int, _Flight] = {}
        self._inherited: dict[bytes, _Flight] = {}
        """Quanta that workers of an earlier attempt run, by UUID; they are among the flights."""
        self._n_flights = 0
        self._landed: deque[int] = deque()
        self._lost: deque[QuantumData] = deque()
        """Quanta that were lost, to be run once more, each alone."""
        self._losses: Counter[int] = Counter()
        self._again: set[int] = set()
        """Quanta of bundles that were lost before they had begun, as far as is recorded; they may have left files."""
        self._n_refusals = 0
        self._failure: PipetaskError | None = None
        self._stop_deadline: float | None = None
        self._bell, self._bell_rope = os.pipe()
        for end in (self._bell, self._bell_rope):
            os.set_blocking(end, False)

    def running(self) -> tuple[int, ...]:
        """Return the quanta that the engine has."""
        return tuple(id for flight in list(self._flights.values()) for id in flight.quanta)

    def shares(self) -> list[Share]:
        """Return how much of each resource is in use."""
        return self._bundler.shares()

    def _flying(self) -> list[Mapping[int, QuantumData]]:
        return [flight.quanta for flight in list(self._flights.values())]

    def outcomes(self) -> Iterator[QuantumOutcome]:
        """Yield the outcome of each quantum of the stream."""
        context = self._context
        while True:
            # First what has come back, since that decides what can be sent.
            yield from self._land()
            if context.stop:
                self._stop()
            else:
                self._send()
            if context.stop:
                self._bundler.give_up()
                yield from self._frontier.cancel(context.stop.reason or "")
            yield from self._frontier.blocked()
            if self._over():
                break
            self._wait()
        if self._failure is not None:
            raise self._failure

    def _over(self) -> bool:
        if self._landed:
            return False
        if self._context.stop:
            return not self._flights
        return self._frontier.exhausted

    def _wait(self) -> None:
        deadlines = [each for each in (self._frontier.next_due, self._stop_deadline) if each is not None]
        if self._survivors:
            deadlines.append(time.monotonic() + NEXT_OF_KIN)
        seconds = min([PULSE, *(max(0.0, each - time.monotonic()) for each in deadlines)])
        sources = [each for each in (self._context.stop, self._context.elsewhere) if each is not None]
        ready = wait([self._bell, *(each.fileno() for each in sources)], seconds)
        for each in sources:
            if each.fileno() in ready:
                each.acknowledge()
        if not ready and (reason := self._engine.end_of_life()) is not None:
            self._fail(PipetaskError(f"The engine is gone: {reason}."))
            self._give_up()
        with contextlib.suppress(BlockingIOError):
            while os.read(self._bell, 4096):
                pass
        self._look_at_survivors()
        if time.monotonic() >= self._next_look:
            self._next_look = time.monotonic() + LOOK
            self._listen()

    def close(self) -> None:
        """End what still runs, if anything does; answers that come later are not heard."""
        if self._flights and self._folder is not None:
            self._folder.ask(StopLevel.KILL)
        bell, self._bell_rope = self._bell_rope, -1
        os.close(bell)
        os.close(self._bell)

    # Sending

    def _send(self) -> None:
        """Give the engine as many bundles as it has slots, and short ones that wait there for the next."""
        try:
            slots = self._engine.slots
        except Exception as error:
            self._refused((), error)
            return
        while self._n_sent < 2 * slots and not self._context.stop and not self._survivors.hold_all:
            idle = self._n_sent < slots
            if self._lost and idle and self._bundler.admit(slots, {0: self._lost[0]}):
                bundle = [self._lost.popleft()]
            else:
                bundle, _ = self._bundler.next(slots, idle=idle)
            if not bundle:
                return
            if sent := self._leave_to_survivors(self._alike(bundle)):
                self._submit(sent)

    def _alike(self, bundle: Sequence[QuantumData]) -> Sequence[QuantumData]:
        """Return the quanta of a bundle that run in the environment of the first; the others wait for the next."""
        environment = self._environment(bundle[0])
        others = [each for each in bundle if self._environment(each) is not environment]
        if not others:
            return bundle
        for each in others:
            self._frontier.give_back(each)
        return [each for each in bundle if self._environment(each) is environment]

    def _environment(self, quantum: QuantumData) -> Environment:
        return self._environments[quantum.task_index]

    @property
    def _n_sent(self) -> int:
        return len(self._flights) - len(self._inherited)

    def _submit(self, bundle: Sequence[QuantumData]) -> None:
        """Give the engine a bundle."""
        self._n_flights += 1
        number, frontier = self._n_flights, self._frontier
        tickets = tuple(
            self._context.ticket(each, self._attempt(each.id), new_inputs=frontier.has_new_inputs(each))
            for each in bundle
        )
        limits = Limits(self._context.timeout, self._policy.grace)
        environment, code = self._environment(bundle[0]), None
        if self._n_lacking_code and environment.code is not None:
            self._n_lacking_code -= 1
            code = self._surroundings.code_of(environment)
        folder = self._surroundings.folder_there(self._folder)
        order = Order(
            self._run, number, self._runner, tickets, limits, folder, self._variables, environment, code
        )
        try:
            future = self._engine.submit(run_bundle, order)
        except Exception as error:
            self._refused(bundle, error)
            return
        self._flights[number] = _Flight(future, {each.id: each for each in bundle})
        future.add_done_callback(partial(self._rung, number))

    def _leave_to_survivors(self, bundle: Sequence[QuantumData]) -> Sequence[QuantumData]:
        """Return what of a bundle has to be sent; the rest is run already, and is in flight from now on."""
        if not self._survivors:
            return bundle
        structure = self._context.graph.structure
        ids = {quantum.id: structure.quantum_id_bytes(quantum.position) for quantum in bundle}
        for quantum in bundle:
            if self._survivors.run(ids[quantum.id]):
                self._n_flights += 1
                flight = _Flight(Future(), {quantum.id: quantum}, is_inherited=True)
                self._flights[self._n_flights] = self._inherited[ids[quantum.id]] = flight
                flight.future.add_done_callback(partial(self._rung, self._n_flights))
        return [quantum for quantum in bundle if ids[quantum.id] not in self._inherited]

    def _look_at_survivors(self) -> None:
        """Let those quanta land that are not run any more; when they are sent, the runner finds what is stored."""
        if not self._survivors:
            return
        self._survivors.look()
        for id in [each for each in self._inherited if not self._survivors.run(each)]:
            flight = self._inherited.pop(id)
            if not flight.future.done():
                flight.future.set_result(Answer(()))

    def _listen(self) -> None:
        """Give up what has had no sign of life for too long: a process that is stopped, or that nothing reaches."""
        if self._folder is None:
            return
        timeout = self._context.timeout
        patience = GIVEN_UP if timeout is None else min(GIVEN_UP, max(SILENCE, timeout))
        for number, flight in self._flights.items():
            silence = self._watch.silence(self._folder.bundle(number)) or 0.0
            if silence > SILENCE and not flight.is_told:
                flight.is_told = True
                ended = {outcome.id for outcome in self._folder.recorded(number)}
                running = next((id for id in flight.quanta if id not in ended), next(iter(flight.quanta)))
                _LOG.warning(
                    "Nothing is heard of the worker that runs %s: what it has is given to another one after %.0f s.",
                    self._context.graph.describe(running),
                    patience,
                )
            if flight.is_doubled and not self._folder.runs(number):
                flight.loss = RuntimeError("the engine has given it out twice")
                self._ring(number)
            elif silence > patience and flight.loss is None:
                flight.loss = TimeoutError(f"its worker has given no sign of life in {patience:.0f} s")
                self._folder.end_driver(number)
                self._ring(number)

    def _attempt(self, id: int) -> int:
        return self._frontier.attempt(id) + (self._losses[id] or int(id in self._again))

    def _refused(self, bundle: Sequence[QuantumData], error: Exception) -> None:
        for each in bundle:
            self._frontier.give_back(each)
        self._n_refusals += 1
        _LOG.debug("The engine takes no work: %s", one_line(error), exc_info=error)
        if self._n_refusals >= MOST_REFUSALS:
            self._fail(PipetaskError(f"The engine takes no more work: {reason_of(error)}."))
        else:
            self._engine.renew()

    def _fail(self, failure: PipetaskError) -> None:
        """End the run; it is told when all that still runs has come back."""
        self._failure = self._failure or failure
        self._context.stop.ask(one_line(failure))

    def _rung(self, number: int, future: Future[Answer]) -> None:
        self._ring(number)

    def _ring(self, number: int) -> None:
        self._landed.append(number)
        with contextlib.suppress(OSError):  # it is full, or the run is over
            os.write(self._bell_rope, b".")

    # Landing

    def _land(self) -> Iterator[QuantumOutcome]:
        while self._landed:
            number = self._landed.popleft()
            if (flight := self._flights.pop(number, None)) is None:
                continue
            if self._context.stop and (flight.given_up or flight.future.cancelled()):
                yield from self._called_off(number, flight)
                continue
            try:
                if flight.loss is not None:
                    raise flight.loss
                answer = flight.future.result(0)
            except BaseException as error:  # asyncio's cancellation is no Exception
                if isinstance(error, KeyboardInterrupt | SystemExit | GeneratorExit):
                    raise
                yield from self._crashed(number, flight, error)
            else:
                yield from self._arrived(flight, answer)
            if self._folder is not None and number not in self._flights:
                self._watch.forget(self._folder.bundle(number))
                self._folder.forget(number)

    def _called_off(self, number: int, flight: _Flight) -> Iterator[QuantumOutcome]:
        """Take what is recorded of a bundle that was cancelled, which may have been running all the same."""
        missing = dict(flight.quanta)
        if self._folder is not None:
            yield from self._ended(missing, self._folder.recorded(number))
            self._folder.forget(number)
        for quantum in missing.values():
            self._frontier.give_back(quantum)

    def _arrived(self, flight: _Flight, answer: Answer) -> Iterator[QuantumOutcome]:
        if answer.outcomes:
            self._n_refusals = 0
        self._n_lacking_code += answer.lacks_code
        for id, left in answer.left_behind:
            self._left_behind.note(id, left)
        missing = dict(flight.quanta)
        yield from self._ended(missing, map(QuantumOutcome.from_wire, answer.outcomes))
        for quantum in missing.values():  # they were not begun
            self._frontier.give_back(quantum)
        if (error := answer.failure) is not None:
            self._fail(PipetaskError(f"A worker could not start: {error.type_name}: {error.message}"))
        elif not (answer.outcomes or answer.lacks_code or self._context.stop or flight.is_inherited):
            self._n_refusals += 1
            if self._n_refusals >= MOST_REFUSALS:
                self._fail(PipetaskError("Workers take the run for over: is its folder still there?"))

    def _ended(
        self, missing: dict[int, QuantumData], outcomes: Iterable[QuantumOutcome]
    ) -> Iterator[QuantumOutcome]:
        for outcome in outcomes:
            if (quantum := missing.pop(outcome.id, None)) is None:
                continue  # an engine has run it twice
            self._bundler.learn(quantum.task_index, outcome)
            yield from self._finished(outcome)

    def _finished(self, outcome: QuantumOutcome) -> Iterator[QuantumOutcome]:
        if (final := self._frontier.finish(outcome)) is not None:
            self._context.note_failure(final)
            yield final

    def _crashed(self, number: int, flight: _Flight, error: BaseException) -> Iterator[QuantumOutcome]:
        """Take what is recorded of a bundle that the engine has lost; try the rest again.

        Where outcomes are recorded at once, the first without one is what ran, and the others had not begun.
        Otherwise each may have been running, and each is run alone the next time.
        """
        if isinstance(error, BundleTakenError) and self._folder is not None and self._folder.runs(number):
            flight.is_doubled = True
            self._flights[number] = flight
            return
        _LOG.debug("The engine has lost bundle %d: %s", number, one_line(error), exc_info=error)
        missing = dict(flight.quanta)
        if self._folder is not None:
            yield from self._ended(missing, self._folder.recorded(number))
        suspects = list(missing.values())
        if self._folder is not None:
            suspects, innocent = suspects[:1], suspects[1:]
            for quantum in innocent:
                self._again.add(quantum.id)
                self._frontier.give_back(quantum)
        for quantum in suspects:
            self._losses[quantum.id] += 1
            if self._context.stop:
                yield from self._finished(
                    _cancelled(quantum.id, "the engine lost it when the run was to stop")
                )
            elif self._losses[quantum.id] >= MOST_LOSSES:
                reason = f"the engine has lost it {MOST_LOSSES} times: {one_line(error)}"
                yield from self._finished(QuantumOutcome(quantum.id, Status.KILLED, reason=reason))
            else:
                self._lost.append(quantum)

    # Stopping

    def _stop(self) -> None:
        """Tell the workers; give up, after a while, what does not come back."""
        stop = self._context.stop
        while self._lost:
            self._frontier.give_back(self._lost.popleft())
        self._survivors.ask(stop.level)
        if self._folder is not None:
            self._folder.ask(stop.level)
        else:
            for flight in self._flights.values():
                with contextlib.suppress(Exception):  # as below
                    flight.future.cancel()
        if stop.level < StopLevel.STOP:
            return
        if self._stop_deadline is None:
            self._stop_deadline = time.monotonic() + self._policy.grace + FAREWELL
        elif time.monotonic() >= self._stop_deadline:
            self._give_up()

    def _give_up(self) -> None:
        """Wait no longer for what is on its way; what it has recorded counts."""
        for number, flight in self._flights.items():
            with contextlib.suppress(Exception):  # Parsl cannot cancel anything, and raises
                flight.future.cancel()
            flight.given_up = True
            self._landed.append(number)


def _cancelled(id: int, reason: str) -> QuantumOutcome:
    return QuantumOutcome(id, Status.CANCELLED, reason=reason)
