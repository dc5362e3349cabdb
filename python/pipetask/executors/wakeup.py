"""What wakes a loop that waits for several things at once."""

from __future__ import annotations

import contextlib
import os

__all__ = ["Wakeup"]


class Wakeup:
    """A descriptor that becomes readable when another thread, or a signal handler, says so.

    A loop waits on it, with `select` or `multiprocessing.connection.wait`, together with whatever else it waits for.
    """

    def __init__(self) -> None:
        self._read_end, self._write_end = os.pipe()
        for end in (self._read_end, self._write_end):
            os.set_blocking(end, False)

    def wake(self) -> None:
        """Make the descriptor readable; does nothing after `close`."""
        with contextlib.suppress(OSError):  # it is full, and so readable anyway, or closed
            os.write(self._write_end, b".")

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._read_end

    def acknowledge(self) -> None:
        """Make the descriptor unreadable until the next time."""
        with contextlib.suppress(BlockingIOError):
            while os.read(self._read_end, 4096):
                pass

    def close(self) -> None:
        """Close both ends."""
        # Threads that are late must not write to what another file has got as its number.
        write_end, self._write_end = self._write_end, -1
        os.close(write_end)
        os.close(self._read_end)
