"""Select tasks of a pipeline by an expression."""

from __future__ import annotations

import re

from lsst.pipe.base import PipelineGraph
from lsst.pipe.base.pipeline_graph import InvalidExpressionError

from ..errors import UsageError, did_you_mean, reason_of

__all__ = ["select_tasks"]


def select_tasks(graph: PipelineGraph, expression: str) -> PipelineGraph:
    """Return a graph of the tasks that an expression selects.

    Parameters
    ----------
    graph
        All tasks.
    expression
        Labels, subsets and dataset types, combined with ``|``, ``&`` and ``~``; ``<``, ``<=``, ``>`` and ``>=`` select
        what comes before or after them.

    Raises
    ------
    UsageError
        If the expression is invalid, has an unknown name, or selects nothing.
    """
    try:
        selected = graph.select(expression)
    except (InvalidExpressionError, LookupError) as error:
        hint = _hint(graph, expression) or f"{reason_of(error)}."
        raise UsageError(f"--select-tasks {expression!r}: {hint}") from error
    if not selected.tasks:
        raise UsageError(f"--select-tasks {expression!r} selects no task of the pipeline.")
    return selected


def _hint(graph: PipelineGraph, expression: str) -> str | None:
    known = [*graph.tasks, *graph.task_subsets, *graph.dataset_types]
    for name in re.findall(r"(?:[TDS]:)?(\w+)", expression):
        if name not in known:
            return f"the pipeline has no task, subset or dataset type {name!r}{did_you_mean(name, known)}"
    return None
