"""Force written files to disk before they are recorded as written."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

import psutil

from ..errors import PipetaskError
from ..outcome import StoredOutputs, Transaction

__all__ = ["DiskWriter", "sync_file_systems", "sync_files", "written_before_boot"]


class DiskWriter:
    """Replaces the registrar in runs without a registry: forces outputs to disk at the end of the run.

    Parameters
    ----------
    folders
        Where outputs are.
    """

    trouble: str | None = None
    unregistered = 0
    transactions: Sequence[Transaction] = ()

    def __init__(self, folders: Iterable[str]):
        self._folders = tuple(folders)

    def register(self, outputs: StoredOutputs) -> None:
        """Do nothing: everything is done at the end."""

    def close(self) -> None:
        """Force all outputs to disk.

        Raises
        ------
        PipetaskError
            If the disk cannot be written to.
        """
        try:
            sync_file_systems(self._folders)
        except OSError as error:
            raise PipetaskError(
                f"Outputs could not be forced to disk ({error.strerror}): check the disk, and run the command again."
            ) from error


def sync_files(paths: Iterable[str]) -> None:
    """Force some files and their folder entries to disk, and nothing else.

    Use it for a few files: each costs a write to the journal of the file system.

    Parameters
    ----------
    paths
        The files; missing ones are skipped.

    Raises
    ------
    OSError
        If the disk cannot be written to.
    """
    folders: set[str] = set()
    for path in paths:
        with suppress(FileNotFoundError):
            _sync(path)
            folders.add(str(Path(path).parent))
    for folder in folders:
        _sync(folder)


def sync_file_systems(folders: Iterable[str]) -> None:
    """Force to disk everything that was written to the file systems of some folders.

    Use it for many files: the cost does not depend on their number.  A folder below the root of a datastore may be a
    link to another file system, so name the folders that were written to.

    Parameters
    ----------
    folders
        The folders; missing ones are skipped.

    Raises
    ------
    OSError
        If the disk cannot be written to.
    """
    seen: set[int] = set()
    for folder in folders:
        with suppress(FileNotFoundError), _opened(folder) as descriptor:
            device = os.fstat(descriptor).st_dev
            if device not in seen:
                seen.add(device)
                _sync_file_system(descriptor)


def _sync(path: str) -> None:
    with _opened(path) as descriptor:
        os.fsync(descriptor)


def _sync_file_system(descriptor: int) -> None:
    library = ctypes.CDLL(None, use_errno=True)
    if not hasattr(library, "syncfs"):  # Linux only
        os.sync()
    elif library.syncfs(descriptor):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


@contextmanager
def _opened(path: str) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def written_before_boot(paths: Iterable[str]) -> bool:
    """Return whether any of some files was written before this machine was started last.

    If the power went, such a file may lack any part that had not reached the disk, and still look like a whole one.
    """
    boot = _boot_time()
    for path in paths:
        with suppress(FileNotFoundError, NotADirectoryError):
            if os.stat(path).st_mtime < boot:  # noqa: PTH116  called for each file
                return True
    return False


@cache
def _boot_time() -> float:
    return psutil.boot_time()
