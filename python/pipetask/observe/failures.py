"""Group failures that are alike, and print each group once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import TypeAlias

from rich.console import Console
from rich.text import Text

from ..outcome import NOT_CLOBBERED, QuantumOutcome
from ..text import visible
from .facts.errors import pattern
from .summary import RunSummary

__all__ = ["RunAlone", "grouped", "print_failures", "what_failed"]

RunAlone: TypeAlias = Callable[[object], str]
"""Returns the command that runs only the quantum with a given UUID."""

MOST_BLOCKS = 20
"""Number of groups that are printed; the summary file has all failures."""

MOST_DATA_IDS = 3
"""Number of data IDs that are named of a group."""


def grouped(summary: RunSummary) -> list[list[QuantumOutcome]]:
    """Return the failures in groups: of one task, with one status, exception type and pattern of the message."""
    groups: dict[object, list[QuantumOutcome]] = {}
    for outcome in summary.failed:
        error = outcome.error
        kind = error.type_name if error is not None else None
        key = (
            summary.graph.label(outcome.id),
            outcome.status,
            kind,
            pattern(what_failed(outcome)),
        )
        groups.setdefault(key, []).append(outcome)
    return list(groups.values())


def print_failures(console: Console, summary: RunSummary, run_alone: RunAlone) -> None:
    """Print each group of failures, with a command that runs only its first quantum.

    Parameters
    ----------
    console
        Where to print.
    summary
        The summary of the run.
    run_alone
        Returns the command that runs only the quantum with a given UUID.
    """
    groups = grouped(summary)
    blocked_by = Counter(outcome.blocked_by for outcome in summary.outcomes)
    for group in groups[:MOST_BLOCKS]:
        console.print()
        console.print(Text(_heading(summary, group), style="bold red"), soft_wrap=True)
        for line in _details(summary, group):
            console.print(Text(f"  {line}"), soft_wrap=True)
        if blocked := sum(blocked_by[outcome.id] for outcome in group):
            console.print(Text(f"  {_blocks(blocked, len(group))}", style="yellow"))
        command = run_alone(summary.graph.quantum_id(group[0].id))
        which = "it" if len(group) == 1 else "the first"
        console.print(Text(f"  run {which} alone: {command}"), soft_wrap=True)
    if left := sum(map(len, groups[MOST_BLOCKS:])):
        console.print(f"… and {left} more failures; --summary FILE lists all.")


def _heading(summary: RunSummary, group: list[QuantumOutcome]) -> str:
    first = group[0]
    if len(group) == 1:
        return f"{summary.graph.describe(first.id)} {first.status.value}"
    return f"{summary.graph.label(first.id)}: {len(group)} quanta {first.status.value}"


def _details(summary: RunSummary, group: list[QuantumOutcome]) -> Iterator[str]:
    first = group[0]
    alike = len({what_failed(outcome) for outcome in group}) == 1
    yield what_failed(first) if alike else f"{what_failed(first)} (the first; the others are alike)"
    if len(group) > 1:
        yield _data_ids(summary, group)
    if first.error is not None and first.reason not in (None, NOT_CLOBBERED):
        yield visible(first.reason or "")
    if first.log is not None:
        yield f"log{' of the first' if len(group) > 1 else ''}: {visible(first.log)}"
    for before in first.earlier:
        yield _attempt(before)


def _data_ids(summary: RunSummary, group: list[QuantumOutcome]) -> str:
    label = summary.graph.label(group[0].id)
    shown = [
        summary.graph.describe(outcome.id).removeprefix(f"{label} ") for outcome in group[:MOST_DATA_IDS]
    ]
    more = len(group) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")


def _blocks(number: int, failures: int) -> str:
    needy = "quantum that needs" if number == 1 else "quanta that need"
    return f"blocks {number} {needy} {'it' if failures == 1 else 'them'}"


def _attempt(outcome: QuantumOutcome) -> str:
    """Return one line about an attempt that was not the last."""
    log = f"; log: {visible(outcome.log)}" if outcome.log is not None else ""
    return f"attempt {outcome.attempt} {outcome.status.value}: {what_failed(outcome)}{log}"


def what_failed(outcome: QuantumOutcome) -> str:
    """Return in one line what went wrong."""
    error = outcome.error
    if error is None or (outcome.reason == NOT_CLOBBERED and "existingRefs=" in error.message):
        # pipe_base lists all datasets of the quantum; that they are registered is all there is to say.
        return _shorten(outcome.reason or "")
    return _shorten(f"{error.type_name}: {error.message}")


def _shorten(text: str) -> str:
    lines = text.strip().splitlines() or [""]
    more = f" (+{len(lines) - 1} lines)" if len(lines) > 1 else ""
    return visible(lines[0][:500]) + more
