"""Find out which task, and which edit, prevents a pipeline from becoming a graph.

pipe_base passes on any exception of importing or configuring a task, and does not say for which task.  So the tasks are
tried one by one, and then the edits of the failing one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import yaml
from lsst.pipe.base import LabelSpecifier, Pipeline

from ..errors import PipetaskError, UsageError, did_you_mean, reason_of
from ..options.edits import LoadConfigFile, PipelineEdit, SetConfig
from .editing import edit_pipeline

__all__ = ["diagnose"]


def diagnose(start: Pipeline, edits: Sequence[PipelineEdit], error: Exception) -> PipetaskError:
    """Return an error that names the task or edit at fault.

    Parameters
    ----------
    start
        The pipeline before it was edited.
    edits
        The edits, in order.
    error
        The exception that making a graph has raised.

    Returns
    -------
    explained
        A `UsageError` if an edit is at fault.
    """
    edited = edit_pipeline(start, edits)
    for label in edited.task_labels:
        if (failure := _Attempt.of(edited, label).error) is not None:
            return _explain(start, label, list(_attempts(start, edits, label)), failure)
    return PipetaskError(f"The tasks of the pipeline do not fit together: {reason_of(error)}.")


@dataclass(frozen=True)
class _Attempt:
    """One task by itself, after some of the edits."""

    edit: PipelineEdit | None
    """The last of these edits."""

    names: tuple[str, ...] = ()
    """Its configuration fields, if it could be configured."""

    error: Exception | None = None

    @classmethod
    def of(cls, pipeline: Pipeline, label: str, edit: PipelineEdit | None = None) -> _Attempt:
        alone = pipeline.subsetFromLabels(LabelSpecifier({label}))
        try:
            return cls(edit, names=tuple(alone.to_graph().tasks[label].config.names()))
        except Exception as error:  # may raise anything; the message says what
            return cls(edit, error=error)


def _attempts(start: Pipeline, edits: Sequence[PipelineEdit], label: str) -> Iterator[_Attempt]:
    for count in range(len(edits) + 1):
        pipeline = edit_pipeline(start, edits[:count])
        if label in pipeline.task_labels:
            yield _Attempt.of(pipeline, label, edits[count - 1] if count else None)


def _explain(start: Pipeline, label: str, attempts: Sequence[_Attempt], failure: Exception) -> PipetaskError:
    """Find the first edit after which the task fails in the same way as with all edits."""
    reason = _reason(failure)
    first = next(i for i, each in enumerate(attempts) if each.error and _reason(each.error) == reason)
    no_field = isinstance(failure, AttributeError)
    match attempts[first].edit:
        case None:
            hint = _misspelt_in_file(start, label, reason) if no_field else "."
            return PipetaskError(f"Task {label!r}: {reason}{hint}")
        case LoadConfigFile() as edit if isinstance(failure, FileNotFoundError):
            return UsageError(f"{edit}: there is no file {failure.filename}.")
        case LoadConfigFile() as edit:
            return PipetaskError(f"{edit}: {reason}.")
        case SetConfig() as edit if no_field:
            return UsageError(f"{edit}: {reason}{did_you_mean(edit.name, attempts[first - 1].names)}")
        case edit:
            return UsageError(f"{edit}: {reason}.")


def _reason(error: Exception) -> str:
    """Return the message of an error, with that of its cause."""
    reason = reason_of(error).removesuffix(" (see chained exception)")
    cause = reason_of(error.__cause__) if error.__cause__ else ""
    return reason if cause in reason else f"{reason}: {cause}"


def _misspelt_in_file(pipeline: Pipeline, label: str, reason: str) -> str:
    """Return the end of a sentence about a field that the file sets and the task does not have."""
    content = yaml.safe_load(str(pipeline))["tasks"][label]
    plain = Pipeline(label)
    plain.addTask(content["class"], label)
    names = _Attempt.of(plain, label).names
    given = [name for part in content.get("config", ()) for name in part]
    wrong = [name for name in given if name not in names and reason.endswith(name.rpartition(".")[2])]
    return did_you_mean(wrong[0], names) if wrong else "."
