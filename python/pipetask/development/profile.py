"""Profile an execution: this process and all of its workers, in one file."""

from __future__ import annotations

import cProfile
import logging
import pstats
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from ..errors import PipetaskError
from ..options.development import ProfileOptions
from .workers import collect, own_file, recorded_in_workers

__all__ = ["record_profile"]

_LOG = logging.getLogger(__name__)


@contextmanager
def record_profile(options: ProfileOptions) -> Iterator[None]:
    """Profile the code in the context, if the options ask for that.

    Parameters
    ----------
    options
        The file to write, in the format of `pstats`.

    Raises
    ------
    PipetaskError
        If another profiler is active.

    Notes
    -----
    The file is written after an error, too.  It has the sums over this process and its workers, each from the moment
    when it was ready to run quanta.  The records of a worker that was killed are lost, with a warning.
    """
    if not options.profile:
        yield
        return
    profiler = cProfile.Profile()
    file = Path(options.profile).absolute()  # a task may change the working directory
    with TemporaryDirectory(prefix="pipetask-profile-") as name:
        folder = Path(name)
        with recorded_in_workers(_ProfileRecorder(folder)):
            _enable(profiler)
            try:
                yield
            finally:
                profiler.disable()
                _write(file, profiler, collect(folder, "profile"))


@dataclass(frozen=True)
class _ProfileRecorder:
    folder: Path

    @contextmanager
    def record(self) -> Iterator[None]:
        profiler = cProfile.Profile()
        with own_file(self.folder) as path:
            profiler.enable()
            yield
            profiler.disable()
            profiler.dump_stats(path)


def _enable(profiler: cProfile.Profile) -> None:
    try:
        profiler.enable()
    except ValueError as error:
        raise PipetaskError(
            "--profile: another profiler is active in this process; leave out one of them."
        ) from error


def _write(path: Path, profiler: cProfile.Profile, of_workers: Iterable[Path]) -> None:
    stats = pstats.Stats(profiler)
    for each in of_workers:
        stats.add(str(each))
    try:
        stats.dump_stats(path)
    except OSError as error:  # the result of the run is more important
        _LOG.error("The profile could not be written to %s: %s.", path, error.strerror)
    else:
        _LOG.info("Profile written to %s.", path)
