"""Build quantum graphs from pipelines.

`lsst.pipe.base` builds them.  This package translates options into its terms, and its exceptions into one line that
says what to do::

    source = build_pipeline(PipelineOptions(pipeline="pipeline.yaml"))
    outputs = OutputOptions(inputs=("defaults",), output="u/me/out")
    components = build_graph("repo", source, GraphBuildOptions(data_query="visit = 1"), outputs)
    write_graph(components, "graph.qg")
"""

from __future__ import annotations

from .build import build_graph
from .emptiness import EmptyGraphError

__all__ = ["EmptyGraphError", "build_graph"]
