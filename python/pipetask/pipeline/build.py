"""Build a pipeline from a file, edits, and a selection of tasks."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import yaml
from lsst.daf.butler import Butler
from lsst.pipe.base import Pipeline, PipelineGraph
from lsst.resources import ResourcePath

from ..errors import PipetaskError, UsageError, reason_of
from ..options.declaration import check_group
from ..options.edits import PipelineEdit
from ..options.pipeline import PipelineOptions
from .diagnosis import diagnose
from .editing import edit_pipeline
from .load import load_pipeline
from .selection import select_tasks

__all__ = ["PipelineSource", "build_pipeline"]


def build_pipeline(options: PipelineOptions) -> PipelineSource:
    """Build a pipeline.

    Nothing is written or drawn, and no task is configured yet.

    Parameters
    ----------
    options
        File, edits, and selection of tasks.

    Raises
    ------
    UsageError
        If the file does not exist, if an edit names an unknown task, or if options contradict each other.
    PipetaskError
        If the file is not a pipeline.
    """
    check_group(options, PipelineOptions)
    options.check()
    start = load_pipeline(str(options.pipeline)) if options.pipeline else Pipeline("anonymous")
    edited = edit_pipeline(start, options.edits)
    return PipelineSource(edited, options.select_tasks, start, options.edits)


@dataclass(frozen=True, repr=False)
class PipelineSource:
    """A pipeline with its edits and selection, from which graphs can be made."""

    edited: Pipeline
    """The whole pipeline, with all edits applied."""

    expression: str
    """Expression that selects tasks (see `pipetask.pipeline.selection`); empty: all tasks."""

    start: Pipeline
    """The pipeline before the edits."""

    edits: tuple[PipelineEdit, ...]
    """The edits."""

    def __repr__(self) -> str:
        what = f"{len(self.edited.task_labels)} tasks, {len(self.edits)} edits"
        return f"<PipelineSource: {what}, selection {self.expression[:200]!r}>"

    @property
    def pipeline(self) -> Pipeline:
        """The pipeline, for writing or showing as YAML.

        Raises
        ------
        UsageError
            If only some of its tasks are selected, which YAML cannot express.
        """
        if self.expression:
            raise UsageError(
                "--select-tasks cannot be combined with showing or writing YAML: select tasks with -p FILE#LABEL,LABEL "
                "instead, or leave it out."
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
        """Make a graph of the selected tasks.

        Parameters
        ----------
        butler
            Repository whose dimensions, and storage classes of dataset types, are used.
        resolve
            Whether to resolve dimensions and storage classes, and to check consistency.
        for_display
            Whether unknown storage classes and placeholders for dimensions are accepted.

        Raises
        ------
        UsageError
            If an edit does not fit the configuration of its task, or if a selected task does not exist.
        PipetaskError
            If a task cannot be imported or configured, or if tasks do not fit together, or to the repository.
        """
        graph = self._unresolved.copy()
        if resolve:
            try:
                graph.resolve(None if butler is None else butler.registry, visualization_only=for_display)
            except Exception as error:  # depends on the configuration of tasks
                raise PipetaskError(
                    f"The tasks of the pipeline do not fit together: {reason_of(error)}."
                ) from error
        return graph

    @cached_property
    def _unresolved(self) -> PipelineGraph:
        try:
            graph = self.edited.to_graph()
        except Exception as error:  # tasks, configuration and contracts may raise anything
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
            Path(path).write_bytes(content)  # in a ResourcePath, a # ends the name
