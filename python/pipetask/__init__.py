"""Execute quantum graphs: the directed graphs of quanta into which data pipelines are compiled.

Everything that a program needs is imported from here, for instance::

    import pipetask

    summary = pipetask.run("REPO", "graph.qg", output="u/me/out", processes=8, timeout=600)

Importing this package is cheap: the module behind a name is imported when the name is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .batch.condor import CondorSystem
    from .batch.executor import BatchExecutor
    from .batch.pbs import PbsSystem
    from .batch.pjm import PjmSystem
    from .batch.slurm import SlurmSystem
    from .batch.system import BatchSystem
    from .errors import PipetaskError, RegistrationError, UsageError
    from .execution.graph_executor import QuantumGraphExecutor
    from .execution.interruption import RunInterrupted
    from .execution.pipe_base_adapter import GraphExecutionError, GraphTimeoutError, PipeBaseGraphExecutor
    from .execution.quantum_backed_executor import QuantumBackedGraphExecutor
    from .execution.run import run
    from .executors.activity import Activity, RunningQuantum
    from .executors.base import ExecutionContext, QuantumExecutor, Traits
    from .executors.dry_run import DryRunExecutor
    from .executors.frontier import Frontier
    from .executors.futures import Engine, ExecutorEngine, FuturesExecutor
    from .executors.in_process import InProcessExecutor
    from .executors.modes import find_executor, mode_names
    from .executors.pool import MultiprocessExecutor
    from .executors.routed import RoutedExecutor
    from .executors.stop import StopLevel, StopRequest
    from .graph.components import draw_graph, read_graph, update_output_run, write_graph
    from .graph.enumeration import EnumeratedGraph, QuantumData
    from .graph.file import GraphFile
    from .graph_building import EmptyGraphError, build_graph
    from .observe.outcome_list import Outcomes
    from .observe.progress import LineProgress, TableProgress
    from .observe.sink import Sink
    from .observe.summary import RunSummary
    from .observe.summary_file import SummaryFile
    from .options.batch import BatchOptions
    from .options.collections import ConfigSearchOptions, OutputOptions
    from .options.commands.report import AggregateReportsCommand, ReportCommand
    from .options.condor import CondorOptions
    from .options.declaration import option
    from .options.development import CoverageOptions, ProfileOptions
    from .options.edits import AddInstrument, AddTask, DeleteTask, LoadConfigFile, SetConfig
    from .options.execution import (
        Durability,
        ExecutionOptions,
        OutputButler,
        PreUpdate,
        PreUpdateOptions,
        QuantumBackedOptions,
        QuantumOptions,
        RunOptions,
    )
    from .options.graph import Anchor, GraphBuildOptions, GraphSaveOptions, GraphSelection, MockFailure
    from .options.models import DryRunOptions, FuturesOptions, InProcessOptions, MultiprocessOptions
    from .options.pbs import PbsOptions
    from .options.pipeline import PipelineOptions
    from .options.pjm import PjmOptions
    from .options.resources import ResourceOptions
    from .options.retries import RetryOptions
    from .options.slurm import SlurmOptions
    from .outcome import QuantumError, QuantumOutcome, Status, Usage
    from .pipeline.build import PipelineSource, build_pipeline
    from .pipeline.draw import draw_pipeline
    from .pipeline.show import ShowRequest, show_pipeline
    from .pipeline.show_graph import show_graph
    from .repository.init_outputs import init_output_run
    from .repository.reports import (
        ExecutionReport,
        ProvenanceReport,
        aggregate_reports,
        report_on_attempts,
        report_on_graph,
    )
    from .runner import Interruption, Runner, RunnerSpec, Ticket
    from .settings.engine import EngineSettings

    __version__: str
    """The version of the installed package."""

__all__ = [
    "Activity",
    "AddInstrument",
    "AddTask",
    "AggregateReportsCommand",
    "Anchor",
    "BatchExecutor",
    "BatchOptions",
    "BatchSystem",
    "CondorOptions",
    "CondorSystem",
    "ConfigSearchOptions",
    "CoverageOptions",
    "DeleteTask",
    "DryRunExecutor",
    "DryRunOptions",
    "Durability",
    "EmptyGraphError",
    "Engine",
    "EngineSettings",
    "EnumeratedGraph",
    "ExecutionContext",
    "ExecutionOptions",
    "ExecutionReport",
    "ExecutorEngine",
    "Frontier",
    "FuturesExecutor",
    "FuturesOptions",
    "GraphBuildOptions",
    "GraphExecutionError",
    "GraphFile",
    "GraphSaveOptions",
    "GraphSelection",
    "GraphTimeoutError",
    "InProcessExecutor",
    "InProcessOptions",
    "Interruption",
    "LineProgress",
    "LoadConfigFile",
    "MockFailure",
    "MultiprocessExecutor",
    "MultiprocessOptions",
    "Outcomes",
    "OutputButler",
    "OutputOptions",
    "PbsOptions",
    "PbsSystem",
    "PipeBaseGraphExecutor",
    "PipelineOptions",
    "PipelineSource",
    "PipetaskError",
    "PjmOptions",
    "PjmSystem",
    "PreUpdate",
    "PreUpdateOptions",
    "ProfileOptions",
    "ProvenanceReport",
    "QuantumBackedGraphExecutor",
    "QuantumBackedOptions",
    "QuantumData",
    "QuantumError",
    "QuantumExecutor",
    "QuantumGraphExecutor",
    "QuantumOptions",
    "QuantumOutcome",
    "RegistrationError",
    "ReportCommand",
    "ResourceOptions",
    "RetryOptions",
    "RoutedExecutor",
    "RunInterrupted",
    "RunOptions",
    "RunSummary",
    "Runner",
    "RunnerSpec",
    "RunningQuantum",
    "SetConfig",
    "ShowRequest",
    "Sink",
    "SlurmOptions",
    "SlurmSystem",
    "Status",
    "StopLevel",
    "StopRequest",
    "SummaryFile",
    "TableProgress",
    "Ticket",
    "Traits",
    "Usage",
    "UsageError",
    "aggregate_reports",
    "build_graph",
    "build_pipeline",
    "draw_graph",
    "draw_pipeline",
    "find_executor",
    "init_output_run",
    "mode_names",
    "option",
    "read_graph",
    "report_on_attempts",
    "report_on_graph",
    "run",
    "show_graph",
    "show_pipeline",
    "update_output_run",
    "write_graph",
]

_HOMES = {
    "batch.condor": "CondorSystem",
    "batch.executor": "BatchExecutor",
    "batch.pbs": "PbsSystem",
    "batch.pjm": "PjmSystem",
    "batch.slurm": "SlurmSystem",
    "batch.system": "BatchSystem",
    "errors": "PipetaskError RegistrationError UsageError",
    "executors.activity": "Activity RunningQuantum",
    "executors.base": "ExecutionContext QuantumExecutor Traits",
    "executors.dry_run": "DryRunExecutor",
    "executors.frontier": "Frontier",
    "executors.futures": "Engine ExecutorEngine FuturesExecutor",
    "executors.in_process": "InProcessExecutor",
    "executors.modes": "find_executor mode_names",
    "executors.pool": "MultiprocessExecutor",
    "executors.routed": "RoutedExecutor",
    "executors.stop": "StopLevel StopRequest",
    "graph.components": "draw_graph read_graph update_output_run write_graph",
    "graph.enumeration": "EnumeratedGraph QuantumData",
    "graph.file": "GraphFile",
    "graph_building": "EmptyGraphError build_graph",
    "observe.outcome_list": "Outcomes",
    "observe.progress": "LineProgress TableProgress",
    "observe.sink": "Sink",
    "observe.summary": "RunSummary",
    "observe.summary_file": "SummaryFile",
    "options.batch": "BatchOptions",
    "options.collections": "ConfigSearchOptions OutputOptions",
    "options.commands.report": "AggregateReportsCommand ReportCommand",
    "options.condor": "CondorOptions",
    "options.development": "CoverageOptions ProfileOptions",
    "options.edits": "AddInstrument AddTask DeleteTask LoadConfigFile SetConfig",
    "options.declaration": "option",
    "options.execution": "Durability ExecutionOptions OutputButler "
    "PreUpdate PreUpdateOptions QuantumBackedOptions QuantumOptions RunOptions",
    "options.graph": "Anchor GraphBuildOptions GraphSaveOptions GraphSelection MockFailure",
    "options.models": "DryRunOptions FuturesOptions InProcessOptions MultiprocessOptions",
    "options.pbs": "PbsOptions",
    "options.pipeline": "PipelineOptions",
    "options.pjm": "PjmOptions",
    "options.resources": "ResourceOptions",
    "options.retries": "RetryOptions",
    "options.slurm": "SlurmOptions",
    "outcome": "QuantumError QuantumOutcome Status Usage",
    "pipeline.build": "PipelineSource build_pipeline",
    "pipeline.draw": "draw_pipeline",
    "pipeline.show": "ShowRequest show_pipeline",
    "pipeline.show_graph": "show_graph",
    "repository.init_outputs": "init_output_run",
    "repository.reports": "ExecutionReport ProvenanceReport "
    "aggregate_reports report_on_attempts report_on_graph",
    "execution.graph_executor": "QuantumGraphExecutor",
    "execution.interruption": "RunInterrupted",
    "execution.pipe_base_adapter": "GraphExecutionError GraphTimeoutError PipeBaseGraphExecutor",
    "execution.quantum_backed_executor": "QuantumBackedGraphExecutor",
    "execution.run": "run",
    "runner": "Interruption Runner RunnerSpec Ticket",
    "settings.engine": "EngineSettings",
}
"""The modules that define the public names."""

_HOME_OF = {name: home for home, names in _HOMES.items() for name in names.split()}

if not TYPE_CHECKING:  # or else any name would be right to a type checker

    def __getattr__(name: str) -> object:
        if name == "__version__":
            from importlib.metadata import version

            return version("pipetask")
        if name not in _HOME_OF:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        from .execution.whole_imports import whole_imports

        with whole_imports():
            value = getattr(import_module(f".{_HOME_OF[name]}", __name__), name)
            globals()[name] = value  # the next look-up finds it without this function
        return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
