"""Edit a pipeline."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import assert_never

from lsst.pipe.base import LabelSpecifier, Pipeline

from ..errors import UsageError, did_you_mean, reason_of
from ..options.edits import AddInstrument, AddTask, DeleteTask, LoadConfigFile, PipelineEdit, SetConfig

__all__ = ["edit_pipeline"]

_PARAMETERS = "parameters"
"""Used in place of a task label for the parameters of the whole pipeline."""


def edit_pipeline(pipeline: Pipeline, edits: Iterable[PipelineEdit]) -> Pipeline:
    """Apply edits to a copy of a pipeline, in their order.

    No task is imported, except one that is added without a label.  So effects of an edit on the configuration of a task
    are not checked yet.

    Parameters
    ----------
    pipeline
        The pipeline, which is not changed.
    edits
        The edits.

    Raises
    ------
    UsageError
        If an edit names an unknown task, or adds one that cannot be imported.
    """
    pipeline = Pipeline.fromPipeline(pipeline)
    for edit in edits:
        pipeline = _edited(pipeline, edit)
    return pipeline


def _edited(pipeline: Pipeline, edit: PipelineEdit) -> Pipeline:
    match edit:
        case AddTask(task, label):
            _add_task(pipeline, edit, task, label)
        case DeleteTask(label):
            _check_label(edit, label, pipeline.task_labels)
            return _without(pipeline, label)
        case SetConfig(label, name, value):
            _check_label(edit, label, {*pipeline.task_labels, _PARAMETERS})
            pipeline.addConfigOverride(label, name, value)
        case LoadConfigFile(label, path):
            _check_label(edit, label, pipeline.task_labels)
            pipeline.addConfigFile(label, path)
        case AddInstrument(instrument):
            pipeline.addInstrument(instrument)
        case other:
            assert_never(other)
    return pipeline


def _add_task(pipeline: Pipeline, edit: AddTask, task: str, label: str | None) -> None:
    try:
        pipeline.addTask(task, label)
    except Exception as error:  # importing may raise anything
        raise UsageError(f"{edit}: this is no task that can be imported ({reason_of(error)}).") from error


def _check_label(edit: PipelineEdit, label: str, known: Collection[str]) -> None:
    if label not in known:
        raise UsageError(f"{edit}: the pipeline has no task {label!r}{did_you_mean(label, known)}")


def _without(pipeline: Pipeline, label: str) -> Pipeline:
    """Remove a task, also from subsets, and with contracts that mention it, which would fail without it."""
    left = set(pipeline.task_labels) - {label}
    if left:
        return pipeline.subsetFromLabels(LabelSpecifier(left), Pipeline.PipelineSubsetCtrl.EDIT)
    for subset in pipeline.findSubsetsWithLabel(label):
        pipeline.removeLabelFromSubset(subset, label)
    pipeline.removeTask(label)
    return pipeline
