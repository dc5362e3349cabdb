"""What a job can learn about itself."""

from __future__ import annotations

import os
import re
from pathlib import Path

__all__ = ["requested_memory"]


def requested_memory() -> int | None:
    """Return the memory that this job has asked for in megabytes, `None` if it is no job."""
    path = os.environ.get("_CONDOR_MACHINE_AD")
    if path is None or not Path(path).is_file():
        return None
    found = re.search(r"^Memory\s*=\s*(\d+)", Path(path).read_text(errors="replace"), re.MULTILINE)
    return int(found.group(1)) if found else None
