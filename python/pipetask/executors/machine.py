"""What this machine has for quanta."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from ..runner.memory_kills import memory_groups

__all__ = ["number_of_gpus", "usable_memory"]

_LIMITS = ("memory.max", "memory.limit_in_bytes")
"""Files of a control group with its limit: in version 2, and in version 1."""

_DRIVER = Path("/proc/driver/nvidia/gpus")


def usable_memory() -> int:
    """Return the bytes of memory that processes may use here: of the machine, or of a control group if that is less."""
    return min([os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"), *_group_limits()])


def _group_limits() -> list[int]:
    found = []
    for folder in memory_groups():
        for group in (folder, *folder.parents):  # a group above may allow less
            for name in _LIMITS:
                with suppress(OSError, ValueError):  # the latter for "max"
                    found.append(int((group / name).read_text()))
    return found


def number_of_gpus() -> int:
    """Return how many GPUs there are: as ``CUDA_VISIBLE_DEVICES`` says, or the driver of NVIDIA."""
    if (visible := os.environ.get("CUDA_VISIBLE_DEVICES")) is not None:
        return len([name for name in visible.split(",") if name.strip() not in ("", "-1", "NoDevFiles")])
    with suppress(OSError):
        return sum(1 for _ in _DRIVER.iterdir())
    return 0
