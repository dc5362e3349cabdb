"""What a job can learn about itself."""

from __future__ import annotations

import os
import re
from pathlib import Path

__all__ = ["oom_kills", "requested_memory"]

_CGROUP = Path("/proc/self/cgroup")


def requested_memory() -> int | None:
    """Return the memory that this job has asked for in megabytes, `None` if it is no job."""
    path = os.environ.get("_CONDOR_MACHINE_AD")
    if path is None or not Path(path).is_file():
        return None
    found = re.search(r"^Memory\s*=\s*(\d+)", Path(path).read_text(errors="replace"), re.MULTILINE)
    return int(found.group(1)) if found else None


def oom_kills() -> int:
    """Return how many processes of this control group were killed for want of memory; 0 where nobody counts."""
    try:
        group = re.search(r"^0::/(.*)$", _CGROUP.read_text(), re.MULTILINE)
        events = (Path("/sys/fs/cgroup") / (group.group(1) if group else "") / "memory.events").read_text()
    except OSError:
        return 0
    found = re.search(r"^oom_kill (\d+)", events, re.MULTILINE)
    return int(found.group(1)) if found else 0
