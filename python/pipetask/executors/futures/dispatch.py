"""Keep an engine busy with the bundles of one run, and take the outcomes, whatever becomes of its workers."""

from __future__ import annotations

import logging
import pickle
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from multiprocessing.connection import wait

from ...errors import PipetaskError, one_line, reason_of
from ...graph.enumeration import QuantumData
from ...outcome import QuantumOutcome, Status
from ..base import ExecutionContext
from ..elsewhere import Elsewhere
from ..frontier import Frontier
from ..left_behind import LeftBehindLog
from ..pool.bundling import BundlePolicy
from ..pool.packing import bundler_for
from ..resources import Share
from ..stop import StopLevel, StopRequest
from ..wakeup import Wakeup
from .bundle_file import BundleTakenError
from .engine import Engine, slots_of
from .environment import Environment
from .far_side import Answer, Order, run_bundle
from .flights import Flight, Flights
from .inheritance import Inheritance
from .lone_worker import Limits
from .losses import MOST_LOSSES, Losses
from .shared_folder import SharedFolder
from .silence import SilenceWatch
from .surroundings import Surroundings
from .survivors import Survivors

__all__ = ["Dispatch"]

_LOG = logging.getLogger(__name__)

MOST_REFUSALS = 20
"""Times that an engine may refuse work, without an answer in between, until the run is given up."""

PULSE = 5.0
"""Seconds between two looks at whether an engine that says nothing is dead."""

NEXT_OF_KIN = 1.0
"""Seconds between two looks at what workers of an earlier attempt still run."""

