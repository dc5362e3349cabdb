"""Records that worker processes make for the process that starts them."""

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
        """Record during the context, and then write the records for `collect`."""


_wanted: list[Recorder] = []
"""Recorders for workers that are started; global like the tracer of a process."""


@contextmanager
def recorded_in_workers(recorder: Recorder) -> Iterator[None]:
    """Let all workers that are started in the context use a recorder."""
    _wanted.append(recorder)
    try:
        yield
    finally:
        _wanted.remove(recorder)


def wanted_recorders() -> tuple[Recorder, ...]:
    """Return the recorders for a worker that is started now."""
    return tuple(_wanted)


@contextmanager
def recording(recorders: Iterable[Recorder]) -> Iterator[None]:
    """Record in a worker while it runs quanta."""
    with ExitStack() as stack:
        for recorder in recorders:
            stack.enter_context(recorder.record())
        yield


@contextmanager
def own_file(folder: Path) -> Iterator[Path]:
    """Yield a file for one worker, which is valid when the context has ended.

    Until then it is an empty file, so that `collect` can count workers that were killed.

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
    """Return the files of all workers, and warn about workers that could not write theirs.

    Parameters
    ----------
    folder
        The folder with the files.
    what
        What they write, for the warning.
    """
    files = [path for path in sorted(folder.iterdir()) if path.suffix != ".new"]
    written = [path for path in files if path.stat().st_size]
    if lost := len(files) - len(written):
        _LOG.warning("There is no %s of workers that were killed (%d).", what, lost)
    return written
