"""The parts of a process's state that a task may change."""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import contextlib
import ctypes
import gc
import locale
import logging
import os
import random
import resource
import signal
import socket
import sys
import threading
import time
import warnings
from collections.abc import Callable
from operator import attrgetter
from typing import Any, Protocol

import numpy as np
from numpy.random.mtrand import get_bit_generator, set_bit_generator

__all__ = ["SINGLE_VALUES", "Generators", "Logging", "Part", "Threads", "Timers", "Umask", "Value"]

PATIENCE = 0.2
"""Seconds in which threads that were told to end must do so."""


class Part(Protocol):
    """A part of the state; making one takes its snapshot."""

    @property
    def name(self) -> str:
        """Its name in messages."""

    def changed(self) -> bool:
        """Return whether it differs from the snapshot."""

    def put_back(self) -> None:
        """Try to restore it; may raise `OSError`, `ValueError` and similar."""

    def accept(self) -> None:
        """Take a new snapshot."""

    def describe(self) -> str:
        """Return what has changed, for messages."""


class Value:
    """A part that can be read, compared and written.

    Parameters
    ----------
    name
        Its name in messages.
    read
        Returns a value that does not change afterwards.
    write
        Takes such a value.
    """

    def __init__(self, name: str, read: Callable[[], Any], write: Callable[[Any], object]):
        self.name = name
        self._read = read
        self._write = write
        self._value = read()

    def changed(self) -> bool:
        """Return whether it differs from the snapshot."""
        return bool(self._read() != self._value)

    def put_back(self) -> None:
        """Restore it."""
        self._write(self._value)

    def accept(self) -> None:
        """Take a new snapshot."""
        self._value = self._read()

    def describe(self) -> str:
        """Return its name."""
        return self.name


class Timers:
    """Timers that send a signal, unless they were already running."""

    name = "a timer"

    def __init__(self) -> None:
        kinds = (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF)
        self._idle = [kind for kind in kinds if signal.getitimer(kind) == (0.0, 0.0)]

    def changed(self) -> bool:
        """Stop all; return whether one was running."""
        before = [signal.setitimer(kind, 0) for kind in self._idle]
        return any(timer != (0.0, 0.0) for timer in before)

    def put_back(self) -> None:
        """Do nothing: they are stopped."""

    def accept(self) -> None:
        """Do nothing: they can be stopped again."""

    def describe(self) -> str:
        """Return its name."""
        return self.name


class Umask:
    """The umask, which cannot be read without being written."""

    name = "the umask"

    def __init__(self) -> None:
        self._value = os.umask(0o077)
        os.umask(self._value)

    def changed(self) -> bool:
        """Restore it; return whether it had changed.

        Other threads may create files meanwhile, so if nothing has changed, it must not differ even for a moment.
        """
        return os.umask(self._value) != self._value

    def put_back(self) -> None:
        """Do nothing: it is put back."""

    def accept(self) -> None:
        """Do nothing: it can always be put back."""

    def describe(self) -> str:
        """Return its name."""
        return self.name


_SETTINGS = attrgetter("level", "disabled", "propagate", "handlers")


class Logging:
    """Levels, handlers and flags of all loggers."""

    name = "the logging configuration"

    def __init__(self) -> None:
        self._manager = logging.root.manager
        self._loggers: list[logging.Logger] = []
        self._settings: list[tuple[Any, ...]] = []
        self.accept()

    def changed(self) -> bool:
        """Return whether any logger differs from the snapshot."""
        if len(self._manager.loggerDict) != self._n_names:
            self._meet_new()
        return list(map(_SETTINGS, self._loggers)) != self._settings or _logging_switches() != self._switches

    def put_back(self) -> None:
        """Restore all loggers."""
        self._manager.disable, factory = self._switches
        logging.setLogRecordFactory(factory)
        for logger, (level, disabled, propagate, handlers) in zip(self._loggers, self._settings, strict=True):
            if logger.level != level:
                logger.setLevel(level)
            logger.disabled, logger.propagate = disabled, propagate
            logger.handlers[:] = handlers

    def accept(self) -> None:
        """Take a new snapshot."""
        self._loggers.clear()
        self._settings.clear()
        self._switches = _logging_switches()
        self._n_modules = 0  # all that is there has been imported
        self._meet_new()

    def describe(self) -> str:
        """Return its name."""
        return self.name

    def _meet_new(self) -> None:
        """Add loggers that were created since to the snapshot.

        A module may configure its own logger when it is imported.  Other loggers are recorded in their initial state,
        because any change was made by the task.
        """
        imported, self._n_modules = len(sys.modules) > self._n_modules, len(sys.modules)
        self._n_names = len(self._manager.loggerDict)
        known = set(self._loggers)
        there = (each for each in self._manager.loggerDict.values() if isinstance(each, logging.Logger))
        for logger in (logging.root, *there):
            if logger not in known:
                level, disabled, propagate, handlers = _SETTINGS(logger)
                self._loggers.append(logger)
                self._settings.append(
                    (level, disabled, propagate, list(handlers)) if imported else (0, False, True, [])
                )


def _logging_switches() -> tuple[Any, ...]:
    return logging.root.manager.disable, logging.getLogRecordFactory()


