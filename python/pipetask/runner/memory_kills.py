"""Count processes that the kernel has killed because memory ran out."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

__all__ = ["memory_groups", "oom_kills"]

_PROCESS = Path("/proc/self")

_COUNTERS = ("memory.events", "memory.oom_control")
"""Files of a control group that count kills: in version 2, and in version 1."""


def oom_kills() -> int:
    """Return how many processes of this control group were killed because memory ran out; 0 if not counted."""
    for folder in memory_groups():
        for name in _COUNTERS:
            with suppress(OSError):
                found = re.search(r"^oom_kill (\d+)", (folder / name).read_text(), re.MULTILINE)
                if found:
                    return int(found.group(1))
    return 0


def memory_groups() -> Iterator[Path]:
    """Yield possible folders of the control groups that limit the memory of this process; see cgroups(7)."""
    try:
        groups = (_PROCESS / "cgroup").read_text().splitlines()
        mounts = (_PROCESS / "mountinfo").read_text().splitlines()
    except OSError:
        return
    for group in groups:
        _, controllers, path = group.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        for mount in mounts:
            place, _, kind = mount.partition(" - ")
            root, point = place.split()[3:5]
            if _mounts_memory(kind.split(), version=1 if controllers else 2):
                # In a container, the root of the mount may itself be a group.
                inside = os.path.relpath(path, root) if Path(path).is_relative_to(root) else "."
                yield Path(point) / inside


def _mounts_memory(words: list[str], version: int) -> bool:
    """Return whether a mountinfo entry is a file system of control groups for memory."""
    kind, options = words[0], words[-1].split(",")
    return kind == "cgroup2" if version == 2 else kind == "cgroup" and "memory" in options
