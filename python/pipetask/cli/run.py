"""`pipetask run`."""

from __future__ import annotations

import sys
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .logs import LogOptions

if TYPE_CHECKING:
    from ..executors.base import QuantumExecutor
    from ..graph_executor import RunOptions
    from ..observe.sink import Sink
    from ..observe.summary import RunSummary

__all__ = ["command"]


def _comma_separated(
    ctx: click.Context, parameter: click.Parameter, values: tuple[str, ...]
) -> tuple[str, ...]:
    return tuple(part for value in values for part in value.split(",") if part)


def _quantum_ids(
    ctx: click.Context, parameter: click.Parameter, values: tuple[str, ...]
) -> frozenset[uuid.UUID] | None:
    try:
        ids = [uuid.UUID(part) for part in _comma_separated(ctx, parameter, values)]
    except ValueError as error:
        raise click.BadParameter(f"{values}: {error}.") from error
    return frozenset(ids) or None


def _memory(ctx: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    if not value:
        return None
    from astropy.units import Quantity, byte

    try:
        Quantity(f"{value} MB" if value.isdecimal() else value).to(byte)
    except (TypeError, ValueError) as error:
        raise click.BadParameter(f"{value!r} is not a size such as 2000 (megabytes) or 2GB.") from error
    return value


def _new_file(ctx: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """Refuse, before the run and not after it, a file in a folder that is not there."""
    if value and "://" not in value and not Path(value).absolute().parent.is_dir():
        raise click.BadParameter(f"{value}: there is no folder {Path(value).parent}.")
    return value


@click.command("run", context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.option("-b", "--butler-config", required=True, metavar="REPO", help="Butler repository.")
@click.option("-g", "--qgraph", required=True, metavar="FILE", help="Quantum graph, .qg or legacy .qgraph.")
@click.option(
    "--qgraph-node-id",
    "quantum_ids",
    multiple=True,
    callback=_quantum_ids,
    metavar="UUID",
    help="Run only these quanta (may be repeated, or comma-separated).",
)
@click.option("-i", "--input", "inputs", multiple=True, callback=_comma_separated, help="Input collections.")
@click.option("-o", "--output", metavar="COLL", help="Output CHAINED collection.")
@click.option("--output-run", metavar="COLL", help="Output RUN collection.  [default: the graph's]")
@click.option("--extend-run", is_flag=True, help="Go on with an existing run; what is done is skipped.")
@click.option(
    "--replace-run", is_flag=True, help="Take the first run out of --output before adding the new one."
)
@click.option(
    "--prune-replaced",
    type=click.Choice(["unstore", "purge"]),
    help="Delete the datasets of the replaced run from the datastore, or with the whole run.",
)
@click.option("--rebase", is_flag=True, help="Reorder --output if it does not fit the inputs.")
@click.option(
    "--skip-existing-in",
    multiple=True,
    callback=_comma_separated,
    metavar="COLL",
    help="Skip quanta done there.",
)
@click.option(
    "--skip-existing", is_flag=True, help="Skip quanta done in the output run (--extend-run does so)."
)
@click.option(
    "--clobber-outputs", is_flag=True, help="With --extend-run: replace what unsuccessful attempts have left."
)
@click.option("--register-dataset-types", is_flag=True, help="Register dataset types that are new.")
@click.option("--skip-init-writes", is_flag=True, help="Do not write init-outputs, configs and versions.")
@click.option("--init-only", is_flag=True, help="Stop when the registry is ready for execution.")
@click.option("--no-versions", is_flag=True, help="Do not write or check package versions.")
@click.option(
    "--registry-pre-update",
    type=click.Choice(["now", "skip"]),
    default="now",
    help="Make the registry ready before the first quantum, or verify that it is.",
)
@click.option(
    "--mode",
    metavar="MODE",
    help="Execution model: in-process, multiprocess, dry-run, an installed one, or a class path.  "
    "[default: in-process at -j 1 without --timeout, else multiprocess]",
)
@click.option("-j", "--processes", type=click.IntRange(min=1), default=1, help="Number of worker processes.")
@click.option(
    "--start-method",
    type=click.Choice(["forkserver", "spawn"]),
    default="forkserver",
    help="How workers are started.",
)
@click.option(
    "--timeout", type=click.FloatRange(min=0, min_open=True), help="Seconds that a quantum may take."
)
@click.option("--fail-fast", is_flag=True, help="Stop at the first failure.")
@click.option(
    "--raise-on-partial-outputs/--no-raise-on-partial-outputs",
    default=True,
    help="Whether partial outputs are a failure.",
)
@click.option(
    "--output-butler",
    type=click.Choice(["quantum-backed", "full"]),
    help="Write straight to the datastore and register in bulk, or write through the full butler.  "
    "[default: quantum-backed where the datastore allows it]",
)
@click.option(
    "-n", "--cores-per-quantum", type=click.IntRange(min=1), default=1, help="Cores for each quantum."
)
@click.option(
    "--memory-per-quantum",
    metavar="SIZE",
    callback=_memory,
    help="Memory for each quantum, in MB or with a unit.",
)
@click.option("--enable-implicit-threading", is_flag=True, help="Let libraries start threads of their own.")
@click.option("--debug", is_flag=True, help="Import the module 'debug' first (lsstDebug).")
@click.option(
    "--pdb",
    "debugger",
    is_flag=False,
    flag_value="pdb",
    metavar="[MODULE]",
    help="Enter a debugger at the line that failed.",
)
@click.option(
    "--plan",
    metavar="FILE",
    callback=_new_file,
    help="With --mode dry-run: write the plan to FILE, a JSON object a line.",
)
@click.option(
    "--summary",
    metavar="FILE",
    callback=_new_file,
    help="Write what became of each quantum to FILE, as JSON.",
)
@click.pass_obj
def command(logs: LogOptions | None, /, **options: Any) -> int:
    """Execute a quantum graph.

    Quanta run as soon as what they need is there, those first that complete what is begun.  Progress is shown while
    they run, and a report at the end, with the command that runs any failed quantum alone.
    """
    executor = _executor(options)
    executor.prepare()
    (logs or LogOptions()).apply()
    from ..graph_executor import QuantumGraphExecutor

    sink = _progress(logs or LogOptions(), options)
    graph_executor = QuantumGraphExecutor(executor, options["butler_config"], _run_options(options), [sink])
    summary = graph_executor.execute(options["qgraph"])
    _report(summary, options)
    return summary.exit_code


def _executor(options: dict[str, Any]) -> QuantumExecutor:
    from ..executors import ExecutorOptions, find_executor

    serial = options["processes"] == 1 and options["timeout"] is None
    mode = options["mode"] or ("in-process" if serial else "multiprocess")
    if options["plan"] and mode != "dry-run":
        raise click.UsageError("--plan goes with --mode dry-run.")
    return find_executor(mode).from_options(
        ExecutorOptions(
            processes=options["processes"],
            start_method=options["start_method"],
            debugger=options["debugger"],
            implicit_threads=options["enable_implicit_threading"],
            plan=options["plan"],
        )
    )


def _run_options(options: dict[str, Any]) -> RunOptions:
    from ..graph_executor import QuantumOptions, RunOptions
    from ..registry.output_collections import OutputOptions
    from ..registry.pre_update import PreUpdate, PreUpdateOptions
    from ..runner.spec import OutputButler

    names = ("output", "output_run", "inputs", "extend_run", "replace_run", "prune_replaced", "rebase")
    return RunOptions(
        collections=OutputOptions(**{name: options[name] for name in names}),
        pre_update=PreUpdateOptions(
            when=PreUpdate(options["registry_pre_update"]),
            register_dataset_types=options["register_dataset_types"],
            skip_init_writes=options["skip_init_writes"],
            no_versions=options["no_versions"],
        ),
        quantum=QuantumOptions(
            timeout=options["timeout"],
            raise_on_partial_outputs=options["raise_on_partial_outputs"],
            clobber_outputs=options["clobber_outputs"],
            cores=options["cores_per_quantum"],
            memory=options["memory_per_quantum"],
            debug=options["debug"],
            implicit_threads=options["enable_implicit_threading"],
            output_butler=OutputButler(options["output_butler"]) if options["output_butler"] else None,
        ),
        fail_fast=options["fail_fast"],
        init_only=options["init_only"],
        quantum_ids=options["quantum_ids"],
    )


def _progress(logs: LogOptions, options: dict[str, Any]) -> Sink:
    from rich.console import Console

    from ..observe.progress import LineProgress, TableProgress
    from ..observe.sink import Sink
    from ..settings import Settings

    if options["debugger"]:
        return Sink()  # the terminal belongs to the debugger
    console = Console(stderr=True)
    return (
        TableProgress(console)
        if console.is_terminal and not logs.tty
        else LineProgress(sys.stderr, Settings.load().progress["interval"])
    )


def _report(summary: RunSummary, options: dict[str, Any]) -> None:
    from rich.console import Console

    from ..observe.report import print_report
    from ..observe.summary_file import write_summary

    print_report(Console(stderr=True), summary, options["butler_config"], options["qgraph"])
    if options["summary"]:
        write_summary(summary, options["qgraph"], options["summary"], sys.argv)
