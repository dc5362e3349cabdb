"""Tell processes apart: whether one that was seen before is still there."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

__all__ = ["ProcessIdentity", "boot_id", "process_start"]


class ProcessIdentity(NamedTuple):
    """A process, unlike any other that has its number later or on another machine."""

    machine: str | None
    """Identifies the machine since it was booted, and what its numbers of processes mean; `None` if not known."""

    pid: int
    start: str | None
    """When it was started, as its machine counts."""

    @classmethod
    def here(cls) -> ProcessIdentity:
        """Return that of this process."""
        return cls(_machine(), os.getpid(), process_start(os.getpid()))

    @property
    def is_on_this_machine(self) -> bool:
        """Whether its number means something here."""
        return self.machine is not None and self.machine == _machine()

    @property
    def is_known_to_be_dead(self) -> bool:
        """Whether it has ended; `False` for one on another machine, of which nothing is known."""
        return self.is_on_this_machine and process_start(self.pid) != self.start


def _machine() -> str | None:
    boot = boot_id()
    try:
        return boot and f"{boot} {os.readlink('/proc/self/ns/pid')}"  # noqa: PTH115  it is no path
    except OSError:
        return boot


def boot_id() -> str | None:
    """Return what identifies the time since this machine was booted; `None` if that is not known."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return None


def process_start(pid: int) -> str | None:
    """Return when a process of this machine was started, for comparisons; `None` if there is none that runs.

    Linux counts from the boot, so a change of the clock does not matter.
    """
    try:
        text = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        return None if text[0] in (b"Z", b"X") else text[19].decode()
    except (OSError, IndexError):
        return _process_start_elsewhere(pid)


def _process_start_elsewhere(pid: int) -> str | None:
    if Path("/proc/self/stat").exists():
        return None
    import psutil

    try:
        return str(round(psutil.Process(pid).create_time()))
    except psutil.Error:
        return None
