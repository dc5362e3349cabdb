"""Show what would be removed, ask, and remove it: what `purge` and `cleanup` have in common."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TypeAlias

import click

from ..errors import PipetaskError

if TYPE_CHECKING:
    from ..repository.removal import Removal, RemovalPlan

__all__ = ["Rows", "confirm_and_remove"]

Rows: TypeAlias = "Callable[[RemovalPlan], dict[str, tuple[str, ...]]]"
"""Sorts what is in a plan into titled rows."""


def confirm_and_remove(config: str, removal: Removal, rows: Rows, *, ask: bool) -> int:
    """Remove collections.

    Parameters
    ----------
    config
        The repository.
    removal
        The rule that says which.
    rows
        How they are shown.
    ask
        Whether somebody has to agree.

    Returns
    -------
    exit_code
        0, also if somebody does not agree.
    """
    from ..repository.access import open_repository
    from ..repository.removal import carry_out

    with open_repository(config, writeable=False) as butler:
        plan = removal.plan(butler)
    for spared in plan.spared:
        click.echo(f"{_shown(spared.name)} stays: {spared.reason}.", err=True)
    if not plan.collections:
        click.echo("Did not find any collections to remove.")
        return 0
    if ask:
        _show("Will remove:", plan, rows)
        if not _agreed():
            click.echo("Aborted.")
            return 0
    with open_repository(config, writeable=True, room=0) as butler:
        carry_out(removal, plan, butler)
    if ask:
        click.echo("Done.")
    else:
        _show("Removed:", plan, rows)
    return 0


def _show(title: str, plan: RemovalPlan, rows: Rows) -> None:
    click.echo(title)
    for line in _lines(rows(plan)):
        click.echo(line)
    for name in plan.thinned:
        click.echo(f"{_shown(name)} loses datasets that are in these runs.", err=True)


def _lines(rows: dict[str, tuple[str, ...]]) -> Iterator[str]:
    for title, names in rows.items():
        yield f"  {title}: {', '.join(_shown(name) for name in names)}"


def _shown(name: str) -> str:
    """Return a name such that nobody takes it for several, or for something else on the screen."""
    plain = name.isprintable() and not set(name) & set(" ,'\"")
    return name if plain else repr(name)


def _agreed() -> bool:
    nobody = PipetaskError(
        "Nothing is removed: nobody can answer, as standard input is closed; --no-confirm removes without asking."
    )
    if sys.stdin is None:
        raise nobody
    try:
        return click.confirm("Continue?", default=False)
    except click.Abort as abort:
        click.echo()
        if isinstance(abort.__context__, EOFError):
            raise nobody from abort
        raise
