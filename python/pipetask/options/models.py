"""The options of each execution model that comes with the package.

They are apart from the models, so that ``--help`` and completion need not import those.
"""

from __future__ import annotations

from dataclasses import dataclass

from .declaration import option

__all__ = [
    "DryRunOptions",
    "FuturesOptions",
    "InProcessOptions",
    "LocalOptions",
    "MultiprocessOptions",
]


@dataclass(frozen=True, kw_only=True)
class ThreadingOptions:
    """What the models that run tasks have in common."""

    implicit_threads: bool = option(
        "--enable-implicit-threading", default=False, help="Let libraries start threads of their own."
    )


@dataclass(frozen=True, kw_only=True)
class LocalOptions(ThreadingOptions):
    """What the models that run tasks on this machine have in common."""

    debugger: str | None = option(
        "--pdb",
        metavar="[MODULE]",
        flag_value="pdb",
        help="Enter a debugger at the line that failed, also in workers; they need a terminal for that.",
        default_text="pdb, if given without a module",
    )


@dataclass(frozen=True, kw_only=True)
class InProcessOptions(LocalOptions):
    """Options of `~pipetask.executors.in_process.InProcessExecutor`."""


@dataclass(frozen=True, kw_only=True)
class ProcessesOptions:
    """What the models with worker processes have in common."""

    processes: int = option(
        "-j", "--processes", metavar="N", default=1, minimum=1, help="Number of worker processes."
    )


@dataclass(frozen=True, kw_only=True)
class MultiprocessOptions(ProcessesOptions, LocalOptions):
    """Options of `~pipetask.executors.pool.executor.MultiprocessExecutor`."""

    start_method: str = option(
        "--start-method",
        default="forkserver",
        choices=("forkserver", "spawn", "fork"),
        help="How workers are started; fork is unsafe and means forkserver.",
    )
    preload: bool = option(
        "--preload/--no-preload",
        default=True,
        help="Import the graph's tasks once for all workers, where that is safe (forkserver only).",
    )


@dataclass(frozen=True, kw_only=True)
class FuturesOptions(ProcessesOptions, ThreadingOptions):
    """Options of `~pipetask.executors.futures.executor.FuturesExecutor`."""

    engine: str = option(
        "--engine",
        metavar="NAME[:ARGUMENT]",
        default="threads",
        help="What runs the quanta: threads, processes, loky, dask[:ADDRESS], parsl[:CONFIG], mpi, celery[:BROKER], "
        "ipyparallel[:CLUSTER], executorlib[:EXECUTOR], ray[:ADDRESS], globus-compute:ENDPOINT, or another that is "
        "installed; see the guide.",
    )
    engine_folder: str | None = option(
        "--engine-folder",
        metavar="DIR",
        help="Folder that the engine's workers see, too, for outcomes that are on their way.",
        default_text="one for temporary files",
        complete="folders",
    )
    engine_settings: str | None = option(
        "--engine-settings",
        metavar="FILE",
        help="YAML file about the place where the engine's workers run: names of folders there, the Python, container "
        "and environment of quanta, and code to send; see the guide.",
        complete="files",
    )


@dataclass(frozen=True, kw_only=True)
class DryRunOptions:
    """Options of `~pipetask.executors.dry_run.DryRunExecutor`."""

    plan: str | None = option(
        "--plan",
        metavar="FILE",
        help="Write the plan to FILE, a JSON object a line.",
        new_file=True,
    )
