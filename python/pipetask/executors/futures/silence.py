"""Bundles of which nothing is heard."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from .bundle_file import Watch
from .flights import Flight, Flights
from .shared_folder import SharedFolder
from .survivors import SILENCE

__all__ = ["SilenceWatch"]

_LOG = logging.getLogger(__name__)

LOOK = 10.0
"""Seconds between two looks at whether what drives bundles gives signs of life."""

MISSED = 15.0
"""Seconds without a sign of life after which a worker of this machine is looked for: an engine may miss its end."""

GIVEN_UP = 300.0
"""Seconds without a sign of life after which a bundle is run elsewhere; fewer if a quantum may not take so long."""


class SilenceWatch:
    """Gives up bundles without a sign of life: a process may be stopped, or not be reached by anything.

    Parameters
    ----------
    folder
        The folder in which workers give signs of life.
    describe
        Returns the name of a quantum.
    timeout
        Seconds that a quantum may take.
    """

    def __init__(self, folder: SharedFolder, describe: Callable[[int], str], timeout: float | None):
        self._folder = folder
        self._describe = describe
        self._patience = GIVEN_UP if timeout is None else min(GIVEN_UP, max(SILENCE, timeout))
        self._watch = Watch()
        self._next_look = time.monotonic() + LOOK

    def look(self, flights: Flights) -> None:
        """Let those land that are given up, if it is time to look."""
        if time.monotonic() < self._next_look:
            return
        self._next_look = time.monotonic() + LOOK
        for number, flight in flights:
            silence = self._watch.silence(self._folder.bundle(number)) or 0.0
            if silence > SILENCE and not flight.is_told:
                self._tell(number, flight)
            if (loss := self._loss(number, flight, silence)) is not None:
                flight.loss = loss
                flights.land(number)

    def forget(self, number: int) -> None:
        """Forget a bundle that is over."""
        self._watch.forget(self._folder.bundle(number))

    def _tell(self, number: int, flight: Flight) -> None:
        flight.is_told = True
        ended = {outcome.id for outcome in self._folder.recorded(number)}
        running = next((id for id in flight.quanta if id not in ended), next(iter(flight.quanta)))
        _LOG.warning(
            "Nothing is heard of the worker that runs %s: what it has is given to another one after %.0f s.",
            self._describe(running),
            self._patience,
        )

    def _loss(self, number: int, flight: Flight, silence: float) -> Exception | None:
        """Return why a bundle is lost, if it is."""
        if flight.is_doubled and not self._folder.runs(number):
            return RuntimeError("the engine has given it out twice")
        if flight.loss is not None:
            return None  # it has landed already
        if silence > MISSED and self._folder.has_lost_driver(number):
            return RuntimeError("its worker has ended, and the engine does not say so")
        if silence > self._patience:
            self._folder.end_driver(number)
            return TimeoutError(f"its worker has given no sign of life in {self._patience:.0f} s")
        return None
