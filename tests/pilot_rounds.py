"""Rounds of pilots without anything to run, for tests of what pilots decide."""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

from pipetask.batch.index import IndexedNode, IndexedQuantum, NodeIndex, write_index
from pipetask.batch.pilots.agenda import Abilities, Agenda
from pipetask.batch.pilots.deaths import HowEnded, untold
from pipetask.batch.pilots.members import About, Members, Membership
from pipetask.batch.pilots.places import PilotRound, PilotSettings, last_round, write_round

__all__ = ["Clock", "agenda_of", "counted", "layered", "make_agenda", "make_round", "note_process"]

Needs = Sequence[tuple[int, ...]]


class Clock:
    """A clock that stands until it is set."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def make_round(folder: Path, needs: Needs, settings: PilotSettings | None = None) -> PilotRound:
    """Write a round in which node N needs those that stand at place N, all of the same kind."""
    nodes = [
        IndexedNode(number, f"a-{number}", tuple(row), (IndexedQuantum(number, 0, bytes(16), (), False, ()),))
        for number, row in enumerate(needs)
    ]
    if not (folder / "index.sqlite").exists():
        write_index(folder / "index.sqlite", [("a", ())], nodes)
    with NodeIndex(folder / "index.sqlite") as index:
        return write_round(folder, index, settings=settings or PilotSettings(stale=100.0))


def make_agenda(
    round: PilotRound,
    id: str,
    clock: Callable[[], float] | None = None,
    abilities: Abilities | None = None,
    how_ended: HowEnded = untold,
) -> Agenda:
    """Return what a pilot of a name decides."""
    memory = None if abilities is None else abilities.memory
    me = Membership(round.folder, id, About("here", os.getpid(), memory, None, 0.0))
    clocks = {} if clock is None else {"clock": clock}
    members = Members(round.folder, round.settings.stale, **clocks)
    return Agenda(round, me, members, abilities, seed=id, how_ended=how_ended)


def agenda_of(run_directory: Path, id: str, abilities: Abilities | None = None) -> Agenda:
    """Return what a pilot of a name decides in a run that was written."""
    return make_agenda(last_round(run_directory), id, abilities=abilities)


def layered(rng: random.Random, size: int) -> list[tuple[int, ...]]:
    """Return what nodes need of a graph like those of pipelines: many beginnings, joins, and one end."""
    first = size // 2
    middle = [tuple(sorted(rng.sample(range(first), min(first, 6)))) for _ in range(size - first - 1)]
    return [*[()] * first, *middle, tuple(range(first, size - 1))]


OPERATIONS = ("open", "close", "write", "rename", "unlink", "listdir", "stat", "mkdir")


@contextmanager
def counted() -> Iterator[Counter[str]]:
    """Count operations on files, made in this process through `os`."""
    counts: Counter[str] = Counter()

    def counting(name: str, real: Callable[..., object]) -> Callable[..., object]:
        def call(*args: object, **more: object) -> object:
            counts[name] += 1
            return real(*args, **more)

        return call

    with mock.patch.multiple(os, **{name: counting(name, getattr(os, name)) for name in OPERATIONS}):
        yield counts


def note_process(folder: Path, id: int) -> None:
    """Note, as the work of a quantum, which process it runs in."""
    (folder / f"{id}.process").write_text(str(os.getpid()))
