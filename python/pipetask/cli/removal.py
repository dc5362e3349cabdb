"""List collections, ask, and remove them: code shared by `purge` and `cleanup`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TypeAlias

import click

from ..errors import PipetaskError
from .interrupted import note

if TYPE_CHECKING:
    from ..repository.removal import Removal, RemovalPlan

__all__ = ["Rows", "confirm_and_remove"]

Rows: TypeAlias = "Callable[[RemovalPlan], dict[str, tuple[str, ...]]]"
"""Returns the collections of a plan in titled rows."""


def confirm_and_remove(config: str, removal: Removal, rows: Rows, *, ask: bool) -> int:
    """Remove collections.

    Parameters
    ----------
    config
        The repository.
    removal
        The rule for which collections to remove.
    rows
        How they are listed.
    ask
        Whether to ask for confirmation.

    Returns
    -------
    exit_code
        0, also if the user declines.
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
    note("what was removed stays removed")
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
    """Return a name with quotes if it could be mistaken for several names or for other text."""
    plain = name.isprintable() and not set(name) & set(" ,'\"")
    return name if plain else repr(name)


def _agreed() -> bool:
    unanswered = PipetaskError(
        "Nothing is removed: standard input is closed, so the question cannot be answered; --no-confirm removes "
        "without asking."
    )
    if sys.stdin is None:
        raise unanswered
    try:
        return click.confirm("Continue?", default=False)
    except click.Abort as abort:
        click.echo()
        if isinstance(abort.__context__, EOFError):
            raise unanswered from abort
        raise
