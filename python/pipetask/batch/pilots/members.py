"""Which pilots there are, which of them live, and what they run.

Each has a file whose *name* says all that: to show that it lives it renames the file, and one listing of the folder
tells about all of them.  A listing may miss a file that is just being renamed; what was known of it then stays.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

__all__ = ["About", "Member", "Members", "Membership", "read_about"]

_IDLE, _LEFT = "idle", "left"


@dataclass(frozen=True)
class About:
    """What does not change of a pilot."""

    host: str
    process: int
    memory: int | None
    """Megabytes that it has asked for."""

    seconds: float | None
    """Walltime that it had when it came."""

    began: float
    """In seconds since 1970-01-01 UTC."""

    job: str = ""
    """What the batch system calls it."""


@dataclass(frozen=True)
class Member:
    """A pilot, as its file's name describes it."""

    id: str
    sequence: int
    """Grows with each sign of life."""

    taken: int
    """How many nodes it has tried to take."""

    ended: int
    """How many nodes have ended there."""

    state: str

    @property
    def name(self) -> str:
        """The name of the file."""
        return f"{self.id},{self.sequence},{self.taken},{self.ended},{self.state}"

    @property
    def has_left(self) -> bool:
        """Whether it has said that it ends."""
        return self.state == _LEFT

    @property
    def claim(self) -> tuple[int, int] | None:
        """The node that it runs or is about to take, and the generation."""
        if self.state in (_IDLE, _LEFT):
            return None
        node, _, generation = self.state.partition(".")
        return int(node), int(generation)

    @staticmethod
    def read(name: str) -> Member:
        """Return what a name describes."""
        id, sequence, taken, ended, state = name.split(",")
        return Member(id, int(sequence), int(taken), int(ended), state)


class Membership:
    """The file of this pilot.

    Parameters
    ----------
    round
        The folder of the round.
    id
        Name of the pilot, without commas.
    about
        What does not change of it.
    """

    def __init__(self, round: Path, id: str, about: About):
        self._folder = round / "members"
        self._me = Member(id, 0, 0, 0, _IDLE)
        self.ended = 0
        """How many nodes have ended here; others see that with the next step."""

        (round / "about" / id).write_text(json.dumps(asdict(about)) + "\n")
        self._create()

    @property
    def id(self) -> str:
        """The pilot's name."""
        return self._me.id

    @property
    def claim(self) -> tuple[int, int] | None:
        """What it has said that it runs."""
        return self._me.claim

    def beat(self) -> None:
        """Show that this pilot lives; for a person who looks once, also by the time of its file."""
        self._become()
        with suppress(FileNotFoundError):  # it was just believed dead
            os.utime(self._folder / self._me.name)

    def take(self, node: int, generation: int) -> None:
        """Say which node it is about to take."""
        self._become(taken=self._me.taken + 1, state=f"{node}.{generation}")

    def wait(self) -> None:
        """Say that it has nothing to do."""
        if self._me.state != _IDLE:
            self._become(state=_IDLE)

    def leave(self) -> None:
        """Say that it ends."""
        self._become(state=_LEFT)

    def _become(self, **changes: Any) -> None:
        before = self._me
        self._me = replace(before, sequence=before.sequence + 1, ended=self.ended, **changes)
        try:
            (self._folder / before.name).rename(self._folder / self._me.name)
        except FileNotFoundError:  # it was believed dead
            self._create()

    def _create(self) -> None:
        os.close(os.open(self._folder / self._me.name, os.O_WRONLY | os.O_CREAT, 0o644))


class Members:
    """What one observer knows of all pilots.

    Parameters
    ----------
    round
        The folder of the round.
    stale
        Seconds without a sign of life after which a pilot is believed dead.
    clock
        Tells the time in seconds; this observer's own, and no other's.
    """

    def __init__(self, round: Path, stale: float, clock: Callable[[], float] = time.monotonic):
        self._folder = round / "members"
        self._stale, self._clock = stale, clock
        self._known: dict[str, tuple[Member, float]] = {}

    def look(self) -> None:
        """See who has shown a sign of life."""
        now = self._clock()
        for member in (Member.read(path.name) for path in self._folder.iterdir()):
            known = self._known.get(member.id)
            if known is None or member.sequence > known[0].sequence:
                self._known[member.id] = member, now

    def __iter__(self) -> Iterator[Member]:
        return (member for member, _ in self._known.values())

    def living(self) -> list[Member]:
        """Return those that have not left and are not believed dead, as of the last look."""
        now = self._clock()
        return [m for m, seen in self._known.values() if not m.has_left and now - seen <= self._stale]

    def dead(self) -> list[Member]:
        """Return those that are believed dead."""
        now = self._clock()
        return [m for m, seen in self._known.values() if not m.has_left and now - seen > self._stale]

    def bury(self, member: Member) -> None:
        """Say that a dead one has left, unless it has just shown a sign of life."""
        left = replace(member, sequence=member.sequence + 1, state=_LEFT)
        try:
            (self._folder / member.name).rename(self._folder / left.name)
        except FileNotFoundError:
            return
        self._known[member.id] = left, self._clock()

    def last_sign(self, member: Member) -> float | None:
        """Return when a pilot has last shown that it lives, by the file system's clock; `None` if just now."""
        try:
            return (self._folder / member.name).stat().st_mtime
        except FileNotFoundError:
            return None

    def about(self, member: Member) -> About | None:
        """Read what does not change of a pilot; `None` if it cannot be read."""
        return read_about(self._folder.parent, member.id)


def read_about(round: Path, id: str) -> About | None:
    """Read what does not change of a pilot of a round; `None` if it cannot be read."""
    try:
        content: dict[str, Any] = json.loads((round / "about" / id).read_text())
        return About(**content)
    except (OSError, ValueError, TypeError):
        return None
