"""Options of the commands that build and look."""

from __future__ import annotations

from dataclasses import dataclass

from ..collections import OutputOptions, RepositoryOptions
from ..declaration import argument, option, section
from ..development import CoverageOptions
from ..graph import GraphBuildOptions, GraphFileOptions, GraphSaveOptions, GraphSelection
from ..pipeline import PipelineOptions, ShowOptions
from ..records import SummaryOptions

__all__ = ["BuildCommand", "QgraphCommand", "UpdateGraphRunCommand"]


@dataclass(frozen=True, kw_only=True)
class BuildCommand:
    """Build a pipeline, and write, draw or show it.

    No data are needed.  Tasks, deletions, configuration and instruments are applied in the order in which they are
    given.  Without anything to show, draw or write, the pipeline is checked.
    """

    shown: ShowOptions = section("", ShowOptions)
    pipeline: PipelineOptions = section("Pipeline", PipelineOptions)
    butler_config: str | None = option(
        "-b",
        "--butler-config",
        metavar="REPO",
        help="Butler repository, whose dimensions and storage classes are used for checks, diagrams and --show.",
        complete="files",
    )


@dataclass(frozen=True, kw_only=True)
class QgraphCommand:
    """Build a quantum graph from a pipeline, or read one, and write, draw or show it.

    The graph lists the quanta to run (one task on one data ID each), with the datasets that they read and write.
    """

    repository: RepositoryOptions = section("Repository and collections", RepositoryOptions)
    collections: OutputOptions = section("Repository and collections", OutputOptions)
    shown: ShowOptions = section("Pipeline", ShowOptions)
    pipeline: PipelineOptions = section("Pipeline", PipelineOptions)
    source: GraphFileOptions = section("Quantum graph", GraphFileOptions)
    selection: GraphSelection = section("Quantum graph", GraphSelection)
    saved: GraphSaveOptions = section("Quantum graph", GraphSaveOptions)
    summary: SummaryOptions = section("Quantum graph", SummaryOptions)
    building: GraphBuildOptions = section("Building the graph", GraphBuildOptions)
    coverage: CoverageOptions = section("Development", CoverageOptions)


@dataclass(frozen=True, kw_only=True)
class UpdateGraphRunCommand:
    """Change the output run of a graph, and give its datasets new IDs.

    QGRAPH is the quantum graph, RUN is the new output RUN collection, OUTPUT_QGRAPH is the file to write.
    """

    qgraph: str = argument("Quantum graph.", complete="files")
    run: str = argument("Output RUN collection.")
    output_qgraph: str = argument("Quantum graph to write.", new_file=True)
    metadata_run_key: str = option(
        "--metadata-run-key",
        metavar="KEY",
        default="output_run",
        help="Accepted for old scripts; has no effect, because a graph stores the name of its run only once.",
    )
    update_graph_id: bool = option(
        "--update-graph-id",
        default=False,
        help="Accepted for old scripts; has no effect, because .qg files have no identifier.",
    )
