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
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ...errors import UsageError
from ...runner import Ticket
from ...runner.base import ExceptionHook
from ..debugger import debugger_hook

__all__ = ["TERMINAL_LOCK", "WorkerDebugger"]

TERMINAL_LOCK = "terminal"
"""Name of a file, in a folder that all workers know, which is locked by the one that has the terminal."""


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

    def hook(self, lock: Path, waits: Callable[[], None]) -> ExceptionHook:
        """Return what enters the debugger when the terminal is free.

        Parameters
        ----------
        lock
            The file that is locked meanwhile.
        waits
            Called before that.
        """
        enter = debugger_hook(self.module)

        def debug(ticket: Ticket, error: BaseException) -> None:
            waits()
            try:
                with _locked(lock), _borrowed(self.terminal):
                    enter(ticket, error)
            except KeyboardInterrupt:  # while it waited: the quantum has failed all the same
                return

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
