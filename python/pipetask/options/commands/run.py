"""Options of the commands that run quanta, or prepare for that."""

from __future__ import annotations

from dataclasses import dataclass

from ..collections import ConfigSearchOptions, RepositoryOptions
from ..declaration import argument, option, section
from ..development import CoverageOptions
from ..execution import ExecutorOptions, QuantumBackedOptions, RunOptions
from ..graph import GraphBuildOptions, GraphFileOptions, GraphSaveOptions
from ..pipeline import PipelineOptions, ShowOptions
from ..records import RecordOptions

__all__ = ["PreExecInitQbbCommand", "RunCommand", "RunQbbCommand"]


@dataclass(frozen=True, kw_only=True)
class RunCommand:
    """Execute a quantum graph, from a file or built from a pipeline.

    A quantum runs as soon as its prerequisites have ended, in an order that completes products early.  Progress is
    shown meanwhile, and at the end a report, with a command for each failed quantum that runs it alone.
    """

    repository: RepositoryOptions = section("Repository and collections", RepositoryOptions)
    run: RunOptions = section("Repository and collections", RunOptions)
    executor: ExecutorOptions = section("Execution", ExecutorOptions)
    records: RecordOptions = section("Execution", RecordOptions)
    shown: ShowOptions = section("Pipeline", ShowOptions)
    pipeline: PipelineOptions = section("Pipeline", PipelineOptions)
    source: GraphFileOptions = section("Quantum graph", GraphFileOptions)
    saved: GraphSaveOptions = section("Quantum graph", GraphSaveOptions)
    building: GraphBuildOptions = section("Building the graph", GraphBuildOptions)


@dataclass(frozen=True, kw_only=True)
class PreExecInitQbbCommand:
    """Write init-outputs, configs and versions of a graph without a registry.

    REPO is the repository, of which only configuration and datastore are used; QGRAPH is the quantum graph.
    """

    repo: str = argument("Butler repository.", complete="files")
    qgraph: str = argument("Quantum graph.", complete="files")
    search: ConfigSearchOptions = section("", ConfigSearchOptions)
    qgraph_id: str | None = option(
        "--qgraph-id", metavar="ID", help="Identifier that a legacy .qgraph file must have."
    )
    coverage: CoverageOptions = section("Development", CoverageOptions)


@dataclass(frozen=True, kw_only=True)
class RunQbbCommand:
    """Execute quanta of a graph without a registry.

    REPO is the repository, of which only configuration and datastore are used; QGRAPH is the quantum graph.
    Finished quanta are skipped, failed ones run again.  Register the outputs later with butler transfer-from-graph.
    """

    repo: str = argument("Butler repository.", complete="files")
    qgraph: str = argument("Quantum graph.", complete="files")
    run: QuantumBackedOptions = section("", QuantumBackedOptions)
    executor: ExecutorOptions = section("Execution", ExecutorOptions)
    records: RecordOptions = section("Execution", RecordOptions)
