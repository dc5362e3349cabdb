"""Options whose relative order matters: the edits of a pipeline."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import click

from ..options.declaration import Declared, Edit, Edits
from .option_files import EDITS
from .parameters import edit_name, split_value

__all__ = ["edits_given", "note_edits"]


def note_edits(
    ctx: click.Context,
    options: Iterable[Declared],
    values: Mapping[str, Any],
    order: Iterable[click.Parameter],
) -> None:
    """Record the order of the edits.

    Parameters
    ----------
    ctx
        The command's context, where they are recorded.
    options
        The command's options.
    values
        Texts from the command line, by name of the parameter.
    order
        The parameters in the order of the command line.
    """
    kinds = {
        edit_name(each, kind): (each, kind)
        for each in options
        if isinstance(each.option, Edits)
        for kind in each.option.kinds
    }
    given = {name: iter(values.get(name) or ()) for name in kinds}
    noted: dict[str, list[tuple[Edit, str]]] = ctx.meta.setdefault(EDITS, {})
    for parameter in order:
        if parameter.name in kinds and (text := next(given[parameter.name], None)) is not None:
            each, kind = kinds[parameter.name]
            noted.setdefault(each.name, []).append((kind, text))


def edits_given(ctx: click.Context, each: Declared) -> tuple[Any, ...]:
    """Return edits from files, then those of the command line, each in their order."""
    assert isinstance(each.option, Edits)
    by_flag = {flag.lstrip("-"): kind for kind in each.option.kinds for flag in kind.flags}
    listed = [(by_flag[name], text) for name, text in (ctx.default_map or {}).get(each.name, ())]
    listed += ctx.meta.get(EDITS, {}).get(each.name, [])
    return tuple(_parsed(kind, part, ctx) for kind, text in listed for part in split_value(text, kind))


def _parsed(kind: Edit, text: str, ctx: click.Context) -> Any:
    try:
        return kind.parse(text)
    except ValueError as error:
        raise click.UsageError(f"Invalid value for {kind.flags[0]}: {error}.", ctx) from error
