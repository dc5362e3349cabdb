"""What worker processes record for the process that starts them."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from tempfile import mkstemp
from typing import Protocol

__all__ = ["Recorder", "collect", "own_file", "recorded_in_workers", "recording", "wanted_recorders"]

_LOG = logging.getLogger(__name__)


class Recorder(Protocol):
    """Records something in a worker; can be pickled."""

    def record(self) -> AbstractContextManager[None]:
        """Record as long as the context lasts, and then write it where it will be found."""


_wanted: list[Recorder] = []
"""A tracer belongs to its whole process, and so does what it wants of the workers."""


@contextmanager
def recorded_in_workers(recorder: Recorder) -> Iterator[None]:
    """Let workers that are started from here on carry a recorder."""
    _wanted.append(recorder)
    try:
        yield
    finally:
        _wanted.remove(recorder)


def wanted_recorders() -> tuple[Recorder, ...]:
    """Return the recorders that a worker which is started now has to carry."""
    return tuple(_wanted)


@contextmanager
def recording(recorders: Iterable[Recorder]) -> Iterator[None]:
    """Record, in a worker, while it runs quanta."""
    with ExitStack() as stack:
        for recorder in recorders:
            stack.enter_context(recorder.record())
        yield


@contextmanager
def own_file(folder: Path) -> Iterator[Path]:
    """Give a worker a file of its own to write, which counts when the context has ended.

    Until then an empty file stands for it, so that `collect` knows of workers that were killed.

    Parameters
    ----------
    folder
        Where all workers write.
    """
    descriptor, name = mkstemp(dir=folder)
    os.close(descriptor)
    unfinished = Path(f"{name}.new")
    yield unfinished
    unfinished.replace(name)


def collect(folder: Path, what: str) -> list[Path]:
    """Return what workers have written, and warn of those that could not.

    Parameters
    ----------
    folder
        Where they write.
    what
        What they write, for a person.
    """
    files = [path for path in sorted(folder.iterdir()) if path.suffix != ".new"]
    written = [path for path in files if path.stat().st_size]
    if lost := len(files) - len(written):
        _LOG.warning("There is no %s of workers that were killed (%d).", what, lost)
    return written
