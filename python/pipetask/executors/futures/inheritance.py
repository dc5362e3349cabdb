"""Quanta that workers of an earlier attempt at the run still run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future

from ...graph.enumeration import QuantumData
from .far_side import Answer
from .flights import Flight, Flights
from .survivors import Survivors

__all__ = ["Inheritance"]


class Inheritance:
    """Lets quanta that survivors run be under way, as if the engine had them.

    Parameters
    ----------
    survivors
        What workers of an earlier attempt still run.
    flights
        The bundles that are under way.
    identify
        Returns the UUID of a quantum.
    """

    def __init__(self, survivors: Survivors, flights: Flights, identify: Callable[[QuantumData], bytes]):
        self._survivors = survivors
        self._flights = flights
        self._identify = identify
        self._inherited: dict[bytes, Flight] = {}

    def rest(self, bundle: Sequence[QuantumData]) -> Sequence[QuantumData]:
        """Return what of a bundle has to be sent; the rest is run already, and is under way from now on."""
        if not self._survivors:
            return bundle
        rest = []
        for quantum in bundle:
            id = self._identify(quantum)
            if self._survivors.run(id):
                flight = Flight(Future(), {quantum.id: quantum}, is_inherited=True)
                self._inherited[id] = flight
                self._flights.begin(self._flights.next_number(), flight)
            else:
                rest.append(quantum)
        return rest

    def look(self) -> None:
        """Let those land that are not run any more; when they are sent, the runner finds what is stored."""
        if not self._survivors:
            return
        self._survivors.look()
        for id in [each for each in self._inherited if not self._survivors.run(each)]:
            flight = self._inherited.pop(id)
            if not flight.future.done():
                flight.future.set_result(Answer(()))
