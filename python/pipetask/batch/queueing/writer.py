"""Write what a queueing system needs for a run, and check before that it takes the settings."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from ...errors import PipetaskError
from ..index import NodeIndex
from ..job_settings import passed_on
from ..names import FINAL, FIRST, plain_name
from ..system import RunPlan
from .arrays import Nodes
from .client import QueueUnknownError
from .configuration import QueueConfiguration
from .dialect import Dialect
from .layout import ASKED, Layout, RunRecord
from .pilot_rounds import write_first_round
from .planning import Plan, demand_of, make_round
from .round import write_round
from .told import TOLD

__all__ = ["check_run", "write_run"]


def check_run(system: Dialect[Any], configuration: QueueConfiguration[Any], labels: Sequence[str]) -> None:
    """Refuse, before anything is touched, what the system would not take.

    Parameters
    ----------
    system
        Is asked.
    configuration
        The settings.
    labels
        The labels of the graph.

    Raises
    ------
    PipetaskError
        If it does not answer, or does not take the settings of a kind of jobs.
    """
    option = configuration.shape.option
    # Each task by itself: what jobs of several ask for is known when quanta are packed.
    kinds = [(f"task {label!r}", configuration.for_labels([label])) for label in labels]
    kinds += [(f"the {node} node", configuration.for_node(node)) for node in (FIRST, FINAL)]
    asked: list[object] = []
    for name, settings in kinds:
        if settings in asked:
            continue
        asked.append(settings)
        try:
            system.try_settings(settings, configuration.run.patience)
        except QueueUnknownError:
            raise
        except PipetaskError as error:
            raise PipetaskError(
                f"Jobs of {name} cannot be submitted: {error}  Change the settings ({option}, {option}-config), or "
                "write the run with --no-submit."
            ) from error


def write_run(system: Dialect[Any], configuration: QueueConfiguration[Any], plan: RunPlan) -> None:
    """Write the settings, and the scripts of the first round.

    Parameters
    ----------
    system
        Writes scripts.
    configuration
        The settings.
    plan
        The run.
    """
    layout = Layout(plan.draft, configuration.shape.whole)
    layout.logs.mkdir(parents=True)
    (layout.folder / ASKED).mkdir()
    layout.configuration.write_text(configuration.dump(), encoding="utf-8")
    with NodeIndex(plan.draft / "index.sqlite") as index:
        nodes = Nodes(index)
        if configuration.run.pilots:
            write_first_round(plan.draft, index, configuration)
    record = RunRecord(
        plan.id,
        configuration.run.name or _name(system, plan),
        plan.first,
        _environment(system, configuration, nodes),
    )
    layout.write_record(record)
    demands = {
        name: demand_of(configuration.for_labels(labels))
        for name, labels in zip(nodes.names, nodes.labels, strict=True)
    }
    limits = system.shipped_limits.lowered(configuration.run)
    new = make_round(nodes, configuration, limits, Plan(1, True, demands, {}, (), plan.first))
    write_round(system, layout, plan.path, configuration, record, new)


def _name(system: Dialect[Any], plan: RunPlan) -> str:
    """Return what the run's jobs are called."""
    name, id = plain_name(plan.path.name), plan.id[:8]
    if system.longest_name is not None:
        name = f"r{name}"[: system.longest_name - len(id) - 1]  # some take no digit first
    return f"{name}-{id}"


def _environment(
    system: Dialect[Any], configuration: QueueConfiguration[Any], nodes: Nodes
) -> dict[str, str]:
    """Return the variables of this process that any job gets."""
    kinds = [configuration.for_labels(labels) for labels in nodes.kinds()]
    kinds += [configuration.for_node(node) for node in (FIRST, FINAL)]
    patterns = {pattern for settings in kinds for pattern in settings.pass_environment}
    passed = system.client.scrubbed(passed_on(sorted(patterns), os.environ))
    # What a job was told says nothing about the jobs that it submits.
    return {name: text for name, text in passed.items() if name not in TOLD}
