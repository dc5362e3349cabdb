"""The submit files of a run: written with the run, and again at each restart.

So changed settings apply to the rest of the run, and a run directory may be moved.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from ...errors import PipetaskError
from ..job_settings import passed_on
from ..run_directory import RunDirectory
from .configuration import CondorConfiguration
from .dag_text import NO_JOB
from .layout import Layout
from .rehearsal import rehearse
from .slots import named
from .submit_description import JobKind, description, environment_for, submit_commands

__all__ = ["called", "commands_of", "rewrite", "write"]

_NO_JOB = {"executable": "/bin/true", "universe": "local"}


def called(kind: JobKind) -> str:
    """Return the name of a kind of jobs for messages."""
    return named(kind.labels) if kind.labels else f"the {kind.node} node"


def commands_of(
    kind: JobKind, run_directory: Path, run_id: str, environ: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Return the submit commands of a kind of jobs."""
    variables = environment_for(kind.settings, environ)
    return dict(submit_commands(kind, run_directory, run_id, variables))


def write(
    layout: Layout,
    run_directory: Path,
    kinds: Sequence[JobKind],
    configuration: CondorConfiguration,
    run_id: str,
) -> None:
    """Write what depends on the settings of a run.

    Parameters
    ----------
    layout
        Where to write.
    run_directory
        Where the run directory will be.
    kinds
        The kinds of jobs there are.
    configuration
        The settings.
    run_id
        The run's id.
    """
    layout.configuration.write_text(configuration.dump())
    environ = {
        name: text for kind in kinds for name, text in passed_on(kind.settings.pass_environment).items()
    }
    listed = [[kind.name, kind.labels, kind.node, kind.settings.file_system] for kind in kinds]
    layout.kinds.write_text(json.dumps({"kinds": listed, "environment": environ}, indent=1))
    _write(layout, {kind.name: commands_of(kind, run_directory, run_id) for kind in kinds}, configuration)


def rewrite(directory: RunDirectory, configuration: CondorConfiguration) -> None:
    """Write them again for a restart, with the present settings and location.

    Environment variables keep the values that they had when the run was written.

    Raises
    ------
    PipetaskError
        If HTCondor does not take the settings, or if jobs cannot follow them; then all is as before.
    """
    layout = Layout(directory.path)
    content = json.loads(layout.kinds.read_text())
    kinds = list(_kinds(content["kinds"], configuration))
    environ = {**os.environ, **content["environment"]}
    commands = {kind.name: commands_of(kind, directory.path, directory.facts.id, environ) for kind in kinds}
    for kind in kinds:
        rehearse(called(kind), commands[kind.name])
    _write(layout, commands, configuration)
    recipe = directory.recipe()
    retries = configuration.retried_in_jobs(recipe.retries, directory.facts.labels)
    if retries != recipe.retries:
        directory.write_recipe(replace(recipe, retries=retries))


def _kinds(listed: Sequence[Sequence[object]], configuration: CondorConfiguration) -> Iterator[JobKind]:
    for name, labels, node, file_system in listed:
        settings = configuration.for_node(str(node)) if node else configuration.for_labels(list(labels))  # type: ignore[call-overload]
        kind = JobKind(str(name), tuple(labels), str(node) if node else None, settings)  # type: ignore[arg-type]
        if settings.file_system != file_system:
            raise PipetaskError(
                f"Jobs of {called(kind)} were written for file_system {file_system}, which a restart cannot change: "
                "put that back, or write the run again (--run-dir, --extend-run)."
            )
        yield kind


def _write(
    layout: Layout, commands: Mapping[str, Mapping[str, str]], configuration: CondorConfiguration
) -> None:
    settings = configuration.dagman.settings
    layout.dagman_config.write_text("".join(f"{name} = {text}\n" for name, text in settings.items()))
    for name, each in {**commands, NO_JOB: _NO_JOB}.items():
        path = layout.description(name)
        draft = path.with_suffix(".new")
        draft.write_text("".join(f"{line}\n" for line in description(each)), encoding="utf-8")
        draft.rename(path)
