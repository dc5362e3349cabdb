"""Make click parameters from declared options."""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Iterator
from dataclasses import MISSING
from pathlib import Path
from typing import Any, TypeGuard

import click

from ..options.declaration import Declared, Edit, Edits, Option, item_type
from .completers import complete

__all__ = ["SHOWN", "edit_name", "is_argument", "parameter_names", "parameters", "split_value"]


def parameter_names(each: Declared) -> list[str]:
    """Return the names of the parameters of an option."""
    if isinstance(each.option, Edits):
        return [edit_name(each, kind) for kind in each.option.kinds]
    return [each.name]


def edit_name(each: Declared, kind: Edit) -> str:
    """Return the name of the parameter for one kind of edit."""
    return f"{each.name}_{kind.flags[-1].lstrip('-').replace('-', '_')}"


def parameters(each: Declared) -> Iterator[click.Parameter]:
    """Make the parameters of one declared option; an option for edits has one for each kind."""
    match each.option:
        case Edits(kinds):
            for kind in kinds:
                yield _edit_parameter(each, kind)
        case Option(flags=()):
            yield _argument(each, each.option)
        case Option():
            yield _option(each, each.option)


def _edit_parameter(each: Declared, kind: Edit) -> click.Parameter:
    return click.Option(
        [edit_name(each, kind), *kind.flags],
        multiple=True,
        metavar=kind.metavar,
        help=kind.help,
        expose_value=False,
        shell_complete=complete(kind.complete),
    )


def is_argument(option: Option | Edits) -> TypeGuard[Option]:
    """Return whether this is a positional argument."""
    return isinstance(option, Option) and not option.flags


def _argument(each: Declared, option: Option) -> click.Parameter:
    item, container = item_type(each.annotation)
    return _Argument(
        [each.name],
        nargs=-1 if container else 1,
        required=each.default is MISSING,
        metavar=each.name.upper(),
        type=_click_type(item, option),
        callback=_converter(each, option),
        shell_complete=complete(option.complete),
    )


SHOWN = "pipetask.shown"
"""Where a context's ``meta`` says that options are only shown, so that none needs to be given."""


class _Parameter(click.Parameter):
    """An option or an argument that may be missing if options are only shown."""

    def process_value(self, ctx: click.Context, value: Any) -> Any:
        try:
            return super().process_value(ctx, value)
        except click.MissingParameter:
            if not ctx.meta.get(SHOWN):
                raise
            return None


class _Argument(_Parameter, click.Argument):
    pass


class _Option(_Parameter, click.Option):
    """An option whose help can describe the default in words."""

    def get_help_extra(self, ctx: click.Context) -> Any:
        extra = super().get_help_extra(ctx)
        if isinstance(self.show_default, str):
            extra["default"] = self.show_default  # click puts it in parentheses
        return extra


def _option(each: Declared, option: Option) -> click.Parameter:
    item, container = item_type(each.annotation)
    flag = item is bool
    if flag:
        more: dict[str, Any] = {"is_flag": True, "default": each.default}
        more["show_default"] = "/" in option.flags[-1]
    elif container:
        more = {"multiple": True, "default": None, "show_default": option.default_text or False}
    else:
        more = {"show_default": option.default_text or each.default not in (None, "", MISSING)}
        if each.default is not MISSING:
            more["default"] = each.default.value if isinstance(each.default, enum.Enum) else each.default
    if option.flag_value is not None:
        more |= {"is_flag": False, "flag_value": option.flag_value}
    return _Option(
        [each.name, *option.flags],
        required=each.default is MISSING,
        metavar=option.metavar,
        type=None if flag else _click_type(item, option),
        help=option.help,
        callback=None if flag else _converter(each, option),
        shell_complete=complete(option.complete),
        **more,
    )


def _click_type(item: Any, option: Option) -> click.ParamType[Any]:
    if isinstance(item, type) and issubclass(item, enum.Enum):
        return click.Choice([member.value for member in item])
    if option.choices:
        return click.Choice(list(option.choices), case_sensitive=False)
    if item is int:
        return click.IntRange(min=int(option.minimum) if option.minimum is not None else None)
    if item is float:
        return click.FloatRange(min=option.above, min_open=True)
    return click.STRING


def _converter(each: Declared, option: Option) -> Callable[[click.Context, click.Parameter, Any], Any]:
    item, container = item_type(each.annotation)

    def one(value: Any) -> Any:
        if isinstance(item, type) and issubclass(item, enum.Enum):
            return item(value)
        if option.new_file and value:
            _check_new_file(value)
        return option.parse(value) if option.parse else value

    def convert(ctx: click.Context, parameter: click.Parameter, value: Any) -> Any:
        try:
            if not container:
                return None if value is None else one(value)
            parts = [one(part) for text in value or () for part in split_value(text, option)]
            return (container(parts) or None) if each.default is None else container(parts)
        except ValueError as error:
            raise click.BadParameter(f"{error}.", ctx, parameter) from error

    return convert


def split_value(text: str, option: Option | Edit) -> list[str]:
    """Split a comma-separated value, if the option allows that; commas in brackets do not separate."""
    if not option.split or not option.flags:
        return [text]
    return [part for part in re.split(r",(?![^\[\]]*\])", text) if part]


def _check_new_file(path: str) -> None:
    """Refuse early an output file that cannot be created, or whose folder does not exist."""
    if "://" in path:
        return
    if not Path(path).absolute().parent.is_dir():
        raise ValueError(f"{path}: there is no folder {Path(path).parent}")
    if Path(path).is_dir():
        raise ValueError(f"{path} is a folder")
