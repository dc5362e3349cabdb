"""What runs in the workers of an engine.

The functions are named by their module, so what travels is small: an `Order` there and an `Answer` back, neither of
which has objects of a task.
"""

from __future__ import annotations

import pickle
import time
from collections.abc import Mapping
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from ...errors import PipetaskError
from ...outcome import QuantumError, QuantumOutcome
from ...runner import Ticket
from ...runner.failure import describe_exception
from ...runner.process_state import LeftBehind
from ..stop import StopLevel
from .bundle_file import BEAT, BundleWriter, Watch
from .code_package import NoCodeError
from .environment import USUAL, Environment
from .lone_worker import Limits, WorkerStartError
from .shared_folder import SharedFolder
from .survivors import SILENCE
from .warm_workers import WARM_WORKERS, Home

if TYPE_CHECKING:
    from ...runner import RunnerSpec

__all__ = ["Answer", "Order", "end_run", "note_end", "run_bundle", "warm_up"]


@dataclass(frozen=True)
class Order:
    """A bundle of quanta, and all that is needed to run it."""

    run: str
    """Identifier of the run; its warm workers serve only this run."""

    number: int
    """Which bundle of the run it is."""

    runner: bytes
    """The pickled recipe for what runs a quantum."""

    tickets: tuple[Ticket, ...]
    limits: Limits
    folder: SharedFolder | None
    """Where outcomes are recorded at once, if the far side can write there."""

    variables: Mapping[str, str]
    """Environment variables of the worker process."""

    environment: Environment = USUAL
    """In what the worker process starts."""

    code: bytes | None = None
    """The code package of the environment, if it has to come along."""


@dataclass(frozen=True)
class Answer:
    """What became of a bundle; quanta of it without an outcome were not begun."""

    outcomes: tuple[tuple[Any, ...], ...]
    """In their wire format."""

    left_behind: tuple[tuple[int, LeftBehind], ...] = ()
    failure: QuantumError | None = None
    """Why there was no worker process, if there was none."""

    lacks_code: bool = False
    """Whether nothing was begun because the code package is not on that machine."""

    unrecorded: str | None = None
    """Why not all outcomes are in the shared folder, if so."""


class _Packed:
    """A pickled recipe that is passed on as it is: only the worker process, which has to, imports what it needs."""

    def __init__(self, data: bytes):
        self._data = data

    def __reduce__(self) -> tuple[Any, ...]:
        return pickle.loads, (self._data,)


class _Signals:
    """Signs between the run and what drives a bundle of it: each looks whether the other one lives.

    Parameters
    ----------
    order
        The bundle.
    writer
        Writes its file, if a folder is shared.
    """

    def __init__(self, order: Order, writer: BundleWriter | None):
        self._order = order
        self._writer = writer
        self._watch = Watch()
        self._next_look = 0.0
        self._is_orphan = False

    def level(self) -> StopLevel:
        """Give a sign of life; return whether this bundle should end."""
        order, folder = self._order, self._order.folder
        if WARM_WORKERS.is_over(order.run):
            return StopLevel.KILL
        if folder is None or self._writer is None:
            return StopLevel.GO_ON
        return max(folder.level(), self._writer.level(), self._level_of_orphans(folder))

    def _level_of_orphans(self, folder: SharedFolder) -> StopLevel:
        """Return that nothing more should be begun if the run gives no sign of life."""
        if time.monotonic() >= self._next_look:
            self._next_look = time.monotonic() + BEAT
            self._is_orphan = (self._watch.silence(folder.sign) or 0.0) > SILENCE
        return StopLevel.FINISH if self._is_orphan else StopLevel.GO_ON


def run_bundle(order: Order) -> Answer:
    """Run a bundle of quanta in a warm worker process of this process.

    Parameters
    ----------
    order
        The bundle.

    Raises
    ------
    BundleTakenError
        If another process has begun this bundle.
    """
    outcomes: list[tuple[Any, ...]] = []
    folder = order.folder
    if WARM_WORKERS.is_over(order.run) or (folder is not None and folder.level()):
        return Answer(())
    ids = [ticket.quantum_id for ticket in order.tickets]
    recipe = cast("RunnerSpec", _Packed(order.runner))
    home = Home(order.run, order.variables, order.environment, folder)
    try:
        worker = WARM_WORKERS.take(home, recipe, order.code)
    except NoCodeError:
        return Answer((), lacks_code=True)
    except (OSError, PipetaskError) as error:  # there is no such Python on this machine
        return Answer((), failure=describe_exception(error))
    again = False
    try:
        with nullcontext() if folder is None else folder.recording(order.number, ids) as writer:
            signals = _Signals(order, writer)

            def note(outcome: QuantumOutcome) -> None:
                outcomes.append(outcome.to_wire())
                if writer is not None:
                    writer.note(outcome)

            worker.run(_tickets(order, writer), order.limits, signals.level, note)
            again = not signals.level()  # otherwise it has been told to stop
        unrecorded = None if writer is None else writer.fault
        return Answer(tuple(outcomes), tuple(worker.left_behind), unrecorded=unrecorded)
    except WorkerStartError as error:
        return Answer(tuple(outcomes), failure=error.error)
    finally:
        WARM_WORKERS.put(home, worker, again=again)


def _tickets(order: Order, writer: BundleWriter | None) -> tuple[Ticket, ...]:
    """Return the quanta; where none can tell whether another process has begun them, they look what is there."""
    if writer is None or writer.is_first:
        return order.tickets
    return tuple(ticket._replace(attempt=ticket.attempt + 1) for ticket in order.tickets)


def warm_up(
    run: str,
    variables: Mapping[str, str],
    environment: Environment = USUAL,
    folder: SharedFolder | None = None,
) -> None:
    """Begin to import here what the workers of a run need.

    Parameters
    ----------
    run
        Identifier of the run.
    variables
        Environment variables of the workers.
    environment
        In what most workers start.
    folder
        The run's shared folder.
    """
    if not environment.interpreter().is_this:
        return  # it may not start at all, which only the look around tells in one line
    with suppress(NoCodeError):
        WARM_WORKERS.warm_up(Home(run, variables, environment, folder))


def end_run(run: str) -> None:
    """End the worker processes that this process has for a run.

    Parameters
    ----------
    run
        Identifier of the run.
    """
    WARM_WORKERS.end(run)


def note_end(run: str) -> None:
    """Let the worker processes that this process has for a run end soon.

    Parameters
    ----------
    run
        Identifier of the run.
    """
    WARM_WORKERS.note_end(run)
