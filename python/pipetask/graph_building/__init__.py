"""Builds quantum graphs from pipelines.

`lsst.pipe.base` does the building; this room turns what a user gives into its terms, and what goes wrong into a line
that says what to do::

    source = build_pipeline(PipelineOptions(pipeline="pipeline.yaml"))
    outputs = OutputOptions(inputs=("defaults",), output="u/me/out")
    components = build_graph("repo", source, GraphBuildOptions(data_query="visit = 1"), outputs)
    write_graph(components, "graph.qg")
"""

from __future__ import annotations

from .build import build_graph
from .emptiness import EmptyGraphError

__all__ = ["EmptyGraphError", "build_graph"]
