"""A small file system, which tests can fill."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from needs import not_tested

__all__ = ["SmallDisk", "small_disk"]


@dataclass(frozen=True)
class SmallDisk:
    """A mounted file system."""

    folder: Path

    def fill(self) -> None:
        """Leave no room on it; a file that is there may still grow to the end of its last page."""
        with suppress(OSError), self._filler.open("ab", buffering=0) as file:
            while file.write(bytes(1024)):
                pass

    def free(self) -> None:
        """Make room again."""
        self._filler.unlink()

    @property
    def _filler(self) -> Path:
        return self.folder / "filler"


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[SmallDisk]:
    """Mount a file system of so many bytes, such as ``2m``, on a new folder; all processes see it."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    if mounted.returncode:
        not_tested(f"A FULL DISK IS NOT TESTED: no file system can be mounted here ({mounted.stderr}).")
    try:
        yield SmallDisk(folder)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
