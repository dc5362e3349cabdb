"""Signals as requests to stop."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import FrameType

from .base import StopLevel, StopRequest

__all__ = ["stop_on_signals"]


@contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """Turn SIGINT and SIGTERM into stop requests; the second one kills."""
    stop = StopRequest()

    def ask(number: int, frame: FrameType | None) -> None:
        level = StopLevel.KILL if stop else StopLevel.STOP
        stop.ask(f"interrupted by {signal.Signals(number).name}", level, number)

    with ExitStack() as stack:
        stack.callback(stop.close)
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                stack.callback(signal.signal, number, signal.signal(number, ask))
        yield stop
