"""Files that appear only when they are complete."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Literal

import psutil
from lsst.resources import ResourcePath

from ..errors import PipetaskError, UsageError, reason_of

__all__ = ["WholeFile"]


class WholeFile:
    """A file that is written completely, or not at all.

    Parameters
    ----------
    uri
        Where to write.  The place stays the same if a task changes the working directory.
    option
        The option that names it, for messages.

    Raises
    ------
    UsageError
        If it is already clear that it cannot be written there.
    """

    def __init__(self, uri: str, option: str):
        self._option = option
        self.place = _place(uri)
        if isinstance(self.place, Path):
            self._check(self.place)

    @contextmanager
    def open(self, mode: Literal["w", "wb"] = "w") -> Iterator[IO[Any]]:
        """Open it to be written; it appears, or replaces an older file, at the end of the context.

        Parameters
        ----------
        mode
            For UTF-8 text, or for bytes.

        Raises
        ------
        PipetaskError
            If something goes wrong, also in the context.
        """
        try:
            with _whole(self.place, mode) as out:
                yield out
        except Exception as error:
            reason = error.strerror if isinstance(error, OSError) else reason_of(error)
            what = self._option.removeprefix("--")
            raise PipetaskError(f"The {what} could not be written to {self.place}: {reason}.") from error

    def _check(self, path: Path) -> None:
        if path.is_dir():
            raise UsageError(f"{self._option} {path} is a folder: give the name of a file in it.")
        if _is_special(path):
            return
        folder = path.resolve().parent
        if not folder.is_dir():
            raise UsageError(f"{self._option} {path}: there is no folder {folder}: make it first.")
        if not os.access(folder, os.W_OK | os.X_OK):
            raise UsageError(f"{self._option} {path}: the folder {folder} is not writeable: choose another.")


def _place(uri: str) -> Path | ResourcePath:
    if "://" not in uri:
        return Path(uri).absolute()
    place = ResourcePath(uri)
    return Path(place.ospath) if place.isLocal else place


def _is_special(path: Path) -> bool:
    """Return whether the path is something that must not be replaced, such as a pipe or a terminal."""
    return path.exists() and not path.is_file()


def _whole(place: Path | ResourcePath, mode: str) -> AbstractContextManager[IO[Any]]:
    if not isinstance(place, Path):
        return _written_there(place, mode)
    if _is_special(place):
        return _opened(place, mode)
    return _written_beside(place.resolve(), mode)  # replace the target of a link, not the link


def _opened(path: Path, mode: str) -> IO[Any]:
    return path.open(mode, encoding=None if "b" in mode else "utf-8")


@contextmanager
def _written_there(uri: ResourcePath, mode: str) -> Iterator[IO[Any]]:
    with ResourcePath.temporary_uri(suffix=uri.getExtension()) as here:
        with _opened(Path(here.ospath), mode) as out:
            yield out
        uri.transfer_from(here, transfer="copy", overwrite=True)


@contextmanager
def _written_beside(path: Path, mode: str) -> Iterator[IO[Any]]:
    _clear_away(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with _opened(temporary, mode) as out:
            yield out
            out.flush()
            os.fsync(out.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _clear_away(path: Path) -> None:
    """Remove temporary files that killed commands have left."""
    for left in path.parent.glob(f".{glob.escape(path.name)}.*"):
        number = left.name.rpartition(".")[2]
        if number.isdecimal() and not psutil.pid_exists(int(number)):
            with suppress(OSError):
                left.unlink()
