"""Peak memory of this process since a moment of one's own choice."""

from __future__ import annotations

import contextlib
import resource
import sys
from pathlib import Path

__all__ = ["PeakMemory"]


class PeakMemory:
    """Measures the largest resident size between `reset` and `read`.

    Notes
    -----
    Linux resets the high-water mark of a process when ``5`` is written to ``/proc/self/clear_refs`` (proc(5)).
    Where that is not possible the figure is the peak since the process began, which never falls.
    """

    def __init__(self) -> None:
        self._clear = self._status = None
        with contextlib.suppress(OSError):
            self._clear = Path("/proc/self/clear_refs").open("wb", buffering=0)  # noqa: SIM115
            self._status = Path("/proc/self/status").open("rb", buffering=0)  # noqa: SIM115

    def reset(self) -> None:
        """Start anew."""
        if self._clear is not None:
            try:
                self._clear.write(b"5")
            except OSError:
                self._clear = None

    def read(self) -> int:
        """Return the peak, in bytes."""
        if self._clear is not None and self._status is not None:
            self._status.seek(0)
            _, _, rest = self._status.read(4096).partition(b"VmHWM:")
            if rest:
                return int(rest.split(maxsplit=1)[0]) * 1024
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024

    def close(self) -> None:
        """Close the files."""
        for file in (self._clear, self._status):
            if file is not None:
                file.close()
