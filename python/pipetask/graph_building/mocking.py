"""Pipelines whose tasks are replaced by mocks."""

from __future__ import annotations

import builtins
import logging
from collections.abc import Iterable
from typing import Any

from astropy.units import Quantity, byte
from lsst.pipe.base import PipelineGraph
from lsst.utils.doImport import doImportType

from ..errors import UsageError, did_you_mean, reason_of
from ..options.graph import GraphBuildOptions, MockFailure

__all__ = ["mocked"]

_LOG = logging.getLogger(__name__)


def mocked(pipeline: PipelineGraph, building: GraphBuildOptions) -> PipelineGraph:
    """Replace tasks by mocks, which read and write mock datasets and compute nothing.

    Parameters
    ----------
    pipeline
        The pipeline; it need not be resolved.
    building
        Which mocks fail, and which inputs are not mocked.

    Raises
    ------
    UsageError
        If these name unknown tasks or dataset types.
    """
    # Imported late, because it registers storage classes for the whole process.
    from lsst.pipe.base.tests.mocks import mock_pipeline_graph

    _warn_of_unknown(pipeline, building.unmocked_dataset_types)
    failures = {failure.label: _forced(failure, pipeline.tasks) for failure in building.mock_failure}
    try:
        return mock_pipeline_graph(pipeline, building.unmocked_dataset_types, failures)
    except ValueError as error:  # an output cannot be
        raise UsageError(f"--unmocked-dataset-types: {reason_of(error)}.") from error


def _forced(failure: MockFailure, labels: Iterable[str]) -> Any:
    from lsst.pipe.base.tests.mocks import DataIdMatch, ForcedFailure, MockPipelineTaskConfig

    class Importable(ForcedFailure):
        """A failure whose exception is named so that it can be imported, built-in ones, too."""

        def set_config(self, config: MockPipelineTaskConfig) -> None:
            super().set_config(config)
            if self.exception_type is not None and self.exception_type.__module__ == "builtins":
                config.fail_exception = f"builtins.{self.exception_type.__name__}"

    if failure.label not in labels:
        raise UsageError(
            f"--mock-failure: there is no task {failure.label!r}{did_you_mean(failure.label, labels)}"
        )
    try:
        exception = _imported(failure.exception) if failure.exception else None
        DataIdMatch(failure.where)
        if failure.memory is not None:
            Quantity(failure.memory).to(byte)
    except Exception as error:
        raise UsageError(f"--mock-failure of {failure.label}: {reason_of(error)}.") from error
    if exception is not None and not issubclass(exception, BaseException):
        raise UsageError(f"--mock-failure of {failure.label}: {failure.exception} is no exception.")
    return Importable(failure.where, exception, failure.memory)


def _imported(name: str) -> type:
    """Import an exception; a built-in one needs no module."""
    return doImportType(name if "." in name or not hasattr(builtins, name) else f"builtins.{name}")


def _warn_of_unknown(pipeline: PipelineGraph, names: Iterable[str]) -> None:
    """Only warn: one list may be used for several pipelines."""
    read = {
        edge.parent_dataset_type_name for task in pipeline.tasks.values() for edge in task.iter_all_inputs()
    }
    read |= {
        edge.parent_dataset_type_name
        for task in pipeline.tasks.values()
        for edge in task.init.iter_all_inputs()
    }
    for name in names:
        if name not in read:
            _LOG.warning("--unmocked-dataset-types: no task reads %r%s", name, did_you_mean(name, read, ""))
