"""Quanta that change the state of their process and leave it so, and what tells whether they have."""

from __future__ import annotations

import contextlib
import gc
import importlib
import io
import json
import locale
import logging
import logging.config
import os
import random
import resource
import signal
import socket
import sys
import tempfile
import threading
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.random  # at once: a quantum that imports something is another case


def nothing() -> None:
    pass


def a_timer() -> None:
    for kind in (signal.ITIMER_REAL, signal.ITIMER_PROF):
        if signal.getitimer(kind) == (0.0, 0.0):  # otherwise it is pytest's, to end a test that hangs
            signal.setitimer(kind, 3600, 3600)


def a_umask() -> None:
    os.umask(0o777)


def signal_handlers() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGRTMIN + 3, lambda number, frame: None)


def blocked_signals() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})


def a_working_directory() -> None:
    os.chdir("/")


def a_working_directory_that_is_gone() -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)


def environment_variables() -> None:
    os.environ["LEFT_BEHIND"] = "yes"
    os.environ["TZ"] = "Pacific/Kiritimati"
    del os.environ["PATH"]
    time.tzset()


def soft_limits() -> None:
    for kind, value in ((resource.RLIMIT_NOFILE, 20), (resource.RLIMIT_FSIZE, 1)):
        resource.setrlimit(kind, (value, resource.getrlimit(kind)[1]))


def hard_limits() -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


# A logger that is first met after a quantum that has imported modules could have been configured by these.
for _name in ("lsst", "leavers", "toy"):
    logging.getLogger(_name)


def log_levels() -> None:
    logging.getLogger().setLevel(logging.CRITICAL)
    logging.getLogger("lsst").setLevel(logging.DEBUG)
    logging.getLogger("leavers").setLevel(logging.ERROR)


def log_handlers() -> None:
    logging.getLogger().handlers.clear()
    logging.getLogger("lsst").addHandler(logging.StreamHandler(io.StringIO()))


def a_logging_configuration() -> None:
    logging.config.dictConfig({"version": 1, "root": {"level": "ERROR", "handlers": []}})


def logging_that_is_off() -> None:
    logging.disable(logging.CRITICAL)


def warnings_filters() -> None:
    warnings.simplefilter("error")


def a_locale() -> None:
    locale.setlocale(locale.LC_ALL, "POSIX")


def a_path() -> None:
    sys.path.insert(0, "/nonesuch")


def streams() -> None:
    sys.stdout = io.StringIO()


def other_switches() -> None:
    sys.setrecursionlimit(2345)
    gc.disable()
    socket.setdefaulttimeout(0.001)
    np.seterr(all="raise")


def seeds() -> None:
    random.seed(1)
    np.random.seed(1)


def a_thread() -> None:
    threading.Thread(target=time.sleep, args=(3600,), daemon=True, name="idler").start()


def a_thread_that_is_about_to_end() -> None:
    threading.Thread(target=time.sleep, args=(0.01,)).start()


def a_variable_that_an_import_sets() -> None:
    sys.modules.pop("sets_a_variable", None)
    importlib.import_module("sets_a_variable")


PUT_BACK = (
    nothing,
    a_timer,
    a_umask,
    signal_handlers,
    blocked_signals,
    a_working_directory,
    a_working_directory_that_is_gone,
    environment_variables,
    soft_limits,
    log_levels,
    log_handlers,
    a_logging_configuration,
    logging_that_is_off,
    warnings_filters,
    a_locale,
    a_path,
    streams,
    other_switches,
    seeds,
    a_thread_that_is_about_to_end,
)
STAYS = (a_thread, hard_limits, a_variable_that_an_import_sets)


def state() -> dict[str, Any]:
    """Return what must be the same for each quantum, whatever has run before."""
    loggers = [logging.getLogger(name) for name in ("", "lsst", "leavers", "toy")]
    signals = sorted(signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP})
    handlers = [signal.getsignal(number) for number in signals]
    return {
        "timers": [signal.getitimer(kind)[0] > 0 for kind in (signal.ITIMER_REAL, signal.ITIMER_PROF)],
        "handlers": [getattr(handler, "__qualname__", str(handler)) for handler in handlers],
        "blocked": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, ())),
        "directory": os.getcwd(),  # noqa: PTH109
        "environment": dict(os.environ),
        "time zone": time.tzname,
        "limits": [resource.getrlimit(kind) for kind in range(10)],
        "loggers": [(log.level, log.disabled, log.propagate, len(log.handlers)) for log in loggers],
        "logging": logging.root.manager.disable,
        "warnings": [str(each) for each in warnings.filters],
        "locale": locale.setlocale(locale.LC_ALL),
        "path": sys.path,
        "stream": type(sys.stdout).__name__,
        "switches": [sys.getrecursionlimit(), gc.isenabled(), socket.getdefaulttimeout(), np.geterr()],
        "threads": sorted(thread.name for thread in threading.enumerate()),
        "numpy": np.random.random(),
    }


@dataclass(frozen=True)
class Leavers:
    """Even quanta leave something behind, odd ones write down what they find.

    Parameters
    ----------
    folder
        Gets a file for each of the latter.
    names
        Names of the functions of this module that the former call.
    """

    folder: Path
    names: tuple[str, ...]

    def __call__(self, id: int) -> None:
        if id % 2 == 0:
            globals()[self.names[id // 2]]()
            return
        with (self.folder / "new").open("w") as out:  # with the umask that it finds
            mode = os.fstat(out.fileno()).st_mode
        with contextlib.suppress(FileNotFoundError):
            (self.folder / "new").unlink()
        found = {"mode": mode, **state()}
        process = {"pid": os.getpid(), "random": random.random()}
        (self.folder / f"{id}.json").write_text(json.dumps({"found": found, "process": process}))
