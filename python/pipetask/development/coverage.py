"""Record line coverage of this process and all of its workers."""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from ..errors import PipetaskError, reason_of
from ..options.development import CoverageOptions
from .workers import collect, own_file, recorded_in_workers, wanted_recorders

if TYPE_CHECKING:
    from coverage import Coverage

__all__ = ["HTML_FOLDER", "record_coverage"]

_LOG = logging.getLogger(__name__)

HTML_FOLDER = "covhtml"
"""Folder of the report, in the working directory."""

_QUIET = ["no-data-collected", "module-not-imported", "module-not-measured"]
"""Warnings that are useless for one of several processes: others may have run or imported the code."""


@contextmanager
def record_coverage(options: CoverageOptions) -> Iterator[None]:
    """Record lines and branches executed in the context, if the options ask for that.

    Inside another such context, this one does nothing.

    Parameters
    ----------
    options
        Which packages to record, and whether to write a report.

    Raises
    ------
    PipetaskError
        If the package ``coverage`` is not installed.

    Notes
    -----
    It writes a data file ``.coverage.*`` for ``coverage combine`` and a report in `HTML_FOLDER` to the working
    directory, also after an error.
    """
    if not options.coverage or _is_active():
        yield
        return
    _check_installed()
    with TemporaryDirectory(prefix="pipetask-coverage-") as name:
        folder, report = Path(name), Path(HTML_FOLDER).absolute()  # a task may change the working directory
        tracer = _tracer(options.cov_packages, data_suffix=True)
        with recorded_in_workers(_CoverageRecorder(folder, options.cov_packages)):
            tracer.start()
            try:
                yield
            finally:
                tracer.stop()
                _warn_of_unknown(options.cov_packages)
                _save(tracer, collect(folder, "coverage"))
                if options.cov_report:
                    _report(tracer, report)


@dataclass(frozen=True)
class _CoverageRecorder:
    folder: Path
    packages: tuple[str, ...]

    @contextmanager
    def record(self) -> Iterator[None]:
        with own_file(self.folder) as path:
            tracer = _tracer(self.packages, data_file=str(path))
            tracer.start()
            yield
            tracer.stop()
            tracer.save()


def _is_active() -> bool:
    return any(isinstance(recorder, _CoverageRecorder) for recorder in wanted_recorders())


def _check_installed() -> None:
    try:
        importlib.import_module("coverage")
    except ModuleNotFoundError as error:
        raise PipetaskError(
            "--coverage needs the package 'coverage', which is not installed: pip install coverage."
        ) from error


def _warn_of_unknown(packages: Sequence[str]) -> None:
    for package in packages:
        try:
            found = importlib.util.find_spec(package)
        except (ImportError, ValueError, TypeError):
            found = None
        if found is None:
            _LOG.warning("--cov-packages %s: there is no such package.", package)


def _tracer(packages: Sequence[str], **where: Any) -> Coverage:
    from coverage import Coverage

    tracer = Coverage(branch=True, source_pkgs=list(packages) or None, config_file=False, **where)
    tracer.set_option("run:disable_warnings", _QUIET)
    return tracer


def _save(tracer: Coverage, of_workers: Sequence[Path]) -> None:
    from coverage import CoverageData

    data = tracer.get_data()
    for path in of_workers:
        of_worker = CoverageData(str(path))
        of_worker.read()
        data.update(of_worker)
    tracer.save()
    _LOG.info("Coverage data written to %s.", data.data_filename())


def _report(tracer: Coverage, folder: Path) -> None:
    from coverage.exceptions import CoverageException

    try:
        tracer.html_report(directory=str(folder), ignore_errors=True)
    except (CoverageException, OSError) as error:  # the result of the run is more important
        _LOG.error("There is no coverage report: %s.", reason_of(error))
    else:
        _LOG.info("Coverage report written to %s.", folder)