class Threads:
    """Threads that have been started and have not ended."""

    name = "threads"

    def __init__(self) -> None:
        self._known = set(threading.enumerate())

    def changed(self) -> bool:
        """Return whether there are new ones."""
        return not self._known.issuperset(threading.enumerate())

    def put_back(self) -> None:
        """Wait a moment for the new ones, which may be about to end."""
        deadline = time.monotonic() + PATIENCE
        for thread in self._new():
            with contextlib.suppress(RuntimeError, AssertionError):  # not started by Python
                thread.join(max(0.0, deadline - time.monotonic()))

    def accept(self) -> None:
        """Take a new snapshot."""
        self._known = set(threading.enumerate())

    def describe(self) -> str:
        """Return the names of the first few."""
        names = [repr(thread.name) for thread in self._new()]
        return f"thread {', '.join(names[:3])}{' …' if len(names) > 3 else ''}" if names else "a thread"

    def _new(self) -> list[threading.Thread]:
        return [thread for thread in threading.enumerate() if thread not in self._known]


class Generators:
    """The random generators that all modules share."""

    def __init__(self) -> None:
        self._bits = get_bit_generator()
        self._state = np.random.get_state()
        self._memory = self._look()

    def put_back(self) -> None:
        """Seed the generator of `random` again, and restore numpy's."""
        random.seed(int.from_bytes(os.urandom(16)))
        if get_bit_generator() is not self._bits:
            set_bit_generator(self._bits)
        if self._look() != self._memory:
            np.random.set_state(self._state)

    def _look(self) -> object:
        # Getting or setting the state takes 40 µs, and few tasks use this generator, so its memory is compared:
        # 624 words of 32 bits, and a position in them.
        if isinstance(self._bits, np.random.MT19937):
            return ctypes.string_at(self._bits.ctypes.state_address, 4 * 625)
        return object()


_SIGNALS = [int(number) for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}]


def _signal_handlers() -> list[Any]:
    # The function of `signal` itself makes an enum of each answer, which takes 20 times as long.
    return list(map(_signal.getsignal, _SIGNALS))


def _set_signal_handlers(handlers: list[Any]) -> None:
    for number, handler in zip(_SIGNALS, handlers, strict=True):
        if handler is not None and _signal.getsignal(number) != handler:
            signal.signal(number, handler)


def _environment() -> dict[bytes, bytes]:
    return os.environ._data.copy()  # type: ignore[attr-defined]  # as `os.environb`, which takes 20 µs to copy


def _set_environment(values: dict[bytes, bytes]) -> None:
    for name in set(os.environb) - set(values):
        del os.environb[name]
    os.environb.update(values)
    time.tzset()


_LIMITS = [
    getattr(resource, f"RLIMIT_{name}")
    for name in ("AS", "CORE", "CPU", "DATA", "FSIZE", "NOFILE", "NPROC", "STACK")
]


def _limits() -> list[tuple[int, int]]:
    return list(map(resource.getrlimit, _LIMITS))


def _set_limits(limits: list[tuple[int, int]]) -> None:
    for kind, (soft, hard) in zip(_LIMITS, limits, strict=True):
        now = resource.getrlimit(kind)
        if now == (soft, hard):
            continue
        try:
            resource.setrlimit(kind, (soft, hard))
        except ValueError:  # only a privileged process can raise a hard limit
            resource.setrlimit(kind, (now[1], now[1]))


def _working_directory() -> str | None:
    try:
        return os.getcwd()  # noqa: PTH109  a tenth of the time
    except FileNotFoundError:
        return None


def _warnings() -> tuple[Any, ...]:
    return warnings.filters[:], warnings.showwarning


def _set_warnings(values: tuple[Any, ...]) -> None:
    warnings.resetwarnings()  # tells what is compiled in that they have changed
    warnings.filters[:], warnings.showwarning = values  # type: ignore[index]


def _set_path(path: list[str]) -> None:
    sys.path[:] = path


def _streams() -> tuple[Any, ...]:
    return sys.stdin, sys.stdout, sys.stderr


def _set_streams(streams: tuple[Any, ...]) -> None:
    sys.stdin, sys.stdout, sys.stderr = streams


SINGLE_VALUES: list[tuple[str, Callable[[], Any], Callable[[Any], object]]] = [
    ("signal handlers", _signal_handlers, _set_signal_handlers),
    (
        "blocked signals",
        lambda: signal.pthread_sigmask(signal.SIG_BLOCK, ()),
        lambda mask: signal.pthread_sigmask(signal.SIG_SETMASK, mask),
    ),
    ("the working directory", _working_directory, os.chdir),
    ("environment variables", _environment, _set_environment),
    ("resource limits", _limits, _set_limits),
    (
        "the priority",
        lambda: os.getpriority(os.PRIO_PROCESS, 0),
        lambda value: os.setpriority(os.PRIO_PROCESS, 0, value),
    ),
    ("warnings filters", _warnings, _set_warnings),
    (
        "the locale",
        lambda: locale.setlocale(locale.LC_ALL),
        lambda value: locale.setlocale(locale.LC_ALL, value),
    ),
    ("sys.path", lambda: sys.path[:], _set_path),
    ("standard streams", _streams, _set_streams),
    ("the recursion limit", sys.getrecursionlimit, sys.setrecursionlimit),
    ("garbage collection", gc.isenabled, lambda on: gc.enable() if on else gc.disable()),
    ("the timeout of sockets", socket.getdefaulttimeout, socket.setdefaulttimeout),
    ("numpy's handling of errors", np.geterr, lambda value: np.seterr(**value)),
]
"""Name, what reads it, and what writes it."""

if hasattr(os, "sched_getaffinity"):  # Linux
    SINGLE_VALUES.append(
        (
            "the processors",
            lambda: os.sched_getaffinity(0),
            lambda value: os.sched_setaffinity(0, value),
        )
    )
