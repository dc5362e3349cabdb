"""Lets operations of processes go wrong on order; `shim.c` is what those processes load."""

from __future__ import annotations

import ctypes
import enum
import mmap
import os
import subprocess
import tempfile
from pathlib import Path

__all__ = ["Action", "Operation", "Shim", "Target", "build_shim"]

ALWAYS = 2**31 - 1


class Operation(enum.IntFlag):
    """What can be disturbed."""

    OPEN = 1
    """Opening a file in order to write."""
    WRITE = 2
    RENAME = 4
    SYNC = 8
    UNLINK = 16
    MKDIR = 32
    PROCESS = 64
    """Starting a process or a thread."""


class Action(enum.IntEnum):
    """How it is disturbed."""

    NOTHING = 0
    FAIL = 1
    SIGNAL_BEFORE = 2
    SIGNAL_AFTER = 3
    DELAY = 4
    SHORT = 5
    """Half of what is to be written is."""
    LIE = 6
    """Nothing is synced, and nothing is said."""


class Target(enum.IntEnum):
    """Who gets a signal."""

    SELF = 0
    COMMAND = 1
    GROUP = 2


class _Control(ctypes.Structure):
    _fields_ = [
        ("prefix", ctypes.c_char * 512),
        ("suffix", ctypes.c_char * 64),
        ("operations", ctypes.c_uint32),
        ("first", ctypes.c_int32),
        ("last", ctypes.c_int32),
        ("action", ctypes.c_int32),
        ("number", ctypes.c_int32),
        ("target", ctypes.c_int32),
        ("command", ctypes.c_int32),
        ("count", ctypes.c_int32),
        ("hits", ctypes.c_int32),
        ("journal", ctypes.c_char * 512),
    ]


class Shim:
    """The orders for one command; its processes look at them with each operation.

    Parameters
    ----------
    path
        A file to be made, by which they find them.
    """

    def __init__(self, path: Path):
        self.path = path
        path.write_bytes(bytes(ctypes.sizeof(_Control)))
        with path.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), 0)
        self._control = _Control.from_buffer(self._memory)

    @property
    def hits(self) -> int:
        """How many operations were disturbed."""
        return int(self._control.hits)

    def disturb(
        self,
        operations: Operation,
        prefix: Path | str,
        action: Action,
        number: int = 0,
        *,
        suffix: str = "",
        first: int = 1,
        last: int = ALWAYS,
        target: Target = Target.SELF,
    ) -> None:
        """Disturb the operations from the first to the last on paths that begin and end so."""
        control = self._control
        control.prefix, control.suffix = str(prefix).encode(), suffix.encode()
        control.action, control.number, control.target = action, number, target
        control.first, control.last, control.count, control.hits = first, last, 0, 0
        control.operations = operations

    def keep_journal(self, prefix: Path, path: Path) -> None:
        """Have it written down what was written below a folder, and what of it was synced."""
        self._control.prefix, self._control.journal = str(prefix).encode(), str(path).encode()

    def name_command(self, pid: int) -> None:
        """Say which process the command is."""
        self._control.command = pid

    def rest(self) -> None:
        """Let everything be as it should be."""
        self._control.operations = 0
        self._control.journal = b""

    def arm(self) -> None:
        """Let this process, which was started with the shim, and those that it starts, follow the orders."""
        os.environ["CAMPAIGN_SHIM"] = str(self.path)
        ctypes.CDLL(None).campaign_arm(str(self.path).encode())


def build_shim(folder: Path) -> Path:
    """Compile the shim unless somebody has, and return its path."""
    library = folder / "shim.so"
    if not library.exists():
        with tempfile.NamedTemporaryFile(dir=folder, suffix=".so", delete=False) as made:
            source = Path(__file__).with_suffix(".c")
            subprocess.run(
                ["cc", "-O1", "-Wall", "-Werror", "-shared", "-fPIC", "-o", made.name, source, "-ldl"],
                check=True,
            )
        Path(made.name).rename(library)
    return library
