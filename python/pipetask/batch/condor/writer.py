"""Write what HTCondor needs for a run: the DAG, and the submit description of each kind of jobs."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from ...errors import PipetaskError
from ..bundling import Node
from ..names import FINAL, FIRST, plain_name
from ..system import RunPlan
from .bindings import schedd
from .configuration import CondorConfiguration, JobSettings
from .dag_text import DagText
from .descriptions import called, commands_of, write
from .layout import Layout
from .quoting import attribute
from .rehearsal import rehearse
from .slots import check_requests, largest_slots
from .submit_description import RUN_ATTRIBUTE, JobKind

__all__ = ["check_run", "write_run"]


def check_run(configuration: CondorConfiguration, labels: Sequence[str], path: Path, *, submit: bool) -> None:
    """Refuse, before anything is touched, what HTCondor could not do.

    Parameters
    ----------
    configuration
        The settings.
    labels
        The labels of the graph.
    path
        Where the run directory will be.
    submit
        Whether the run will be submitted.

    Raises
    ------
    PipetaskError
        If HTCondor does not answer or does not take a setting, or if the place will not do.
    """
    if submit:
        schedd()
        _check_place(path)
    # Each task by itself: what jobs of several ask for is known when quanta are packed.
    kinds = [JobKind(label, (label,), None, configuration.for_labels([label])) for label in labels]
    kinds += [JobKind(name, (), name, configuration.for_node(name)) for name in (FIRST, FINAL)]
    for kind in kinds:
        commands = commands_of(kind, path, "")
        if submit:
            rehearse(called(kind), commands)
    if submit:
        check_requests(_requests(kinds), largest_slots())


def write_run(configuration: CondorConfiguration, plan: RunPlan) -> None:
    """Write the DAG of a run and all that belongs to it.

    Parameters
    ----------
    configuration
        The settings.
    plan
        The run.
    """
    draft, nodes = Layout(plan.draft), plan.nodes
    draft.folder.mkdir()
    kinds = list(_kinds(nodes.nodes, configuration, first=plan.first))
    write(draft, plan.path, kinds, configuration, plan.id)
    text = DagText(
        nodes.nodes,
        {kind.labels: kind.name for kind in kinds if kind.labels},
        {RUN_ATTRIBUTE: attribute(plan.id)},
        plan.first,
        plan.shared,
        f"{nodes.explain()}; written by pipetask",
        plan.parts,
    )
    with draft.dag.open("w", encoding="utf-8") as out:
        out.writelines(f"{line}\n" for line in text.lines())


def _kinds(nodes: Iterable[Node], configuration: CondorConfiguration, *, first: bool) -> Iterator[JobKind]:
    for number, labels in enumerate(sorted({node.labels for node in nodes})):
        name = f"kind{number}_{plain_name('+'.join(labels))}"
        yield JobKind(name, labels, None, configuration.for_labels(labels))
    if first:
        yield JobKind(FIRST, (), FIRST, configuration.for_node(FIRST))
    yield JobKind(FINAL, (), FINAL, configuration.for_node(FINAL))


def _requests(kinds: Iterable[JobKind]) -> Iterator[tuple[str, JobSettings]]:
    for kind in kinds:
        yield called(kind), kind.settings


def _check_place(path: Path) -> None:
    """Refuse a folder where DAGMan would not keep its log, or would not find it."""
    if re.search(r"\$\w*\(|\$\$", str(path)):
        raise PipetaskError(
            f"Run directory {path} has '$(' or '$$' in its name, which DAGMan takes for a macro: name another with "
            "--run-dir."
        )
    if Path(os.path.realpath(path)).is_relative_to("/tmp"):
        raise PipetaskError(
            f"Run directory {path} is in /tmp, where DAGMan refuses to keep logs: name another with --run-dir."
        )
