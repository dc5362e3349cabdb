"""One model for each command: all of its options, in the groups that its help shows.

The docstring of a model is what its command's help says first.
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
    """What is written for other programs."""

    summary: str | None = option(
        "--summary",
        metavar="FILE",
        help="Write a summary of the graph and its quanta, as JSON.",
        new_file=True,
    )


@dataclass(frozen=True, kw_only=True)
class ConfirmOptions:
    """Whether to ask."""

    confirm: bool = option("--confirm/--no-confirm", default=True, help="Ask before anything is removed.")


@dataclass(frozen=True, kw_only=True)
class BuildCommand:
    """Build a pipeline, and write, draw or show it.

    No data are needed for that.  Tasks, deletions, configuration and instruments are applied in the order in which
    they are given.  With nothing to show, draw or write, the pipeline is checked.
    """

    shown: ShowOptions = section("", ShowOptions)
    pipeline: PipelineOptions = section("Pipeline", PipelineOptions)
    butler_config: str | None = option(
        "-b",
        "--butler-config",
        metavar="REPO",
        help="Butler repository, which tells dimensions and storage classes to checks, drawings and --show.",
        complete="files",
    )


@dataclass(frozen=True, kw_only=True)
class QgraphCommand:
    """Build a quantum graph from a pipeline, or read one, and write, draw or show it.

    The graph says which quanta (one task on one data ID) there are to run, what they read and what they write.
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

    Quanta run as soon as what they need is there, those first that complete what is begun.  Progress is shown while
    they run, and a report at the end, with the command that runs any failed quantum alone.
    """

    repository: RepositoryOptions = section("Repository and collections", RepositoryOptions)
    run: RunOptions = section("Repository and collections", RunOptions)
    executor: ExecutorOptions = section("Execution", ExecutorOptions)
    summary: SummaryOptions = section("Execution", SummaryOptions)
    shown: ShowOptions = section("Pipeline", ShowOptions)
    pipeline: PipelineOptions = section("Pipeline", PipelineOptions)
    source: GraphFileOptions = section("Quantum graph", GraphFileOptions)
    saved: GraphSaveOptions = section("Quantum graph", GraphSaveOptions)
    building: GraphBuildOptions = section("Building the graph", GraphBuildOptions)


@dataclass(frozen=True, kw_only=True)
class PreExecInitQbbCommand:
    """Write init-outputs, configs and versions of a graph without a registry.

    REPO is the repository, of which only the configuration and the datastore are used; QGRAPH the quantum graph.
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

    REPO is the repository, of which only the configuration and the datastore are used; QGRAPH the quantum graph.
    What is done already is skipped, what failed is run again.  Outputs are registered later, with butler
    transfer-from-graph.
    """

    repo: str = argument("Butler repository.", complete="files")
    qgraph: str = argument("Quantum graph.", complete="files")
    run: QuantumBackedOptions = section("", QuantumBackedOptions)
    executor: ExecutorOptions = section("Execution", ExecutorOptions)
    summary: SummaryOptions = section("Execution", SummaryOptions)


@dataclass(frozen=True, kw_only=True)
class UpdateGraphRunCommand:
    """Give a graph another output run, and new IDs to the datasets in it.

    QGRAPH is the quantum graph, RUN the new output RUN collection, OUTPUT_QGRAPH the file to write.
    """

    qgraph: str = argument("Quantum graph.", complete="files")
    run: str = argument("Output RUN collection.")
    output_qgraph: str = argument("Quantum graph to write.", new_file=True)
    metadata_run_key: str = option(
        "--metadata-run-key",
        metavar="KEY",
        default="output_run",
        help="Accepted for old scripts; a graph has only one place for the name of its run.",
    )
    update_graph_id: bool = option(
        "--update-graph-id", default=False, help="Accepted for old scripts; .qg files have no identifier."
    )


@dataclass(frozen=True, kw_only=True)
class PurgeCommand:
    """Remove a CHAINED collection and the collections in it whose names begin with its name.

    COLLECTION must be in no other chain, and what goes with it in no other chain but the one it is found in.  RUN
    collections are removed with their datasets and files.  What will be removed is listed first.
    """

    collection: str = argument("CHAINED collection.")
    repository: RepositoryOptions = section("", RepositoryOptions)
    confirm: ConfirmOptions = section("", ConfirmOptions)
    recursive: bool = option(
        "--recursive", default=False, help="Also remove what is in chains inside the chain, by the same rule."
    )


@dataclass(frozen=True, kw_only=True)
class CleanupCommand:
    """Remove collections that are not in a CHAINED collection, and have names below its name.

    COLLECTION is the chain; below it are names that begin with COLLECTION and a slash, as those of its output runs do.
    What another chain holds stays.  RUN collections are removed with their datasets and files.  What will be removed
    is listed first.
    """

    collection: str = argument("CHAINED collection.")
    repository: RepositoryOptions = section("", RepositoryOptions)
    confirm: ConfirmOptions = section("", ConfirmOptions)


@dataclass(frozen=True, kw_only=True)
class ReportCommand:
    """Report on executed graphs: which quanta succeeded, failed and were blocked, and what they wrote.

    REPO is the repository, QGRAPHS the graphs.  Several graphs are taken as attempts at the same processing: what one
    of them recovered does not count as failed.  On one graph there is a shorter report; --force-v2, --collections,
    --where, --curse-failed-logs and --view-graph ask for the longer one (v2) on that, too.  Of a run on a batch system
    name the run directory instead, and no graph.
    """

    repo: str = argument("Butler repository, or run directory.", complete="files")
    qgraphs: tuple[str, ...] = argument("Quantum graphs.", default=(), complete="files")
    full_output_filename: str = option(
        "--full-output-filename",
        metavar="FILE",
        default="",
        help="Write the whole report: JSON, or YAML if it is the shorter one on one graph.",
        new_file=True,
    )
    brief: bool = option("--brief", default=False, help="Show counts only.")
    logs: bool = option("--logs/--no-logs", default=True, help="Read error messages from logs.")
    collections: tuple[str, ...] = option(
        "--collections",
        metavar="COLLECTION",
        default=(),
        help="Collections to look at, newest first.",
        default_text="those of the graphs",
    )
    where: str = option("--where", metavar="QUERY", default="", help="Data query to narrow the report.")
    curse_failed_logs: bool = option(
        "--curse-failed-logs",
        default=False,
        help="Mark logs of failed quanta that can be found in --collections as cursed.",
    )
    force_v2: bool = option("--force-v2", default=False, help="Make the longer report on one graph, too.")
    read_caveats: str = option(
        "--read-caveats",
        default="lazy",
        choices=("exhaustive", "lazy", "none"),
        help="Of which quanta caveats of success are read: all, those with missing outputs, none (v2).",
    )
    use_qbb: bool = option(
        "--use-qbb/--no-use-qbb",
        default=True,
        help="Read metadata and logs without asking the registry for each (v2).",
    )
    view_graph: bool = option(
        "--view-graph", default=False, help="Draw the pipeline with the state of its tasks instead."
    )
    processes: int = option(
        "-j", "--processes", metavar="N", default=1, minimum=1, help="Number of threads that read (v2)."
    )

    @property
    def longer(self) -> bool:
        """Whether the report is the one that is made for several graphs."""
        several = len(self.qgraphs) > 1 or bool(self.collections) or bool(self.where)
        return several or self.force_v2 or self.curse_failed_logs or self.view_graph

    def check(self) -> None:
        """Refuse what has no meaning.

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

    FILENAMES are what 'pipetask report --full-output-filename FILE' has written about several graphs, or with
    --force-v2.
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
    """Print a script that lets a shell complete commands, options, task labels and file names.

    For bash, put this line into ~/.bashrc: eval "$(pipetask completion bash)".  For zsh the same with zsh and ~/.zshrc;
    for fish: pipetask completion fish | source, in ~/.config/fish/config.fish.
    """

    shell: str = argument("Shell: bash, zsh or fish.", choices=("bash", "zsh", "fish"))


@dataclass(frozen=True, kw_only=True)
class DemoCommand:
    """Make a small sky survey in DIR, process it, and find its variable star.

    Simulates CCD exposures of one star field, makes a butler repository of them, builds a quantum graph through
    pipe_base, executes it, and says what was found.  DIR must not exist, or be empty.
    """

    dir: str = argument("Folder to make.", complete="folders")
    processes: int = option(
        "-j", "--processes", metavar="N", default=2, minimum=1, help="Number of worker processes."
    )
