"""What workers of an earlier attempt at a run still do, after its command has died."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable
from pathlib import Path

from ..stop import StopLevel
from .bundle_file import BundleFile, Watch
from .shared_folder import SharedFolder

__all__ = ["SILENCE", "Survivors"]

_LOG = logging.getLogger(__name__)

SILENCE = 60.0
"""Seconds without a sign of life after which a process on another machine is believed to be dead."""


class Survivors:
    """Bundles of earlier attempts that are still being run.

    The workers are asked to begin nothing more.  What they still run must not be started again before it has ended: it
    writes the same files.  How it ended is not looked at here: when the quantum is started again, the runner finds what
    is stored.

    Parameters
    ----------
    folders
        Folders of earlier attempts, all of which are dead.
    known
        Returns the UUIDs of the quanta of this run; called only if something is still run.
    """

    def __init__(self, folders: Iterable[SharedFolder], known: Callable[[], Collection[bytes]] = tuple):
        self._folders = tuple(folders)
        self._watch = Watch()
        self._left: dict[Path, tuple[bytes, ...]] = {}
        self._quanta: set[bytes] = set()
        # In this order: a worker writes down what it begins, and then looks whether it may.
        self.ask(StopLevel.FINISH)
        for path in (path for folder in self._folders for path in folder.bundles()):
            if (found := self._living(path)) is not None:
                self._left[path] = found.quanta
        ours = frozenset(known()) if self._left else frozenset()
        self._strange = {path for path, ids in self._left.items() if not ids or not ours.issuperset(ids)}
        self._update()
        if self._left:
            _LOG.warning(
                "Workers of an earlier attempt at this run, whose command has died, still run %d %s: these are waited "
                "for, and not started twice.",
                len(self._left),
                "bundle of quanta" if len(self._left) == 1 else "bundles of quanta",
            )

    def __bool__(self) -> bool:
        return bool(self._left)

    @property
    def hold_all(self) -> bool:
        """Whether something runs of which it is not known whether it is in the way of any quantum."""
        return not self._strange.isdisjoint(self._left)

    def run(self, quantum_id: bytes) -> bool:
        """Return whether a quantum is in a bundle that is still being run."""
        return quantum_id in self._quanta

    def ask(self, level: StopLevel) -> None:
        """Ask the workers to end."""
        for folder in self._folders:
            folder.ask(level)

    def look(self) -> None:
        """Look which bundles have ended since the last time."""
        for path in [path for path in self._left if self._living(path) is None]:
            del self._left[path]
        self._update()

    def close(self) -> None:
        """Remove what earlier attempts have left, unless it is still needed."""
        for folder in self._folders:
            if not any(path.parent == folder.path for path in self._left):
                folder.remove()

    def _living(self, path: Path) -> BundleFile | None:
        """Return what is in the file of a bundle, if that is still being run."""
        silence, found = self._watch.silence(path), BundleFile.read(path)
        if found is None or found.ended or silence is None or silence > SILENCE:
            return None
        dead = found.process is not None and found.process.is_known_to_be_dead
        return None if dead else found

    def _update(self) -> None:
        self._quanta = {each for ids in self._left.values() for each in ids}
