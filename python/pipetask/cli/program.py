"""The command as a program: signals, standard streams, and error messages.

This module runs first, so it imports nothing slow.
"""

from __future__ import annotations

import errno
import io
import os
import re
import signal
import sys
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from functools import partial
from types import FrameType
from typing import TextIO

from . import interrupted

__all__ = ["Interruption", "as_program", "run"]

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
_TASKS_RAN_HERE = "pipetask.executors.in_process"
"""The module that is loaded if tasks have run in the process of the command."""

_READER_GONE = (errno.EPIPE, errno.EIO, errno.EBADF)
"""Error numbers that mean that the other end of a pipe, or a terminal, is gone."""


PATIENCE = 0.2
"""Seconds until a signal is sent again whose exception has not arrived."""


class _InterruptedError(KeyboardInterrupt):
    """Raised by a signal.

    If a plain `KeyboardInterrupt` passes through an ``exec``, as in imports, the interpreter remembers it, and kills
    itself with SIGINT at the end, whatever the exit code.
    """


class Interruption:
    """A signal handler that is used until another one is installed.

    It raises `KeyboardInterrupt`, and records that: an import may replace the exception by another one.  Code that
    catches everything may also swallow it, so the signal is sent again until the exception has arrived.
    """

    number: int | None = None
    _heard = False
    _again = False
    """Whether the next signal is one that this object sends."""

    _repeating = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Handle a signal."""
        again, self._again = self._again, False
        if again and (self._heard or _unwinding()):
            return
        self.number = self.number or number
        self._repeat()
        raise _InterruptedError

    def handle(self) -> None:
        """Install the handler, except for signals that already have a handler or are ignored."""
        for number in _SIGNALS:
            if signal.getsignal(number) in (
                signal.SIG_DFL,
                signal.default_int_handler,
                interrupted.end_at_once,
            ):
                signal.signal(number, self)
        if signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL:
            signal.signal(signal.SIGUSR1, _nothing_runs)
        sys.unraisablehook = self._hide

    def _hide(self, lost: sys.UnraisableHookArgs) -> None:
        """Hide an interruption that arrived during a cleanup, from which nothing can be raised; it is repeated."""
        if self.number is None or not isinstance(lost.exc_value, KeyboardInterrupt):
            sys.__unraisablehook__(lost)

    def _repeat(self) -> None:
        """Begin to send the signal again, in case that the exception does not arrive."""
        if self._repeating:
            return
        self._repeating = True
        from threading import Thread

        with suppress(RuntimeError):  # the interpreter is ending anyway, or there can be no thread
            Thread(target=self._send_until_heard, name="interruption", daemon=True).start()

    def _send_until_heard(self) -> None:
        while not self._heard and self.number is not None:
            time.sleep(PATIENCE)
            if self._heard:
                return
            self._again = signal.getsignal(self.number) is self
            os.kill(os.getpid(), self.number)
            if not self._again:  # another handler has taken over: it is told once
                return

    def heard(self) -> None:
        """Do not send the signal again: it has arrived."""
        self._heard = True

    def end(self) -> None:
        """Remove the handler, so that signals can end an interpreter that hangs at its exit."""
        self.heard()
        for number in _SIGNALS:
            if signal.getsignal(number) is self:
                signal.signal(number, signal.SIG_DFL)


def _unwinding() -> bool:
    """Return whether an interruption is on its way: what the frames that it passes clean up is not to be disturbed."""
    error = sys.exception()
    while error is not None:
        if isinstance(error, _InterruptedError):
            return True
        error = error.__cause__ or error.__context__
    return False


def _nothing_runs(number: int, frame: FrameType | None) -> None:
    """Answer a SIGUSR1, which asks what the run does; while quanta run, the run itself answers."""
    with suppress(OSError):
        os.write(2, b"pipetask: no quantum runs at this moment\n")


def as_program() -> int:
    """Run the command of this process; return its exit code."""
    interruption = Interruption()
    code = _guarded(partial(_with_own_streams, interruption), interruption, sys.argv[1:])
    if _TASKS_RAN_HERE in sys.modules:
        from .leftovers import end_process_despite_tasks

        end_process_despite_tasks(code)
    return code


def run(arguments: list[str]) -> int:
    """Run the command inside another program; return its exit code.

    Parameters
    ----------
    arguments
        The command's arguments.
    """
    return _guarded(partial(_call, arguments), Interruption(), arguments)


def _call(arguments: list[str]) -> int:
    from .group import call

    return call(arguments)


def _with_own_streams(interruption: Interruption) -> int:
    out: _Stream | None = None
    try:
        interruption.handle()
        _open_missing_streams()
        out = _Stream(sys.stdout, 1, _READER_GONE)
        sys.stdout = out
        sys.stderr = _Stream(sys.stderr, 2, (*_READER_GONE, errno.ENOSPC))
        code = _call(sys.argv[1:])
        out.flush()
        return code
    finally:
        if out is not None:
            out.forgive_all()  # the interpreter flushes it again
        interruption.end()


def _guarded(action: Callable[[], int], interruption: Interruption, arguments: Sequence[str]) -> int:
    """Call a function, and print an error as one line; return the exit code."""
    from ..wording import speaking_of_flags

    interrupted.begin(arguments)
    with speaking_of_flags():
        try:
            return action()
        except BaseException as error:
            if interruption.number is None and isinstance(error, SystemExit | GeneratorExit):
                raise
            interruption.heard()
            line, code = _explain(error, interruption.number)
            return _complain(f"pipetask{line}", code, arguments, with_traceback=not _is_clicks(error))


def _explain(error: BaseException, number: int | None) -> tuple[str, int]:
    """Return the message for an error, without the name of the command, and the exit code."""
    if isinstance(error, KeyboardInterrupt):
        number = number or signal.SIGINT
    if number is not None:
        return f": interrupted by {signal.Signals(number).name}: {interrupted.left_so_far()}", 128 + number
    from .group import explain

    return explain(error)


def _is_clicks(error: BaseException) -> bool:
    """Return whether this is about how the command was called: where in click that was found helps no one."""
    return type(error).__module__.startswith("click.")


def _complain(line: str, code: int, arguments: Sequence[str], *, with_traceback: bool) -> int:
    if with_traceback and re.search(
        r"--log-level[= ](\S*[=,])?(DEBUG|TRACE)\b", " ".join(arguments), re.IGNORECASE
    ):
        import traceback

        traceback.print_exc()
    from ..text import visible

    print(visible(" ".join(line.split())), file=sys.stderr)
    return code


# Standard streams.


class _Forgiving(io.FileIO):
    """Wrap a stream so that output which cannot be written is dropped (see D34)."""

    forgiven: Collection[int] = ()

    def write(self, data: object) -> int | None:  # type: ignore[override]
        try:
            return super().write(data)  # type: ignore[arg-type]
        except OSError as error:
            if error.errno not in self.forgiven:
                error.filename = "standard output"
                raise
            return memoryview(data).nbytes  # type: ignore[arg-type]


class _Stream(io.TextIOWrapper):
    """A standard stream that ignores some errors."""

    def __init__(self, like: TextIO | None, descriptor: int, forgiven: Collection[int]):
        self._file = _Forgiving(descriptor, "w", closefd=False)
        self._file.forgiven = forgiven
        super().__init__(
            io.BufferedWriter(self._file),
            encoding=getattr(like, "encoding", "utf-8"),
            errors=getattr(like, "errors", "backslashreplace"),
            line_buffering=descriptor == 2 or bool(getattr(like, "line_buffering", False)),
            write_through=bool(getattr(like, "write_through", False)),
        )

    def forgive_all(self) -> None:
        self._file.forgiven = range(1, 4096)


def _open_missing_streams() -> None:
    """Open closed standard streams: otherwise the first file that is opened, such as a database, takes their place."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # uses the lowest free number