FAREWELL = 15.0
"""Seconds, beyond the grace of a quantum, in which bundles must come back when the run stops."""


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
        self._flights = Flights()
        self._sources: list[Wakeup | StopRequest | Elsewhere] = [self._flights.wakeup, context.stop]
        if context.elsewhere is not None:
            self._sources.append(context.elsewhere)
        self._losses = Losses()
        structure = context.graph.structure
        self._inheritance = Inheritance(
            survivors, self._flights, lambda quantum: structure.quantum_id_bytes(quantum.position)
        )
        self._silence: SilenceWatch | None = None
        if folder is not None:
            self._silence = SilenceWatch(folder, context.graph.describe, context.timeout)
        self._bundler = bundler_for(
            context,
            self._frontier,
            policy,
            slots_of(engine),
            self._flights.quanta,
            here=engine.is_here,
            inventory=engine.inventory() if context.resources is not None else (),
        )
        self._left_behind = LeftBehindLog(context.graph, "its worker is replaced")
        self._n_refusals = 0
        self._is_fault_told = False
        """Whether it was told that the folder cannot be written to."""
        self._failure: PipetaskError | None = None
        self._stop_deadline: float | None = None

    def running(self) -> tuple[int, ...]:
        """Return the quanta that the engine has."""
        return tuple(id for quanta in self._flights.quanta() for id in quanta)

    def shares(self) -> list[Share]:
        """Return how much of each resource is in use."""
        return self._bundler.shares()

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
        if self._flights.some_have_landed:
            return False
        if self._context.stop:
            return not self._flights
        return self._frontier.exhausted

    def _wait(self) -> None:
        deadlines = [each for each in (self._frontier.next_due, self._stop_deadline) if each is not None]
        if self._survivors:
            deadlines.append(time.monotonic() + NEXT_OF_KIN)
        seconds = min([PULSE, *(max(0.0, each - time.monotonic()) for each in deadlines)])
        ready = wait([each.fileno() for each in self._sources], seconds)
        for each in self._sources:
            if each.fileno() in ready:
                each.acknowledge()
        if not ready and (reason := self._engine.end_of_life()) is not None:
            self._fail(PipetaskError(f"The engine is gone: {reason}."))
            self._flights.give_up()
        self._inheritance.look()
        if self._silence is not None:
            self._silence.look(self._flights)

    def close(self) -> None:
        """End what still runs, if anything does; answers that come later are not heard."""
        if self._flights and self._folder is not None:
            self._folder.ask(StopLevel.KILL)
        self._flights.wakeup.close()

    # Sending

    def _send(self) -> None:
        """Give the engine as many bundles as it has slots, and short ones that wait there for the next."""
        try:
            slots = slots_of(self._engine)
        except Exception as error:
            self._refused((), error)
            return
        while self._flights.n_sent < 2 * slots and not self._context.stop and not self._survivors.hold_all:
            idle = self._flights.n_sent < slots
            lost = self._losses.first
            if lost is not None and idle and self._bundler.admit(slots, {0: lost}):
                bundle: Sequence[QuantumData] = [self._losses.take()]
            else:
                bundle, _ = self._bundler.next(slots, idle=idle)
            if not bundle:
                return
            if sent := self._inheritance.rest(self._alike(bundle)):
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

    def _submit(self, bundle: Sequence[QuantumData]) -> None:
        """Give the engine a bundle."""
        number, frontier = self._flights.next_number(), self._frontier
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
            future = self._engine.submit_for(self._needs(bundle[0]), run_bundle, order)
        except Exception as error:
            self._refused(bundle, error)
            return
        self._flights.begin(number, Flight(future, {each.id: each for each in bundle}))

    def _needs(self, quantum: QuantumData) -> Mapping[str, int]:
        """Return what a quantum needs, and with it all of its bundle."""
        resources = self._context.resources
        if resources is None:
            return {}
        return resources.needs[self._context.graph.structure.labels[quantum.task_index]]

    def _attempt(self, id: int) -> int:
        return self._frontier.attempt(id) + self._losses.attempts(id)

    def _refused(self, bundle: Sequence[QuantumData], error: Exception) -> None:
        for each in bundle:
            self._frontier.give_back(each)
        self._n_refusals += 1
        _LOG.debug("The engine takes no work: %s", one_line(error), exc_info=error)
        if not self._engine.lost(error):
            self._fail_by_mistake(error)
        elif self._n_refusals >= MOST_REFUSALS:
            self._fail(PipetaskError(f"The engine takes no more work: {reason_of(error)}."))
        else:
            self._engine.renew()

    def _fail(self, failure: PipetaskError) -> None:
        """End the run; it is told when all that still runs has come back."""
        self._failure = self._failure or failure
        self._context.stop.ask(one_line(failure))

    def _fail_by_mistake(self, error: Exception) -> None:
        """End the run because of what another worker would not do better."""
        self._fail(PipetaskError(f"The engine cannot run what it is given: {one_line(error)}"))

    # Landing

    def _land(self) -> Iterator[QuantumOutcome]:
        for number, flight in self._flights.landed():
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
            if self._folder is not None and self._silence is not None and number not in self._flights:
                self._silence.forget(number)
                self._folder.forget(number)

    def _called_off(self, number: int, flight: Flight) -> Iterator[QuantumOutcome]:
        """Take what is recorded of a bundle that was cancelled, which may have been running all the same."""
        missing = dict(flight.quanta)
        if self._folder is not None:
            yield from self._ended(missing, self._folder.recorded(number))
            self._folder.forget(number)
        for quantum in missing.values():
            self._frontier.give_back(quantum)

    def _arrived(self, flight: Flight, answer: Answer) -> Iterator[QuantumOutcome]:
        if answer.outcomes:
            self._n_refusals = 0
        self._n_lacking_code += answer.lacks_code
        self._note_fault(answer.unrecorded)
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

    def _note_fault(self, fault: str | None) -> None:
        """Tell once that outcomes are not recorded before they arrive."""
        if fault is None or self._folder is None or self._is_fault_told:
            return
        self._is_fault_told = True
        _LOG.warning(
            "Workers cannot write to %s (%s): if the engine loses one, what it had not yet told is run again. Make "
            "room there, or name another folder with --engine-folder.",
            self._folder.path,
            fault,
        )

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

    def _crashed(self, number: int, flight: Flight, error: BaseException) -> Iterator[QuantumOutcome]:
        """Take what is recorded of a bundle that the engine has lost; try the rest again.

        Where outcomes are recorded at once, the first without one is what ran, and the others had not begun.
        Otherwise each may have been running, and each is run alone the next time.
        """
        if isinstance(error, BundleTakenError) and self._folder is not None and self._folder.runs(number):
            flight.is_doubled = True
            self._flights.go_on(number, flight)
            return
        _LOG.debug("The engine has lost bundle %d: %s", number, one_line(error), exc_info=error)
        missing = dict(flight.quanta)
        if self._folder is not None:
            yield from self._ended(missing, self._folder.recorded(number))
        if isinstance(error, Exception) and not self._is_loss(flight, error):
            self._fail_by_mistake(error)
            for quantum in missing.values():
                self._frontier.give_back(quantum)
            return
        suspects = list(missing.values())
        if self._folder is not None:
            suspects, innocent = suspects[:1], suspects[1:]
            for quantum in innocent:
                self._losses.note_unbegun(quantum)
                self._frontier.give_back(quantum)
        for quantum in suspects:
            n_losses = self._losses.count(quantum)
            if self._context.stop:
                yield from self._finished(
                    _cancelled(quantum.id, "the engine lost it when the run was to stop")
                )
            elif n_losses >= MOST_LOSSES:
                reason = f"the engine has lost it {MOST_LOSSES} times: {one_line(error)}"
                yield from self._finished(QuantumOutcome(quantum.id, Status.KILLED, reason=reason))
            else:
                self._losses.put(quantum)

    def _is_loss(self, flight: Flight, error: Exception) -> bool:
        """Return whether a bundle was lost, rather than something be wrong with what was sent."""
        return flight.loss is not None or isinstance(error, BundleTakenError) or self._engine.lost(error)

    # Stopping

    def _stop(self) -> None:
        """Tell the workers; give up, after a while, what does not come back."""
        stop = self._context.stop
        while self._losses.first is not None:
            self._frontier.give_back(self._losses.take())
        self._survivors.ask(stop.level)
        if self._folder is not None:
            self._folder.ask(stop.level)
        else:
            self._flights.cancel()
        if stop.level < StopLevel.STOP:
            return
        if self._stop_deadline is None:
            self._stop_deadline = time.monotonic() + self._policy.grace + FAREWELL
        elif time.monotonic() >= self._stop_deadline:
            self._flights.give_up()


def _cancelled(id: int, reason: str) -> QuantumOutcome:
    return QuantumOutcome(id, Status.CANCELLED, reason=reason)
