"""Code packages: files of the user's that are sent to where quanta run.

A package is a zip file, and its name is the hash of its content.  It is unpacked once on each machine, into a folder
for temporary files.  Each process that needs it holds a lock; the last one to let go of it removes what was unpacked.
What processes have left that were killed is removed by the next that unpacks anything.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import io
import os
import shutil
import stat
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...errors import PipetaskError, UsageError, reason_of

__all__ = ["CodePackage", "NoCodeError", "UnpackedCode", "pack"]

MOST_BYTES = 20_000_000
"""Size of all files of a package; it may be sent over a network, to each machine."""

_LONG_AGO = (1980, 1, 1, 0, 0, 0)
"""The time of all files in a package, so that equal files make equal packages."""


class NoCodeError(Exception):
    """A code package is not on this machine, and has not come along."""


@dataclass(frozen=True)
class CodePackage:
    """What identifies a package, and travels with each bundle."""

    digest: str
    n_folders: int
    """Number of folders in it, which are called 0, 1, …"""

    @property
    def file_name(self) -> str:
        """Its name in a folder that both sides see."""
        return f"code-{self.digest}.zip"


def pack(code: Mapping[str, Sequence[str]]) -> tuple[CodePackage, bytes]:
    """Make a package.

    Parameters
    ----------
    code
        Folders, each with patterns of files in it.

    Raises
    ------
    UsageError
        If there are no such files, or if they are too large.
    """
    files = [
        (number, Path(folder), name)
        for number, (folder, patterns) in enumerate(code.items())
        for name in sorted(_names(Path(folder), patterns))
    ]
    _check_size([folder / name for _, folder, name in files])
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for number, folder, name in files:
            entry = zipfile.ZipInfo(f"{number}/{name}", _LONG_AGO)
            archive.writestr(entry, _content(folder / name), zipfile.ZIP_DEFLATED)
    data = buffer.getvalue()
    return CodePackage(hashlib.sha256(data).hexdigest()[:32], len(code)), data


def _names(folder: Path, patterns: Sequence[str]) -> set[str]:
    """Return the names of files in a folder that patterns stand for."""
    if not folder.is_dir():
        raise UsageError(f"--engine-settings: code: there is no folder {folder}.")
    found: set[str] = set()
    for pattern in patterns:
        try:
            paths = [
                path for path in folder.glob(pattern) if path.is_file() and "__pycache__" not in path.parts
            ]
        except (NotImplementedError, ValueError) as error:  # an absolute pattern, or an empty one
            raise UsageError(
                f"--engine-settings: code: {pattern!r} is no pattern of files in {folder}."
            ) from error
        if not paths:
            raise UsageError(f"--engine-settings: code: no file in {folder} matches {pattern!r}.")
        found.update(path.relative_to(folder).as_posix() for path in paths)
    return found


def _check_size(paths: Sequence[Path]) -> None:
    sizes = {path: path.stat().st_size for path in paths}
    if (total := sum(sizes.values())) > MOST_BYTES:
        largest = max(paths, key=lambda path: sizes[path])
        raise UsageError(
            f"--engine-settings: code: {len(paths)} files have {total / 1e6:.0f} MB, and {MOST_BYTES / 1e6:.0f} MB is "
            f"the most that is sent; choose fewer by patterns (the largest is {largest}, "
            f"{sizes[largest] / 1e6:.1f} MB)."
        )


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"--engine-settings: code: {path}: {reason_of(error)}.") from error


class UnpackedCode:
    """A package on this machine, for as long as this process needs it.

    Parameters
    ----------
    package
        Which one.
    data
        Returns the zip file, `None` if it has not come along; called if it is not unpacked yet.

    Raises
    ------
    NoCodeError
        If it is not here, and has not come along.
    """

    def __init__(self, package: CodePackage, data: Callable[[], bytes | None]):
        home = _home()
        self._lock = home / f"{package.digest}.lock"
        self._descriptor = _locked(self._lock)
        folder = home / package.digest
        self.folders = tuple(str(folder / str(number)) for number in range(package.n_folders))
        """What is to be put on ``PYTHONPATH``."""
        try:
            if not folder.is_dir():
                _unpack(package, data(), folder)
        except BaseException:
            self.close()
            raise
        for other in home.glob("*.lock"):
            if other != self._lock:
                _remove_unused(other)

    def close(self) -> None:
        """Let go of it; remove it if no other process needs it."""
        os.close(self._descriptor)
        _remove_unused(self._lock)


def _home() -> Path:
    """Return the folder with all packages of this user on this machine."""
    home = Path(tempfile.gettempdir(), f"pipetask-code-{os.getuid()}")
    home.mkdir(mode=0o700, exist_ok=True)
    found = home.lstat()
    # Others can write to the folder above, and what is in this one is executed.
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o022:
        raise PipetaskError(
            f"{home} can be written to by others: remove it, or set TMPDIR to another folder."
        )
    return home


def _locked(path: Path) -> int:
    """Lock a package for use, together with others; return the descriptor that holds the lock."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_SH)  # at most, it waits for the removal of the package
        if _is_file(descriptor, path):
            return descriptor
        os.close(descriptor)


def _is_file(descriptor: int, path: Path) -> bool:
    """Return whether what is open is still the file with that name."""
    with contextlib.suppress(FileNotFoundError):
        return path.stat().st_ino == os.fstat(descriptor).st_ino
    return False


def _unpack(package: CodePackage, data: bytes | None, folder: Path) -> None:
    if data is None or hashlib.sha256(data).hexdigest()[:32] != package.digest:
        raise NoCodeError
    draft = Path(tempfile.mkdtemp(prefix=f"{folder.name}.", dir=folder.parent))
    for number in range(package.n_folders):
        (draft / str(number)).mkdir()
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        archive.extractall(draft)
    try:
        draft.rename(folder)
    except OSError:  # another process was faster
        shutil.rmtree(draft, ignore_errors=True)
        if not folder.is_dir():
            raise


def _remove_unused(lock: Path) -> None:
    """Remove a package and its lock, unless a process needs it."""
    with contextlib.suppress(OSError), _alone(lock):
        for folder in lock.parent.glob(f"{lock.stem}*/"):
            shutil.rmtree(folder, ignore_errors=True)
        lock.unlink()


@contextlib.contextmanager
def _alone(lock: Path) -> Iterator[None]:
    descriptor = os.open(lock, os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not _is_file(descriptor, lock):
            raise FileNotFoundError(lock)
        yield
    finally:
        os.close(descriptor)
