"""Find out which quanta have started, by asking now and then: what a run costs a quantum does not grow."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator

from ..errors import PipetaskError
from ..executors.activity import Activity
from .records import Started

__all__ = ["StartWatch", "noting_starts"]

INTERVAL = 0.5
"""Seconds between two looks.  A quantum that runs for less may not be seen; its outcome has the time of its start."""


class StartWatch:
    """Tells which quanta run that did not run when it was asked before.

    Parameters
    ----------
    activity
        What the run does.
    """

    def __init__(self, activity: Activity):
        self._activity = activity
        self._host = socket.gethostname()
        self._seen: dict[int, int] = {}

    def news(self) -> list[Started]:
        """Return what has started since the last call and still runs."""
        running = self._activity.quanta()
        fresh = [
            Started(each.id, each.attempt, each.start or time.time(), self._host, each.pid)
            for each in running
            if self._seen.get(each.id) != each.attempt
        ]
        self._seen = {each.id: each.attempt for each in running}
        return fresh


@contextlib.contextmanager
def noting_starts(activity: Activity, write: Callable[[Started], None]) -> Iterator[None]:
    """Write down which quanta start, from a thread, until the context ends.

    Parameters
    ----------
    activity
        What the run does.
    write
        Writes one record.  If it cannot, there are no more of these: only outcomes have to be written.
    """
    over, watch = threading.Event(), StartWatch(activity)

    def look() -> None:
        with contextlib.suppress(PipetaskError):
            while not over.wait(INTERVAL):
                for started in watch.news():
                    write(started)

    thread = threading.Thread(target=look, name="starts", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
