"""Control groups in which the kernel kills what takes too much memory."""

from __future__ import annotations

import os
import uuid
from contextlib import suppress
from pathlib import Path
from typing import NoReturn, Self

import pytest

__all__ = ["MemoryGroup"]

VERSION_1, VERSION_2 = Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")


class MemoryGroup:
    """A new control group, below which there may be others; the test is skipped where there can be none.

    Attributes
    ----------
    folder
        Where it is.
    version
        1 or 2.
    """

    def __init__(self) -> None:
        parent, self.version = _parent()
        self.folder = parent / f"pipetask-test-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        try:
            self.folder.mkdir()
        except (
            OSError
        ) as error:  # as in some containers; where everything has to be tested, that is a failure
            if os.environ.get("CI"):
                raise
            _not_tested(str(error))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        for group in [*(path for path in self.folder.iterdir() if path.is_dir()), self.folder]:
            with suppress(OSError):  # whatever still ends in there keeps an empty group, and no more
                group.rmdir()

    def limit(self, megabytes: int) -> None:
        """Have the kernel kill a process when all together take more than this."""
        name = "memory.limit_in_bytes" if self.version == 1 else "memory.max"
        (self.folder / name).write_text(str(megabytes * 2**20))

    def join(self) -> None:
        """Put this process into the group."""
        (self.folder / "cgroup.procs").write_text("0")


def _parent() -> tuple[Path, int]:
    """Return a group in which others can be made, and its version."""
    if os.geteuid() != 0:
        _not_tested("only root can make a memory control group")
    if (VERSION_1 / "memory.limit_in_bytes").exists():
        lines = Path("/proc/self/cgroup").read_text().splitlines()
        own = next(line.split(":", 2)[2] for line in lines if "memory" in line.split(":", 2)[1].split(","))
        inside = VERSION_1 / own.lstrip("/")
        return (inside if inside.is_dir() else VERSION_1), 1
    control = VERSION_2 / "cgroup.subtree_control"
    if control.exists() and "memory" in control.read_text().split() and os.access(VERSION_2, os.W_OK):
        return VERSION_2, 2
    _not_tested("this machine does not allow making a memory control group")


def _not_tested(why: str) -> NoReturn:
    pytest.skip(f"NOT TESTED WITH A REAL OUT-OF-MEMORY KILL: {why}")
