"""How a pipeline is built, and what is written."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..errors import UsageError
from .declaration import Edit, edits, option
from .edits import AddInstrument, AddTask, DeleteTask, LoadConfigFile, PipelineEdit, SetConfig

__all__ = ["GRAPH_ITEMS", "ITEMS_WITH_VALUE", "PIPELINE_ITEMS", "PipelineOptions", "ShowOptions"]

ITEMS_WITH_VALUE = ("config", "dump-config", "history")

PIPELINE_ITEMS = (
    *("pipeline", "subsets"),
    *ITEMS_WITH_VALUE,
    *("tasks", "inputs", "pipeline-graph", "task-graph"),
)
"""Items of a pipeline that ``--show`` takes."""

GRAPH_ITEMS = ("graph", "workflow", "uri")
"""Items of a quantum graph that it takes."""


@dataclass(frozen=True, kw_only=True)
class PipelineOptions:
    """A pipeline: a file, and edits."""

    pipeline: str | Path | None = option(
        "-p",
        "--pipeline",
        metavar="FILE[#LABELS]",
        once=True,
        help="Pipeline definition (YAML); all its tasks, or those given with #LABEL,LABEL or #FIRST..LAST.",
        complete="pipelines",
    )
    edits: tuple[PipelineEdit, ...] = edits(
        Edit(
            ("-t", "--task"),
            "Add a task, by the full name of its class.",
            "TASK[:LABEL]",
            AddTask.parse,
            split=True,
        ),
        Edit(
            ("--delete",),
            "Remove the task with this label, from subsets and contracts too.",
            "LABEL",
            DeleteTask.parse,
            split=True,
            complete="labels",
        ),
        Edit(
            ("-c", "--config"),
            "Set a configuration field of a task.",
            "LABEL:NAME=VALUE",
            SetConfig.parse,
            complete="labels",
        ),
        Edit(
            ("-C", "--config-file"),
            "Load configuration overrides of a task from a file.",
            "LABEL:FILE",
            LoadConfigFile.parse,
            split=True,
            complete="labels",
        ),
        Edit(
            ("--instrument",),
            "Load overrides of an instrument, by the full name of its class.",
            "CLASS",
            AddInstrument.parse,
        ),
    )
    select_tasks: str = option(
        "--select-tasks",
        metavar="EXPR",
        default="",
        help="Keep only the tasks that a pipeline graph expression selects, such as 'isr | >=coadd'.",
        complete="labels",
    )
    save_pipeline: str | None = option(
        "-s", "--save-pipeline", metavar="FILE", help="Write the edited pipeline (YAML).", new_file=True
    )
    pipeline_dot: str | None = option(
        "--pipeline-dot", metavar="FILE", help="Draw the pipeline for GraphViz.", new_file=True
    )
    pipeline_mermaid: str | None = option(
        "--pipeline-mermaid",
        metavar="FILE",
        help="Draw the pipeline for Mermaid; rendered if FILE ends in .svg or .png.",
        new_file=True,
    )

    @property
    def given(self) -> bool:
        """Whether there is anything to build a pipeline from."""
        return bool(self.pipeline or self.edits or self.select_tasks or self.save_pipeline)

    @property
    def drawn(self) -> bool:
        """Whether there is anything to draw."""
        return bool(self.pipeline_dot or self.pipeline_mermaid)

    def check(self) -> None:
        """Refuse combinations that make no sense.

        Raises
        ------
        UsageError
            With the combination.
        """
        if self.select_tasks and self.save_pipeline:
            raise UsageError(
                "--select-tasks cannot be combined with --save-pipeline, which writes YAML: select tasks with "
                "-p FILE#LABEL,LABEL instead."
            )


@dataclass(frozen=True, kw_only=True)
class ShowOptions:
    """What to print instead of executing."""

    show: tuple[str, ...] = option(
        "--show",
        metavar="ITEM[=VALUE]",
        default=(),
        help="Print and stop: pipeline, tasks, subsets, inputs, pipeline-graph, task-graph, "
        "config[=[LABEL::]PATTERN[:NOIGNORECASE]], dump-config[=LABEL], history=[LABEL::]PATTERN; "
        "of a quantum graph: graph, workflow, uri.",
        complete="show",
    )
