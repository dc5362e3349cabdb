"""Answers SIGUSR1, by which a user asks what the run does."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from .activity import Activity

__all__ = ["answer_inquiries"]


@contextmanager
def answer_inquiries(activity: Activity) -> Iterator[None]:
    """Print what a run does to standard error whenever this process gets a SIGUSR1; the run goes on.

    A handler that a calling program has set is left alone.
    """

    def answer(number: int, frame: FrameType | None) -> None:
        try:
            details = activity.details()
        except Exception as error:  # raised here, it would end what the run is just doing
            details = [repr(error)]
        _print([f"pipetask: {time.strftime('%H:%M:%S')}, process {os.getpid()}", *details])

    in_main_thread = threading.current_thread() is threading.main_thread()
    if not in_main_thread or not _is_free(signal.getsignal(signal.SIGUSR1)):
        yield
        return
    before = signal.signal(signal.SIGUSR1, answer)
    try:
        yield
    finally:
        signal.signal(signal.SIGUSR1, before)


def _is_free(handler: object) -> bool:
    # The command has a handler of its own from its first line on, since the default would end it.
    return handler is signal.SIG_DFL or getattr(handler, "__module__", "").startswith("pipetask.")


def _print(lines: list[str]) -> None:
    # Not through `sys.stderr`: the signal may have come in the middle of something that is written there.
    data = memoryview("".join(f"{line}\n" for line in lines).encode(errors="backslashreplace"))
    with contextlib.suppress(OSError):
        while data:
            data = data[os.write(2, data) :]
