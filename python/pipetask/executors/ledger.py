"""What of each limit is in use in all execution models of a run together."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

__all__ = ["Account", "Ledger"]


class Ledger:
    """Has an account for each execution model; used from the threads of all of them.

    What an account holds is never less than what its model uses: a model notes what it is about to start while no other
    can look, and what has ended when it looks the next time.

    Parameters
    ----------
    names
        Names of the limits that several models share.
    wakers
        For each model, what makes it look again at what it could start.
    """

    def __init__(self, names: Sequence[str], wakers: Sequence[Callable[[], None]]):
        self._lock = threading.RLock()
        self._used = [dict.fromkeys(names, 0) for _ in wakers]
        self._wakers = wakers
        self.accounts = [Account(self, number) for number in range(len(wakers))]

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Let no other model look or start anything."""
        with self._lock:
            yield

    def set(self, number: int, used: Mapping[str, int]) -> None:
        """Note what a model uses; if that is less than before, the others look what they could start now."""
        with self._lock:
            before = self._used[number]
            self._used[number] = {name: used.get(name, 0) for name in before}
            if all(self._used[number][name] >= amount for name, amount in before.items()):
                return
        for other, wake in enumerate(self._wakers):
            if other != number:
                wake()

    def elsewhere(self, number: int, name: str) -> int:
        """Return how much of something all other models use."""
        with self._lock:
            return sum(used.get(name, 0) for other, used in enumerate(self._used) if other != number)


class Account:
    """What one execution model has to know, and to say.

    Parameters
    ----------
    ledger
        The ledger.
    number
        The number of the model.
    """

    def __init__(self, ledger: Ledger, number: int):
        self._ledger = ledger
        self._number = number
        self.locked = ledger.locked

    def set(self, used: Mapping[str, int]) -> None:
        """Note what the model uses, by name."""
        self._ledger.set(self._number, used)

    def elsewhere(self, name: str) -> int:
        """Return how much of something all other models use."""
        return self._ledger.elsewhere(self._number, name)
