"""The files that say of nodes: may be taken, taken, over."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

__all__ = ["Claim", "NodeMarks", "Terms"]

_FOLDERS = ("ready", "claims", "over", "members", "about")


@dataclass(frozen=True)
class Terms:
    """What is known of a node when a pilot takes it."""

    failures: int = 0
    """How often it was killed, or something around it was broken."""

    memory: int = 0
    """It needs a pilot with more memory than this, in megabytes."""

    seconds: float = 0.0
    """It needs a pilot with more walltime left than this."""

    @property
    def first_generation(self) -> int:
        """The generation with which a node of these terms begins; of generation 0 nothing has to be read."""
        return 0 if self == Terms() else 1

    def failed(self) -> Terms:
        """Return those after another failure."""
        return replace(self, failures=self.failures + 1)


@dataclass(frozen=True)
class Claim:
    """A node that a pilot has taken."""

    node: int
    generation: int
    terms: Terms


class NodeMarks:
    """The files of the nodes of a round.

    Parameters
    ----------
    folder
        The folder of the round.
    """

    def __init__(self, folder: Path):
        self._folder = folder
        self._ready, self._claims, self._over = (folder / name for name in _FOLDERS[:3])

    def create(self) -> None:
        """Make the folders."""
        for name in _FOLDERS:
            (self._folder / name).mkdir(parents=True)

    # May be taken.

    def offer(self, node: int, generation: int, terms: Terms) -> None:
        """Let a node be taken; it may have been already."""
        path = self._ready / f"{node}.{generation}"
        if not generation:
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o644))
            return
        # It appears with its content, or not at all.
        draft = self._folder / f".{node}-{uuid.uuid4().hex}"
        _write(draft, asdict(terms))
        draft.rename(path)

    def offers(self) -> list[tuple[int, int]]:
        """Return the nodes that may be taken, each with its generation."""
        return list(_pairs(self._ready))

    def is_offered(self, node: int, generation: int) -> bool:
        """Return whether a node may be taken in a generation."""
        return (self._ready / f"{node}.{generation}").exists()

    def terms_of_offer(self, node: int, generation: int) -> Terms | None:
        """Return what is known of a node that may be taken; `None` if it was taken."""
        content = _read(self._ready / f"{node}.{generation}")
        return None if content is None else Terms(**content)

    def withdraw(self, node: int, generation: int) -> None:
        """Let a node no longer be taken."""
        with suppress(FileNotFoundError):
            (self._ready / f"{node}.{generation}").unlink()

    # Taken.

    def claim(self, claim: Claim, owner: str) -> bool:
        """Take a node, and return whether that has worked: only one can."""
        try:
            _write(self._claims / f"{claim.node}.{claim.generation}", {**asdict(claim.terms), "owner": owner})
        except FileExistsError:
            return False
        return True

    def is_claimed(self, node: int, generation: int) -> bool:
        """Return whether a node was taken in a generation."""
        return (self._claims / f"{node}.{generation}").exists()

    def claim_of(self, node: int, generation: int) -> tuple[str, Terms] | None:
        """Return who has taken a node, and on which terms; `None` if there is no such claim."""
        content = _read(self._claims / f"{node}.{generation}")
        if content is None:
            return None
        owner = content.pop("owner", "")  # it is empty if the owner died in between
        return owner, Terms(**content)

    def claims(self) -> dict[int, int]:
        """Return the nodes that were ever taken, each with its last generation."""
        found: dict[int, int] = {}
        for node, generation in _pairs(self._claims):
            found[node] = max(generation, found.get(node, 0))
        return found

    # Over.

    def end(self, node: int, code: int) -> None:
        """Note that a node has ended, with what."""
        with suppress(FileExistsError):
            _write(self._over / str(node), {"code": code})

    def is_over(self, node: int) -> bool:
        """Return whether a node has ended."""
        return (self._over / str(node)).exists()

    def over(self) -> set[int]:
        """Return the nodes that have ended."""
        return {int(path.name) for path in self._over.iterdir()}


def _write(path: Path, content: dict[str, Any]) -> None:
    """Write a file that does not exist."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    try:
        os.write(file, json.dumps(content).encode())
    finally:
        os.close(file)


def _read(path: Path) -> dict[str, Any] | None:
    try:
        with path.open("rb", buffering=0) as file:
            text = file.read(4096)
    except FileNotFoundError:
        return None
    with suppress(ValueError):
        content: dict[str, Any] = json.loads(text)
        return content
    return {}


def _pairs(folder: Path) -> Iterator[tuple[int, int]]:
    for path in folder.iterdir():
        node, _, generation = path.name.partition(".")
        yield int(node), int(generation)
