"""Inputs of a pipeline that are not registered in a repository."""

from __future__ import annotations

from lsst.daf.butler import Butler
from lsst.pipe.base import PipelineGraph

from ..errors import did_you_mean

MOCKED = "_mock_"
"""What pipe_base prefixes to names of mock datasets."""

__all__ = ["mock_advice", "registered_names", "unregistered", "unregistered_inputs"]


def registered_names(butler: Butler) -> set[str]:
    """Return the names of all dataset types of a repository."""
    return {dataset_type.name for dataset_type in butler.registry.queryDatasetTypes()}


def unregistered_inputs(butler: Butler, pipeline: PipelineGraph) -> list[str]:
    """Return the dataset types that a pipeline reads from a repository and that are not registered there."""
    return sorted({name for name, _ in pipeline.iter_overall_inputs()} - registered_names(butler))


def unregistered(butler: Butler, pipeline: PipelineGraph, name: str) -> str:
    """Return a message, without full stop, that a dataset type is not registered, with a suggestion."""
    consumers = ", ".join(sorted(task.label for task in pipeline.consumers_of(name)))
    hint = mock_advice(name) or did_you_mean(name, registered_names(butler), "").rstrip(".")
    return f"the repository has no dataset type {name!r}, which {consumers} reads{hint}"


def mock_advice(name: str) -> str:
    """Return what to do about an input that is missing because it was mocked; empty if it was not."""
    if not name.startswith(MOCKED):
        return ""
    real = name.removeprefix(MOCKED)
    return f"; --mock mocks inputs, too: --unmocked-dataset-types {real} takes {real!r} from the repository"
