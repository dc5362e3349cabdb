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
    """Record where the time goes while the context lasts, if that is asked for.

    Parameters
    ----------
    options
        The file to write, which `pstats` reads whatever its name, as from `lsst.utils.timer.profile`.

    Raises
    ------
    PipetaskError
        If another profiler is active.

    Notes
    -----
    The file is written after an error, too.  It holds the sums over this process and its workers, each from the
    moment in which it could run quanta; what a worker that was killed has recorded is lost, and a warning says so.
    """
    if not options.profile:
        yield
        return
    profiler = cProfile.Profile()
    file = Path(options.profile).absolute()  # a task may go elsewhere
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
    except OSError as error:  # what the quanta did counts for more
        _LOG.error("The profile could not be written to %s: %s.", path, error.strerror)
    else:
        _LOG.info("Profile written to %s.", path)
