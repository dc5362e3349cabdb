"""Puts a pipeline together, from a file, edits of it, and a choice of its tasks."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import yaml
from lsst.daf.butler import Butler
from lsst.pipe.base import Pipeline, PipelineGraph
from lsst.resources import ResourcePath

from ..errors import PipetaskError, UsageError, reason_of
from ..options.edits import PipelineEdit
from ..options.pipeline import PipelineOptions
from .diagnosis import diagnose
from .editing import edit_pipeline
from .load import load_pipeline
from .selection import select_tasks

__all__ = ["PipelineSource", "build_pipeline"]


def build_pipeline(options: PipelineOptions) -> PipelineSource:
    """Put a pipeline together.

    Nothing is written or drawn, and no task is configured yet.

    Parameters
    ----------
    options
        File, edits, and choice of tasks.

    Raises
    ------
    UsageError
        If there is no such file, if an edit concerns a task that is not there, or if options contradict each other.
    PipetaskError
        If the file is no pipeline.
    """
    options.check()
    start = load_pipeline(options.pipeline) if options.pipeline else Pipeline("anonymous")
    edited = edit_pipeline(start, options.edits)
    return PipelineSource(edited, options.select_tasks, start, options.edits)


@dataclass(frozen=True)
class PipelineSource:
    """A pipeline, put together as asked for, of which graphs can be made."""

    edited: Pipeline
    """All of it."""

    expression: str
    """Which of its tasks are wanted (see `pipetask.pipeline.selection`); all if empty."""

    start: Pipeline
    """What it was before it was edited."""

    edits: tuple[PipelineEdit, ...]
    """What was done to it."""

    @property
    def pipeline(self) -> Pipeline:
        """The pipeline, to be written or shown as YAML.

        Raises
        ------
        UsageError
            If only some of its tasks are wanted, which YAML does not tell.
        """
        if self.expression:
            raise UsageError(
                "--select-tasks chooses from a pipeline's graph, which cannot be shown or written as YAML: choose with "
                "-p FILE#LABEL,LABEL instead, or leave it out."
            )
        return self.edited

    def task_names(self) -> list[str]:
        """Return the full names of the task classes, without importing them.

        These are all, whatever the expression chooses: that needs the pipeline's graph, for which tasks are imported.
        """
        tasks = yaml.safe_load(str(self.edited)).get("tasks", {})
        return [task["class"] for task in tasks.values()]

    def __bool__(self) -> bool:
        """Whether there are tasks."""
        return len(self.edited) > 0

    def graph(
        self, butler: Butler | None = None, *, resolve: bool = True, for_display: bool = False
    ) -> PipelineGraph:
        """Make a graph of the tasks that are wanted.

        Parameters
        ----------
        butler
            Repository that tells dimensions, and storage classes of the dataset types that it has.
        resolve
            Whether to find out dimensions and storage classes, and to check that all fits together.
        for_display
            Whether unknown storage classes and placeholders for dimensions will do.

        Raises
        ------
        UsageError
            If an edit does not fit the configuration of its task, or if tasks are wanted that are not there.
        PipetaskError
            If a task cannot be imported or configured, or if tasks do not fit together, or to the repository.
        """
        graph = self._unresolved.copy()
        if resolve:
            try:
                graph.resolve(None if butler is None else butler.registry, visualization_only=for_display)
            except Exception as error:  # configuration of tasks decides what pipe_base stumbles over
                raise PipetaskError(
                    f"The tasks of the pipeline do not fit together: {reason_of(error)}."
                ) from error
        return graph

    @cached_property
    def _unresolved(self) -> PipelineGraph:
        try:
            graph = self.edited.to_graph()
        except Exception as error:  # tasks, configuration and contracts are code of others
            raise diagnose(self.start, self.edits, error) from error
        return select_tasks(graph, self.expression) if self.expression else graph

    def save(self, path: str) -> None:
        """Write the pipeline as YAML.

        Parameters
        ----------
        path
            File or URI.
        """
        content = str(self.pipeline).encode()
        if "://" in path:
            ResourcePath(path).write(content)
        else:
            Path(path).write_bytes(content)  # to a ResourcePath, what follows a # is no part of the name
