"""Options for leaving out quanta that only newer versions of pipe_base support."""

from __future__ import annotations

import inspect
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml
from lsst.pipe.base import PipelineGraph
from lsst.pipe.base.quantum_graph_builder import QuantumGraphBuilder

from ..errors import UsageError, did_you_mean, reason_of
from ..options.collections import OutputOptions
from ..options.graph import GraphBuildOptions

__all__ = ["builder_takes", "pruning"]

HAS_BOTH = "30.2026.4300"
"""A version of lsst-pipe-base that has both options."""


def builder_takes(name: str) -> bool:
    """Return whether the builder of the installed pipe_base has this parameter.

    Remove this when all supported versions have both.
    """
    return name in inspect.signature(QuantumGraphBuilder).parameters


def pruning(building: GraphBuildOptions, outputs: OutputOptions, pipeline: PipelineGraph) -> dict[str, Any]:
    """Return arguments of the builder for ``--retained-dataset-types`` and ``--prune-unanchored-quanta``.

    Parameters
    ----------
    building, outputs
        Options of the user.
    pipeline
        The pipeline before its tasks are mocked.

    Raises
    ------
    UsageError
        If the installed pipe_base does not support an option, if the file is invalid, or if a task does not exist.
    """
    found: dict[str, Any] = {}
    if building.retained_dataset_types is not None:
        if not (building.skip_existing_in or building.skip_existing or outputs.extend_run):
            raise UsageError(
                "--retained-dataset-types goes with --skip-existing-in: without it nothing is skipped."
            )
        found["retained_dataset_types"] = _patterns(building.retained_dataset_types)
    if (anchor := building.prune_unanchored_quanta) is not None:
        labels = (_label(anchor.source, building, pipeline), _label(anchor.anchor, building, pipeline))
        found["prune_unanchored_quanta"] = labels
    for name in found:
        if not builder_takes(name):
            raise UsageError(
                f"--{name.replace('_', '-')} needs a newer lsst-pipe-base than {version('lsst-pipe-base')}, which is "
                f"installed: {HAS_BOTH} has it."
            )
    return found


def _label(label: str, building: GraphBuildOptions, pipeline: PipelineGraph) -> str:
    if label not in pipeline.tasks:
        hint = did_you_mean(label, pipeline.tasks)
        raise UsageError(f"--prune-unanchored-quanta: there is no task {label!r}{hint}")
    if not building.mock:
        return label
    from lsst.pipe.base.tests.mocks import get_mock_name

    return str(get_mock_name(label))


def _patterns(path: str) -> list[str]:
    try:
        content = yaml.safe_load(Path(path).read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = error.strerror if isinstance(error, OSError) else reason_of(error)
        raise UsageError(f"--retained-dataset-types: {path} cannot be read: {reason}.") from error
    if not (isinstance(content, list) and content and all(isinstance(name, str) for name in content)):
        raise UsageError(f"--retained-dataset-types: {path} is not a YAML list of dataset types.")
    return content
