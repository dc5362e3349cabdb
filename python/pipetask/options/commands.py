"""One model for each command: all of its options, in the groups of its help.

The docstring of a model is the first paragraph of the help.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import UsageError
from .batch_commands import CancelCommand, CondorCommand, RestartCommand, RunNodeCommand, StatusCommand
from .collections import ConfigSearchOptions, OutputOptions, RepositoryOptions
from .declaration import argument, option, section
from .development import CoverageOptions
from .execution import ExecutorOptions, QuantumBackedOptions, RunOptions
from .graph import GraphBuildOptions, GraphFileOptions, GraphSaveOptions, GraphSelection
from .pipeline import PipelineOptions, ShowOptions
from .records import RecordOptions

__all__ = [
    "AggregateReportsCommand",
    "BuildCommand",
    "CancelCommand",
    "CleanupCommand",
    "CompletionCommand",
    "CondorCommand",
    "ConfirmOptions",
    "DemoCommand",
    "PreExecInitQbbCommand",
    "PurgeCommand",
    "QgraphCommand",
    "ReportCommand",
    "RestartCommand",
    "RunCommand",
    "RunNodeCommand",
    "RunQbbCommand",
    "StatusCommand",
    "SummaryOptions",
    "UpdateGraphRunCommand",
]


@dataclass(frozen=True, kw_only=True)
class SummaryOptions:
    """Output for other programs."""

    summary: str | None = option(
        "--summary",
        metavar="FILE",
        help="Write a summary of the graph and its quanta, as JSON.",
        new_file=True,
    )


@dataclass(frozen=True, kw_only=True)
class ConfirmOptions:
    """Whether to ask for confirmation."""

    confirm: bool = option("--confirm/--no-confirm", default=True, help="Ask before removing anything.")


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


@dataclass(frozen=True, kw_only=True)
class PurgeCommand:
    """Remove a CHAINED collection and the collections in it whose names begin with its name.

    COLLECTION must not be in another chain; the collections that are removed with it must not be in a second chain.
    RUN collections are removed with their datasets and files.  Everything to be removed is listed first.
    """

    collection: str = argument("CHAINED collection.")
    repository: RepositoryOptions = section("", RepositoryOptions)
    confirm: ConfirmOptions = section("", ConfirmOptions)
    recursive: bool = option(
        "--recursive",
        default=False,
        help="Also remove collections in chains inside the chain, by the same rule.",
    )


@dataclass(frozen=True, kw_only=True)
class CleanupCommand:
    """Remove collections whose names begin with the name of a CHAINED collection and that are no longer in it.

    COLLECTION is the chain; the names begin with COLLECTION and a slash, like those of its output runs.  Collections
    in another chain are kept.  RUN collections are removed with their datasets and files.  Everything to be removed is
    listed first.
    """

    collection: str = argument("CHAINED collection.")
    repository: RepositoryOptions = section("", RepositoryOptions)
    confirm: ConfirmOptions = section("", ConfirmOptions)


@dataclass(frozen=True, kw_only=True)
class ReportCommand:
    """Report on executed graphs: which quanta succeeded, failed and were blocked, and what they wrote.

    REPO is the repository, QGRAPHS are the graphs.  Several graphs are taken as attempts at the same processing: a
    quantum that succeeded in one of them has not failed.  The report on one graph is shorter; --force-v2,
    --collections, --where, --curse-failed-logs and --view-graph select the longer one (v2).  For a batch run, give the
    run directory instead, and no graph.
    """

    repo: str = argument("Butler repository, or run directory.", complete="files")
    qgraphs: tuple[str, ...] = argument("Quantum graphs.", default=(), complete="files")
    full_output_filename: str = option(
        "--full-output-filename",
        metavar="FILE",
        default="",
        help="Write the whole report: as JSON, or as YAML if it is the shorter report on one graph.",
        new_file=True,
    )
    brief: bool = option("--brief", default=False, help="Show counts only.")
    logs: bool = option("--logs/--no-logs", default=True, help="Read error messages from logs.")
    collections: tuple[str, ...] = option(
        "--collections",
        metavar="COLLECTION",
        default=(),
        help="Collections to report on, newest first.",
        default_text="those of the graphs",
    )
    where: str = option("--where", metavar="QUERY", default="", help="Data query that restricts the report.")
    curse_failed_logs: bool = option(
        "--curse-failed-logs",
        default=False,
        help="Mark logs of failed quanta as cursed if they are visible in --collections.",
    )
    force_v2: bool = option("--force-v2", default=False, help="Make the longer report for one graph, too.")
    read_caveats: str = option(
        "--read-caveats",
        default="lazy",
        choices=("exhaustive", "lazy", "none"),
        help="Quanta whose success caveats are read: all, those with missing outputs, none (v2).",
    )
    use_qbb: bool = option(
        "--use-qbb/--no-use-qbb",
        default=True,
        help="Read metadata and logs without a registry query for each (v2).",
    )
    view_graph: bool = option(
        "--view-graph", default=False, help="Draw the pipeline with the state of each task instead."
    )
    processes: int = option(
        "-j", "--processes", metavar="N", default=1, minimum=1, help="Number of reading threads (v2)."
    )

    @property
    def longer(self) -> bool:
        """Whether this is the report for several graphs."""
        several = len(self.qgraphs) > 1 or bool(self.collections) or bool(self.where)
        return several or self.force_v2 or self.curse_failed_logs or self.view_graph

    def check(self) -> None:
        """Refuse combinations that make no sense.

        Raises
        ------
        UsageError
            With what is missing.
        """
        if not self.qgraphs:
            raise UsageError(
                "there is nothing to report on: name one or more quantum graphs after the repository."
            )
        if self.curse_failed_logs and not self.collections:
            raise UsageError(
                "--curse-failed-logs requires --collections, with the collection of all the processing."
            )
        if self.read_caveats == "exhaustive" and not self.longer:
            raise UsageError(
                "--read-caveats exhaustive requires --force-v2: the report on one graph has no caveats."
            )


@dataclass(frozen=True, kw_only=True)
class AggregateReportsCommand:
    """Add up reports on disjoint groups of data IDs.

    FILENAMES are reports on several graphs, or with --force-v2, that 'pipetask report --full-output-filename FILE' has
    written.
    """

    filenames: tuple[str, ...] = argument("Reports (JSON).", default=(), complete="files")
    full_output_filename: str = option(
        "--full-output-filename",
        metavar="FILE",
        default="",
        help="Write the whole report, as JSON.",
        new_file=True,
    )
    brief: bool = option("--brief", default=False, help="Show counts only.")

    def check(self) -> None:
        """Refuse to add up nothing.

        Raises
        ------
        UsageError
            If there are no reports.
        """
        if not self.filenames:
            raise UsageError("there is nothing to add up: name one or more reports (JSON).")


@dataclass(frozen=True, kw_only=True)
class CompletionCommand:
    """Print a script for shell completion of commands, options, task labels and file names.

    For bash, add this line to ~/.bashrc: eval "$(pipetask completion bash)".  For zsh, the same with zsh and ~/.zshrc.
    For fish, add to ~/.config/fish/config.fish: pipetask completion fish | source
    """

    shell: str = argument("Shell: bash, zsh or fish.", choices=("bash", "zsh", "fish"))


@dataclass(frozen=True, kw_only=True)
class DemoCommand:
    """Create a small sky survey in DIR, process it, and find its variable star.

    Simulates CCD exposures of one star field, creates a butler repository, builds a quantum graph, executes it, and
    prints the result.  DIR must be empty or not exist.
    """

    dir: str = argument("Folder to create.", complete="folders")
    processes: int = option(
        "-j", "--processes", metavar="N", default=2, minimum=1, help="Number of worker processes."
    )
