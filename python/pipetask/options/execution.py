"""How a graph is executed."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from ..errors import UsageError
from .collections import ConfigSearchOptions, OutputOptions
from .declaration import OwnedOptions, option, owned, section
from .development import CoverageOptions, ProfileOptions
from .graph import GraphSelection
from .models import MultiprocessOptions
from .owners import model_groups
from .resources import ResourceOptions
from .retries import RetryOptions

__all__ = [
    "Durability",
    "ExecutionOptions",
    "ExecutorOptions",
    "OutputButler",
    "PreUpdate",
    "PreUpdateOptions",
    "QuantumBackedOptions",
    "QuantumOptions",
    "RunOptions",
]


class PreUpdate(Enum):
    """When the registry is made ready."""

    NOW = "now"
    """Before the first quantum."""

    DEFERRED = "deferred"
    """By the first job of a batch run."""

    SKIP = "skip"
    """It was made ready before; this is verified."""


class OutputButler(Enum):
    """Through which butler quanta write."""

    QUANTUM_BACKED = "quantum-backed"
    """Straight to the datastore; one writer registers in bulk."""

    FULL = "full"
    """Each put goes to datastore and registry at once."""


class Durability(Enum):
    """What a loss of power may cost."""

    FULL = "full"
    """Nothing that is recorded as done, because it is forced to disk first."""

    NONE = "none"
    """Files of the last half minute or so, because the operating system decides when to write them."""


def _memory(text: str) -> str | None:
    if not text:
        return None
    from astropy.units import Quantity, byte

    try:
        Quantity(f"{text} MB" if text.isdecimal() else text).to(byte)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{text!r} is not a size such as 2000 (megabytes) or 2GB") from error
    return text


def _route(text: str) -> str:
    label, _, model = text.partition("=")
    if not (label and model):
        raise ValueError(f"{text!r} is not of the form LABEL=MODEL")
    return text


@dataclass(frozen=True, kw_only=True)
class ExecutorOptions:
    """Which execution model runs the quanta, and the options of all models, of which it takes its own."""

    mode: str | None = option(
        "--mode",
        metavar="MODE",
        help="Execution model: in-process, multiprocess, futures, dry-run, condor, slurm, pbs, pjm, an installed one, "
        "or a class path.",
        default_text="in-process at -j 1 without --timeout and --route, else multiprocess",
        complete="modes",
    )
    routes: tuple[str, ...] = option(
        "--route",
        metavar="LABEL=MODEL",
        default=(),
        parse=_route,
        split=False,
        help="Run a label, subset or pattern with another execution model than the rest: multiprocess[:N], or an "
        "engine, such as threads or dask:tcp://HOST:PORT. Later ones override earlier ones.",
        complete="labels",
    )
    models: OwnedOptions = owned("Options of --mode {}", model_groups)

    def mode_for(self, timeout: float | None) -> str:
        """Return the mode, or the default: in-process for one process, unless more are needed.

        A timeout needs a process to kill, and a model that runs only a part of the graph leaves this process to others.
        """
        one = self.models.of(MultiprocessOptions).processes == 1 and timeout is None and not self.routes
        return self.mode or ("in-process" if one else "multiprocess")


@dataclass(frozen=True, kw_only=True)
class QuantumOptions:
    """How a single quantum is run."""

    timeout: float | None = option(
        "--timeout", metavar="SECONDS", above=0, help="Seconds that a quantum may take."
    )
    raise_on_partial_outputs: bool = option(
        "--raise-on-partial-outputs/--no-raise-on-partial-outputs",
        default=True,
        help="Whether partial outputs are a failure.",
    )
    cores: int = option(
        "-n", "--cores-per-quantum", metavar="N", default=1, minimum=1, help="Cores for each quantum."
    )
    memory: str | None = option(
        "--memory-per-quantum",
        metavar="SIZE",
        parse=_memory,
        help="Memory for each quantum, in MB or with a unit.",
        default_text="no limit",
    )
    debug: bool = option("--debug", default=False, help="Import the module 'debug' first (lsstDebug).")


@dataclass(frozen=True, kw_only=True)
class ExecutionOptions:
    """How the quanta of a graph are executed, whatever the execution model and the registry."""

    quantum: QuantumOptions = section("Execution", QuantumOptions)
    resources: ResourceOptions = section("Execution", ResourceOptions)
    retries: RetryOptions = section("Retries", RetryOptions)
    fail_fast: bool = option("--fail-fast", default=False, help="Stop at the first failure.")
    graph_fixup: str | None = option(
        "--graph-fixup",
        metavar="CLASS",
        help="Class, or function that makes an instance, of pipe_base's ExecutionGraphFixup, which adds ordering.",
    )
    durability: Durability = option(
        "--durability",
        default=Durability.FULL,
        help="Force outputs to disk before they are recorded as done, or leave that to the operating system.",
    )
    selection: GraphSelection = section("Quantum graph", GraphSelection)
    profile: ProfileOptions = section("Development", ProfileOptions)
    coverage: CoverageOptions = section("Development", CoverageOptions)


@dataclass(frozen=True, kw_only=True)
class PreUpdateOptions:
    """What is written to the registry before the first quantum."""

    when: PreUpdate = option(
        "--registry-pre-update",
        default=PreUpdate.NOW,
        help="Make the registry ready before the first quantum, let the first job of a batch run do it, or verify "
        "that it is ready.",
    )
    register_dataset_types: bool = option(
        "--register-dataset-types", default=False, help="Register dataset types that are new."
    )
    skip_init_writes: bool = option(
        "--skip-init-writes", default=False, help="Do not write init-outputs, configs and versions."
    )
    init_only: bool = option(
        "--init-only", default=False, help="Stop when the registry is ready for execution."
    )
    take_over: bool = option(
        "--take-over",
        default=False,
        help="Take the output run from a run directory that holds it, when that or its batch is gone for good.",
    )
    no_versions: bool = option("--no-versions", default=False, help="Do not write or check package versions.")


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """How a graph is executed in a repository with a registry, apart from the execution model."""

    collections: OutputOptions = section("Collections", OutputOptions)
    pre_update: PreUpdateOptions = section("Before execution", PreUpdateOptions)
    execution: ExecutionOptions = section("Execution", ExecutionOptions)
    output_butler: OutputButler | None = option(
        "--output-butler",
        help="Write straight to the datastore and register in bulk, or write through the full butler.",
        default_text="quantum-backed where the datastore allows it",
    )
    rerun_finished: bool = option(
        "--rerun-finished",
        default=False,
        help="With --extend-run and --clobber-outputs: run finished quanta again, too, and replace their outputs.",
    )
    trust_registry: bool = option(
        "--trust-registry",
        default=False,
        help="With --extend-run: do not look whether files are there and as large as recorded; for slow datastores.",
    )

    def check(self) -> None:
        """Refuse combinations that make no sense.

        Raises
        ------
        UsageError
            With the combination.
        """
        self.collections.check()
        if self.rerun_finished and not (self.collections.extend_run and self.collections.clobber_outputs):
            raise UsageError("--rerun-finished requires --extend-run and --clobber-outputs.")


@dataclass(frozen=True, kw_only=True)
class QuantumBackedOptions:
    """How a graph is executed without a registry, apart from the execution model."""

    search: ConfigSearchOptions = section("", ConfigSearchOptions)
    no_existing_outputs: bool = option(
        "--no-existing-outputs",
        default=False,
        help="Take it that no outputs are there, and do not look before each quantum.",
    )
    execution: ExecutionOptions = section("Execution", ExecutionOptions)
