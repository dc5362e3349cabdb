"""The bundles that an engine has."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass

from ...graph.enumeration import QuantumData
from ..wakeup import Wakeup
from .far_side import Answer

__all__ = ["Flight", "Flights"]


@dataclass
class Flight:
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


class Flights:
    """The bundles that are under way, and those of them that have landed.

    Attributes
    ----------
    wakeup
        What wakes the loop when one has landed.
    """

    def __init__(self) -> None:
        self.wakeup = Wakeup()
        self._flights: dict[int, Flight] = {}
        self._landed: deque[int] = deque()
        self._n_numbers = 0
        self._n_inherited = 0

    def __len__(self) -> int:
        return len(self._flights)

    def __iter__(self) -> Iterator[tuple[int, Flight]]:
        return iter(self._flights.items())

    def __contains__(self, number: int) -> bool:
        return number in self._flights

    @property
    def n_sent(self) -> int:
        """How many the engine has."""
        return len(self._flights) - self._n_inherited

    @property
    def some_have_landed(self) -> bool:
        """Whether `landed` yields any."""
        return bool(self._landed)

    def quanta(self) -> list[Mapping[int, QuantumData]]:
        """Return the quanta of each; may be called from any thread."""
        return [flight.quanta for flight in list(self._flights.values())]

    def next_number(self) -> int:
        """Return a number that no bundle of this run has had."""
        self._n_numbers += 1
        return self._n_numbers

    def begin(self, number: int, flight: Flight) -> None:
        """Take note of one that is under way; it lands when its future is done."""
        self._flights[number] = flight
        self._n_inherited += flight.is_inherited
        flight.future.add_done_callback(lambda _: self.land(number))

    def land(self, number: int) -> None:
        """Let one land; may be called from any thread, and more than once."""
        self._landed.append(number)
        self.wakeup.wake()

    def landed(self) -> Iterator[tuple[int, Flight]]:
        """Yield those that have landed, each once; they are not under way any more."""
        while self._landed:
            number = self._landed.popleft()
            if (flight := self._flights.pop(number, None)) is not None:
                self._n_inherited -= flight.is_inherited
                yield number, flight

    def go_on(self, number: int, flight: Flight) -> None:
        """Take one back that has landed too early: `land` is called once more."""
        self._flights[number] = flight
        self._n_inherited += flight.is_inherited

    def cancel(self) -> None:
        """Ask the engine to begin none that it has not begun."""
        for flight in self._flights.values():
            with contextlib.suppress(Exception):  # Parsl cannot cancel anything, and raises
                flight.future.cancel()

    def give_up(self) -> None:
        """Wait no longer for what is under way: let all land."""
        self.cancel()
        for number, flight in self._flights.items():
            flight.given_up = True
            self.land(number)
