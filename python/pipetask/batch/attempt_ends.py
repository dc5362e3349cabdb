"""How the last attempts at nodes have ended, without reading what is in between."""

from __future__ import annotations

import os
import pickle
from dataclasses import dataclass
from pathlib import Path

from ..journal.records import last
from .outcomes import attempt_files, attempt_of

__all__ = ["AttemptEnds", "LastAttempt"]


@dataclass(frozen=True, slots=True)
class LastAttempt:
    """The last attempt at a node."""

    began: int
    """In nanoseconds since 1970-01-01 UTC."""

    exit_code: int | None
    """`None` if it runs or was killed."""


class AttemptEnds:
    """Reads the ends of outcome files; those of attempts that have ended are read once.

    Parameters
    ----------
    folder
        Folder with all outcomes of the run.
    """

    def __init__(self, folder: Path):
        self._folder = folder
        self._codes: dict[str, int] = {}
        self.changed = 0.0
        """When any of the files that were looked at was last written to, in seconds since 1970-01-01 UTC."""

    def look(self) -> dict[int, LastAttempt]:
        """Return the last attempt at each node that has one, by number."""
        newest: dict[int, tuple[int, os.DirEntry[str]]] = {}
        for entry in attempt_files(self._folder):
            number, began = attempt_of(entry.name)
            if number not in newest or began > newest[number][0]:
                newest[number] = began, entry
        return {number: LastAttempt(began, self._code(entry)) for number, (began, entry) in newest.items()}

    def _code(self, entry: os.DirEntry[str]) -> int | None:
        if (known := self._codes.get(entry.name)) is not None:
            return known
        self.changed = max(self.changed, entry.stat().st_mtime)
        match last(Path(entry.path), pickle.loads):
            case {"record": "end", "exit_code": int(code)}:
                self._codes[entry.name] = code
                return code
            case _:
                return None
