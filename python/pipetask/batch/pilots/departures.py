"""Requests that some pilot leaves, whichever it is: each is a file, and who removes it leaves."""

from __future__ import annotations

import uuid
from pathlib import Path

__all__ = ["Departures", "ask_to_leave"]

_LOOKS = 2
"""How often a pilot that runs something sees a request until it takes it: one that has nothing to do comes first."""


class Departures:
    """Sees such requests.

    Parameters
    ----------
    folder
        Where they are.
    """

    def __init__(self, folder: Path):
        self._folder = folder
        self._seen: dict[str, int] = {}

    def is_my_turn(self, *, busy: bool) -> bool:
        """Return whether this pilot is to leave, because it has taken a request."""
        names = [path.name for path in self._folder.iterdir()]
        self._seen = {name: self._seen.get(name, 0) + 1 for name in names}
        for name in names:
            if busy and self._seen[name] <= _LOOKS:
                continue
            try:
                (self._folder / name).unlink()
            except FileNotFoundError:
                continue
            return True
        return False


def ask_to_leave(folder: Path, number: int) -> None:
    """Ask so many pilots to leave."""
    for _ in range(number):
        (folder / uuid.uuid4().hex).touch()
