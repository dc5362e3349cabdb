"""The submit description of one kind of jobs."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..graph_parts import FOLDER as PARTS
from ..job_settings import passed_on
from ..node_commands import job_arguments
from .configuration import JobSettings
from .memory import memory_request, policy
from .quoting import Macro, arguments, attribute, environment, expression, submit_command, value

__all__ = ["RUN_ATTRIBUTE", "JobKind", "description", "environment_for", "submit_commands"]

RUN_ATTRIBUTE = "PipetaskRun"
"""Job attribute with the id of the run."""

_FILES = ("run.json", "recipe.pickle", f"{PARTS}/$(part)/")
"""What a job needs where it does not see the run directory; of a folder with a slash, HTCondor brings what is in it."""


@dataclass(frozen=True)
class JobKind:
    """Jobs that share a submit description."""

    name: str
    """Of the description, in the DAG."""

    labels: tuple[str, ...]
    """The tasks they run; none for the first and the final job."""

    node: str | None
    """The node's name where there is only one; else each node tells its own in the macro ``node``, and its part of the
    graph in the macro ``part``."""

    settings: JobSettings


def submit_commands(
    kind: JobKind, run_directory: Path, run_id: str, variables: Mapping[str, str]
) -> Iterator[tuple[str, str]]:
    """Yield the submit commands of a kind of jobs.

    Parameters
    ----------
    kind
        The jobs.
    run_directory
        Where the run directory will be.
    run_id
        The run's id, which becomes an attribute of each job.
    variables
        Environment variables.

    Raises
    ------
    UsageError
        If a setting cannot be put so that HTCondor understands it.
    """
    settings, node = kind.settings, kind.node or Macro("$(node)")
    transfer = settings.file_system == "transfer"
    yield "universe", settings.universe
    yield "executable", value(settings.python or sys.executable, "the interpreter")
    yield "arguments", arguments(job_arguments(".", node, settings.request_cpus))
    yield "initialdir", value(str(run_directory), "the run directory")
    yield "output", f"logs/{node}.$(Cluster).out"
    yield "error", f"logs/{node}.$(Cluster).err"
    yield "environment", environment(variables)
    yield "transfer_executable", "False"
    yield "should_transfer_files", "YES" if transfer else "NO"
    if transfer:
        yield "transfer_input_files", ", ".join(_FILES)
        yield "transfer_output_files", "outcomes"
        yield "when_to_transfer_output", "ON_EXIT_OR_EVICT"
    yield from _requests(settings)
    if settings.universe != "local":
        yield "job_lease_duration", str(settings.job_lease_duration)
    yield from policy(settings).items()
    yield from _standing(settings)
    yield f"My.{RUN_ATTRIBUTE}", attribute(run_id)
    if kind.labels:
        yield "My.PipetaskLabels", attribute(" ".join(", ".join(kind.labels).split()))  # no line breaks
    for name, text in settings.attributes.items():
        yield expression(name, text)
    for name, text in settings.submit.items():
        yield submit_command(name), value(text, f"submit command {name}")


def description(commands: Mapping[str, str]) -> Iterator[str]:
    """Yield the lines of a submit description."""
    yield from (f"{name} = {text}" for name, text in commands.items())
    yield "queue"


def environment_for(settings: JobSettings, environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment variables of jobs: those that are passed on, and those that are set."""
    return passed_on(settings.pass_environment, environ) | dict(settings.environment)


def _requests(settings: JobSettings) -> Iterator[tuple[str, str]]:
    yield "request_cpus", str(settings.request_cpus)
    yield "request_memory", memory_request(settings)
    yield "request_disk", f"{settings.request_disk}MB"
    if settings.universe == "local":
        return  # the access point runs it itself: on no other machine, in no slot, and in no container
    if settings.request_gpus:
        yield "request_gpus", str(settings.request_gpus)
    if settings.requirements:
        yield "requirements", value(settings.requirements, "requirements")
    if settings.container_image:
        yield "container_image", value(settings.container_image, "container_image")
        if settings.file_system == "shared":  # of the image, too, nothing is to be transferred
            yield "transfer_container", "False"


def _standing(settings: JobSettings) -> Iterator[tuple[str, str]]:
    """Yield what decides whose job comes first."""
    names: Sequence[str] = ("accounting_group", "accounting_group_user", "concurrency_limits")
    for name in names:
        if text := getattr(settings, name):
            yield name, value(str(text), name)
    if settings.priority:
        yield "priority", str(settings.priority)
