"""Signals as requests to stop."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import FrameType

from .stop import StopLevel, StopRequest

__all__ = ["FROM_TERMINALS", "STOP_SIGNALS", "stop_on_signals"]

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
"""What asks a run to end: Ctrl-C, a batch system, a terminal that has gone, Ctrl-backslash."""

FROM_TERMINALS = (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)
"""What a terminal sends to all processes of a command, also to those that only the command is to end."""

_MAY_BE_IGNORED = {signal.SIGHUP, signal.SIGQUIT}
"""Signals that stay ignored if they were: ``nohup`` means it."""


@contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """Turn the signals that end a run into stop requests; the second one kills."""
    stop = StopRequest()

    def ask(number: int, frame: FrameType | None) -> None:
        level = StopLevel.KILL if stop else StopLevel.STOP
        stop.ask(f"interrupted by {signal.Signals(number).name}", level, number)

    with ExitStack() as stack:
        stack.callback(stop.close)
        if threading.current_thread() is threading.main_thread():
            for number in STOP_SIGNALS:
                if number in _MAY_BE_IGNORED and signal.getsignal(number) is signal.SIG_IGN:
                    continue
                stack.callback(signal.signal, number, signal.signal(number, ask))
        yield stop
