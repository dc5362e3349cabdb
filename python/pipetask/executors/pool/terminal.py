"""Lend the terminal to workers, one at a time, for a debugger.

A worker leads a session of its own, which has no terminal.  It may open that of the foreman by name: as that belongs to
another session, there is no job control between them, and both may use it.  Keys that make signals, such as Ctrl-C,
reach the foreman, who interrupts the workers.
"""

from __future__ import annotations

import fcntl
import os
import sys
import termios
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from ...errors import UsageError
from ...runner.base import ExceptionHook
from ..debugger import debugger_hook

__all__ = ["TERMINAL_LOCK", "WORKER_TERMINAL", "LeaveDebuggerError", "WorkerDebugger", "stop_at_terminal"]

WORKER_TERMINAL = "PIPETASK_WORKER_TERMINAL"
"""Environment variable with the path of a terminal, where each worker stops in Python's debugger before it begins."""

TERMINAL_LOCK = "terminal"
"""Name of a file, in a folder that all workers know, which is locked by the one that has the terminal."""


class LeaveDebuggerError(BaseException):
    """Raised where a debugger runs, or waits for the terminal, to end that; debuggers go on after Ctrl-C."""


@dataclass(frozen=True)
class WorkerDebugger:
    """What a worker needs to enter a debugger."""

    module: str
    terminal: str
    """Path of the terminal."""

    @classmethod
    def here(cls, module: str) -> WorkerDebugger:
        """Make one for the terminal of this process.

        Parameters
        ----------
        module
            Name of the debugger's module.

        Raises
        ------
        UsageError
            If there is no such debugger, or no terminal.
        """
        debugger_hook(module)
        try:
            os.ttyname(sys.stdout.fileno())
            return cls(module, os.ttyname(sys.stdin.fileno()))
        except (OSError, ValueError) as error:  # or closed, or something else than a file
            raise UsageError(
                "--pdb beside worker processes (-j, --timeout) needs a terminal, and input or output is none: use "
                "-j 1 without --timeout."
            ) from error

    def hook(
        self, lock: Path, debugging: Callable[[BaseException], AbstractContextManager[None]]
    ) -> ExceptionHook:
        """Return what enters the debugger when the terminal is free.

        Parameters
        ----------
        lock
            The file that is locked meanwhile.
        debugging
            Called with the exception; its context lasts from the moment when the worker begins to wait for the terminal
            until the debugger is left.
        """
        enter = debugger_hook(self.module)

        def debug(quantum: str, error: BaseException) -> None:
            # The quantum has failed for its own reason, however this ends.
            whatever = suppress(LeaveDebuggerError, KeyboardInterrupt)
            with whatever, debugging(error), _locked(lock), _borrowed(self.terminal):
                enter(quantum, error)

        return debug

    @contextmanager
    def settings_kept(self) -> Iterator[None]:
        """Restore the terminal's settings at the end, as a worker may be killed while it reads a line."""
        terminal = sys.stdin.fileno()
        settings = termios.tcgetattr(terminal)
        try:
            yield
        finally:
            termios.tcsetattr(terminal, termios.TCSADRAIN, settings)


def stop_at_terminal() -> None:
    """Stop the calling function in Python's debugger, if a maintainer has named a terminal for that.

    From then on the terminal is standard input and output of this process, and `breakpoint` stops there, too.
    """
    if (path := os.environ.get(WORKER_TERMINAL)) is None:
        return
    device = os.open(path, os.O_RDWR | os.O_NOCTTY)
    for number in (0, 1):
        os.dup2(device, number)
    os.close(device)
    sys.stdin, sys.stdout = os.fdopen(0, closefd=False), os.fdopen(1, "w", closefd=False)
    sys.breakpointhook = _stop_caller
    _stop_caller(2)


def _stop_caller(levels: int = 1) -> None:
    import pdb

    # Without a handler of pdb's for SIGINT: that signal is the foreman's, who interrupts quanta with it.
    pdb.Pdb(nosigint=True).set_trace(sys._getframe(levels))


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def _borrowed(terminal: str) -> Iterator[None]:
    """Make a terminal standard input and output, down to the descriptors, so that lines can be edited."""
    kept, streams = [os.dup(number) for number in (0, 1)], (sys.stdin, sys.stdout)
    device = os.open(terminal, os.O_RDWR | os.O_NOCTTY)
    try:
        for number in (0, 1):
            os.dup2(device, number)
        sys.stdin, sys.stdout = os.fdopen(0, closefd=False), os.fdopen(1, "w", closefd=False)
        yield
    finally:
        sys.stdout.flush()
        sys.stdin, sys.stdout = streams
        for number, old in enumerate(kept):
            os.dup2(old, number)
            os.close(old)
        os.close(device)
