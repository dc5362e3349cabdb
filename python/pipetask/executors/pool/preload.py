"""Import the tasks of a graph once, before workers are forked, and see whether forking is safe after that."""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

__all__ = ["import_tasks"]

_HARMLESS = ("/dev/null", "/dev/urandom", "/dev/random")


def import_tasks(names: Sequence[str]) -> str | None:
    """Import task classes, and say what stands against forking this process afterwards.

    An import that fails is passed over: a worker repeats it and reports the error.

    Parameters
    ----------
    names
        Full names of the classes.

    Returns
    -------
    reason
        Why this process must not be forked; `None` if it may be.
    """
    threads, files = _threads(), _open_files()
    for name in names:
        with _silence():  # the parent imports the same, and what an import prints is to be seen once
            _import(name)
        # Threads do not come along with a fork, but the locks that they hold do; and an open connection or file would
        # be shared by all workers.
        if (more := _threads() - threads) > 0:
            return f"the import of {name} leaves {more} thread(s) behind"
        if left := sorted(set(_open_files().items()) - set(files.items())):
            return f"the import of {name} leaves {left[0][1]} open"
    gc.collect()
    gc.freeze()  # a collection in a worker would otherwise copy all these pages
    return None


def _import(name: str) -> None:
    from lsst.utils import doImportType

    try:
        doImportType(name)
    except BaseException:  # not even SystemExit is ours to report
        return


def _threads() -> int:
    try:
        return sum(1 for _ in Path("/proc/self/task").iterdir())  # those of libraries, too
    except FileNotFoundError:
        return threading.active_count()


def _open_files() -> dict[int, str]:
    found = {}
    for entry in Path("/proc/self/fd" if Path("/proc/self/fd").exists() else "/dev/fd").iterdir():
        try:
            target = str(entry.readlink())
        except FileNotFoundError:  # that of the folder itself
            continue
        except OSError:
            target = f"descriptor {entry.name}"
        if target not in _HARMLESS:
            found[int(entry.name)] = target
    return found


@contextmanager
def _silence() -> Iterator[None]:
    kept = [os.dup(number) for number in (1, 2)]
    nothing = os.open(os.devnull, os.O_WRONLY)
    try:
        for number in (1, 2):
            os.dup2(nothing, number)
        yield
    finally:
        for number, old in zip((1, 2), kept, strict=True):
            os.dup2(old, number)
            os.close(old)
        os.close(nothing)
