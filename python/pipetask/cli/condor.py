"""`pipetask condor`."""

from __future__ import annotations

from dataclasses import asdict

import yaml

from ..batch.condor.configuration import CondorConfiguration, JobSettings
from ..batch.condor.layout import Layout
from ..batch.names import FINAL, FIRST
from ..batch.run_directory import RunDirectory
from ..errors import UsageError, did_you_mean
from ..options.commands.batch import CondorCommand
from .command import Invocation

__all__ = ["run"]


def run(invocation: Invocation) -> int:
    """Show settings."""
    options: CondorCommand = invocation.options
    print(yaml.safe_dump(_plain(_settings(options)), sort_keys=False, allow_unicode=True), end="")
    return 0


def _settings(options: CondorCommand) -> JobSettings:
    path, labels = options.settings.condor_config, None
    if options.run_dir is not None:
        directory = RunDirectory(options.run_dir)
        path, labels = str(Layout(directory.path).configuration), list(directory.facts.labels)
        if options.label not in (*labels, FIRST, FINAL):
            raise UsageError(
                f"{options.run_dir} has no task {options.label!r}{did_you_mean(options.label, labels)}"
            )
    configuration = CondorConfiguration.load(path, options.settings.condor, labels)
    if options.label in (FIRST, FINAL):
        return configuration.for_node(options.label)
    return configuration.for_labels([options.label])


def _plain(settings: JobSettings) -> dict[str, object]:
    return {
        key: list(value) if isinstance(value, tuple) else value for key, value in asdict(settings).items()
    }
