"""Show where a run stands."""

from __future__ import annotations

from itertools import islice

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ..observe.progress_table import duration
from ..text import visible
from .status import NodeState, RunPhase, RunStatus

__all__ = ["count_table", "remarks", "status_line", "status_table"]

MOST = 20
"""Held and failed nodes that are named."""

_STYLES = {
    NodeState.WAITING: "",
    NodeState.IDLE: "yellow",
    NodeState.RUNNING: "cyan",
    NodeState.DONE: "green",
    NodeState.FAILED: "bold red",
    NodeState.BLOCKED: "red",
    NodeState.CANCELLED: "yellow",
    NodeState.HELD: "bold yellow",
}
_OF_QUEUES = (NodeState.IDLE, NodeState.HELD)
_PHASES = {
    RunPhase.SUCCEEDED: "bold green",
    RunPhase.FAILED: "bold red",
    RunPhase.HELD: "bold yellow",
    RunPhase.DIED: "bold red",
}


def status_table(status: RunStatus) -> RenderableType:
    """Return a table of labels and states, the reasons of holds, and one line that says it all."""
    return Group(count_table(status), *remarks(status), status_line(status))


def count_table(status: RunStatus) -> Table:
    """Return a table of labels and states."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("task", no_wrap=True)
    total = status.total
    # On one machine there is no queue, in which quanta could be idle or held.
    states = [state for state in _STYLES if status.nodes or state not in _OF_QUEUES]
    if not total[NodeState.CANCELLED]:
        states.remove(NodeState.CANCELLED)
    for state in states:
        table.add_column(state.value, justify="right", style=_STYLES[state])
    for label, counts in status.counts.items():
        table.add_row(label, *(str(counts[state] or "") for state in states))
    if len(status.counts) > 1:
        table.add_section()
        table.add_row("all", *(str(total[state] or "") for state in states), style="bold")
    return table


def remarks(status: RunStatus) -> list[Text]:
    """Return lines about what needs attention."""
    lines = [
        Text(f"{hold.node} is held{' for a while' if hold.passes else ''}: {hold.reason}", style="yellow")
        for hold in status.holds[:MOST]
    ]
    if len(status.holds) > MOST:
        lines.append(
            Text(f"… and {len(status.holds) - MOST} more are held; --json names all", style="yellow")
        )
    if status.failed:
        more = f" and {len(status.failed) - MOST} more" if len(status.failed) > MOST else ""
        lines.append(Text(f"failed: {', '.join(status.failed[:MOST])}{more}", style="red"))
    for name, reason in islice(status.reasons.items(), MOST):
        lines.append(Text(f"{name} never got into the queue: {reason}", style="red"))
    if lost := status.disconnected:
        lines.append(
            Text(
                f"{len(lost)} jobs (such as {lost[0]}) wait for machines that do not answer; each starts again when "
                "its lease has ended (job_lease_duration)",
                style="yellow",
            )
        )
    if status.unregistered is not None:
        lines.append(
            Text(
                f"What is done has not been registered: {status.unregistered}  Put that right, and use pipetask "
                "restart, or run-node with the node 'final'.",
                style="bold red",
            )
        )
    return [*lines, *(Text(visible(note), style="yellow") for note in status.notes)]


def status_line(status: RunStatus) -> Text:
    """Return one line on the whole run."""
    counted, what = (status.nodes, "nodes") if status.nodes else (status.total, "quanta")
    numbers = ", ".join(f"{number} {state.value}" for state in _STYLES if (number := counted[state]))
    parts = [f"{status.phase.value}: {what} {numbers}" if numbers else status.phase.value]
    if status.rate:
        parts.append(f"{status.rate:.3g} quanta/s")
    if status.seconds_left is not None:
        parts.append(f"{duration(status.seconds_left)} left")
    return Text(", ".join(parts), style=_PHASES.get(status.phase, "bold"))
