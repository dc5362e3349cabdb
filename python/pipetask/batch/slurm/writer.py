"""Write what Slurm needs for a run, and check before that it takes the settings."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from ...errors import PipetaskError
from ..index import NodeIndex
from ..job_settings import passed_on
from ..names import FINAL, FIRST, plain_name
from ..system import RunPlan
from .arrays import Nodes, single
from .client import SlurmUnknownError, call, scrubbed
from .configuration import JobSettings, SlurmConfiguration
from .job_script import submit_options
from .layout import ASKED, Layout, RunRecord
from .limits import Limits
from .planning import Plan, demand_of, make_round
from .round import write_round

__all__ = ["check_run", "write_run"]


def check_run(configuration: SlurmConfiguration, labels: Sequence[str]) -> None:
    """Refuse, before anything is touched, what Slurm would not take.

    Parameters
    ----------
    configuration
        The settings.
    labels
        The labels of the graph.

    Raises
    ------
    PipetaskError
        If Slurm does not answer, or does not take the settings of a kind of jobs.
    """
    # Each task by itself: what jobs of several ask for is known when quanta are packed.
    kinds = [(f"task {label!r}", configuration.for_labels([label])) for label in labels]
    kinds += [(f"the {node} node", configuration.for_node(node)) for node in (FIRST, FINAL)]
    asked: set[tuple[str, ...]] = set()
    for name, settings in kinds:
        words = tuple(_trial(settings))
        if words in asked:
            continue
        asked.add(words)
        try:
            call("sbatch", words, patience=configuration.run.patience)
        except SlurmUnknownError:
            raise
        except PipetaskError as error:
            raise PipetaskError(
                f"Jobs of {name} cannot be submitted: {error}  Change the settings (--slurm, --slurm-config), or "
                "write the run with --no-submit."
            ) from error


def _trial(settings: JobSettings) -> list[str]:
    array = single(FINAL, 0, 0, (), demand_of(settings))
    placed = ("--chdir=", "--output=", "--error=", "--open-mode=")
    options = [word for word in submit_options(array, settings, Path("/")) if not word.startswith(placed)]
    return ["--test-only", *options, "--wrap=true"]


def write_run(configuration: SlurmConfiguration, plan: RunPlan) -> None:
    """Write the settings, and the scripts of the first round.

    Parameters
    ----------
    configuration
        The settings.
    plan
        The run.
    """
    layout = Layout(plan.draft)
    layout.logs.mkdir(parents=True)
    (layout.folder / ASKED).mkdir()
    layout.configuration.write_text(configuration.dump(), encoding="utf-8")
    with NodeIndex(plan.draft / "index.sqlite") as index:
        nodes = Nodes(index)
    record = RunRecord(
        plan.id,
        configuration.run.name or f"{plain_name(plan.path.name)}-{plan.id[:8]}",
        plan.first,
        _environment(configuration, nodes),
    )
    layout.write_record(record)
    demands = {
        name: demand_of(configuration.for_labels(labels))
        for name, labels in zip(nodes.names, nodes.labels, strict=True)
    }
    new = make_round(
        nodes, configuration, Limits.of(configuration.run), Plan(1, True, demands, {}, (), plan.first)
    )
    write_round(layout, plan.path, configuration, record, new)


def _environment(configuration: SlurmConfiguration, nodes: Nodes) -> dict[str, str]:
    """Return the variables of this process that any job gets."""
    kinds = [configuration.for_labels(labels) for labels in nodes.kinds()]
    kinds += [configuration.for_node(node) for node in (FIRST, FINAL)]
    patterns = {pattern for settings in kinds for pattern in settings.pass_environment}
    return scrubbed(passed_on(sorted(patterns), os.environ))
