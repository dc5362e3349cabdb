"""Temporary files of attempts that were killed while writing."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Collection
from pathlib import Path

from ..lsst_internals import temporary_suffix

__all__ = ["Debris"]

_RANDOM = re.compile(r"[a-z0-9_]{16}")
"""Start of the name of a temporary file of the butler; the rest comes from the name of the final file."""


class Debris:
    """Temporary files in the folders that a process writes to.

    A folder is searched once, when a file is first written to it.  A temporary file belongs to an earlier attempt at
    the quantum whose output it was.  That attempt is dead when the quantum is run again, so the file can be removed.
    """

    def __init__(self) -> None:
        self._folders: dict[str, dict[str, list[str]]] = {}

    def remove(self, paths: Collection[str], *, look_again: bool = False) -> None:
        """Remove the temporary files that belong to some files.

        Parameters
        ----------
        paths
            These files.
        look_again
            Whether an attempt may have died since their folders were searched.
        """
        for folder in {str(Path(path).parent) for path in paths}:
            if look_again or folder not in self._folders:
                self._folders[folder] = _temporaries(folder)
        for path in paths:
            folder = str(Path(path).parent)
            if found := self._folders[folder]:
                for name in found.pop(temporary_suffix(path), ()):
                    Path(folder, name).unlink(missing_ok=True)


def _temporaries(folder: str) -> dict[str, list[str]]:
    """Return the names of the temporary files in a folder, by the part after the random characters."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if ".tmp" in entry.name and (random := _RANDOM.match(entry.name)):
                    found[entry.name[random.end() :]].append(entry.name)
    except (FileNotFoundError, NotADirectoryError):
        pass
    return dict(found)
