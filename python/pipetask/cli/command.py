"""Makes a click command from a model of options (see `pipetask.options.declaration`)."""

from __future__ import annotations

import difflib
import enum
import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import MISSING, dataclass
from pathlib import Path
from typing import Any, TypeGuard

import click

from ..options.declaration import Declared, Edit, Edits, Option, assemble, declared, item_type
from .completers import complete
from .logs import LogOptions
from .option_files import EDITS, FileOptions, load_defaults, print_options

__all__ = ["Invocation", "ModelCommand"]


@dataclass(frozen=True)
class Invocation:
    """A command as it was called."""

    options: Any
    """An instance of the command's model."""

    logs: LogOptions


_FROM_FILES = "Options from files"


class ModelCommand(click.Command):
    """A command whose parameters are the declared options of a model.

    Parameters
    ----------
    name
        The command's name.
    model
        The options; its docstring is the help text.
    run
        Does the work and returns the exit code.
    """

    def __init__(self, name: str, model: type[Any], run: Callable[[Invocation], int]):
        self.model = model
        self.declared = [*declared(model), *declared(FileOptions, _FROM_FILES)]
        self._run = run
        super().__init__(
            name,
            callback=self._call,
            params=[parameter for each in self.declared for parameter in _parameters(each)],
            help=inspect.cleandoc(model.__doc__ or ""),
            context_settings={"help_option_names": ["-h", "--help"], "show_default": True},
        )

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse; note the order of the options whose order matters."""
        load_defaults(ctx, self.declared, args)
        _note_edits(self, ctx, args)
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            raise click.UsageError(_no_such_option(self, error.option_name), ctx) from error

    def _call(self, **values: Any) -> int:
        ctx = click.get_current_context()
        for each in self.declared:
            if isinstance(each.option, Edits):
                values[each.name] = _edits_given(ctx, each)
        if values["show_options"]:
            print_options(ctx, self.declared, values)
            return 0
        return self._run(Invocation(assemble(self.model, values), ctx.obj or LogOptions()))

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write options in the sections of the model."""
        arguments = [
            (each.name.upper(), each.option.help) for each in self.declared if _is_argument(each.option)
        ]
        if arguments:
            with formatter.section("Arguments"):
                formatter.write_dl(arguments)
        for title, parameters in self.sections(ctx):
            records = [record for each in parameters if (record := each.get_help_record(ctx))]
            if records:
                with formatter.section(title or "Options"):
                    formatter.write_dl(records)

    def sections(self, ctx: click.Context) -> list[tuple[str, list[click.Parameter]]]:
        """Return the titles of the help's sections, with the parameters of each."""
        found: dict[str, list[click.Parameter]] = {}
        homes = {name: each.section for each in self.declared for name in _parameter_names(each)}
        for parameter in self.get_params(ctx):
            if isinstance(parameter, click.Argument):
                continue
            found.setdefault(homes.get(parameter.name or "", _FROM_FILES), []).append(parameter)
        return list(found.items())


def _parameter_names(each: Declared) -> list[str]:
    if isinstance(each.option, Edits):
        return [_edit_name(each, kind) for kind in each.option.kinds]
    return [each.name]


def _edit_name(each: Declared, kind: Edit) -> str:
    return f"{each.name}_{kind.flags[-1].lstrip('-').replace('-', '_')}"


def _parameters(each: Declared) -> Iterator[click.Parameter]:
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
        [_edit_name(each, kind), *kind.flags],
        multiple=True,
        metavar=kind.metavar,
        help=kind.help,
        expose_value=False,
        shell_complete=complete(kind.complete),
    )


def _is_argument(option: Option | Edits) -> TypeGuard[Option]:
    return isinstance(option, Option) and not option.flags


def _argument(each: Declared, option: Option) -> click.Parameter:
    item, container = item_type(each.annotation)
    return click.Argument(
        [each.name],
        nargs=-1 if container else 1,
        required=each.default is MISSING,
        metavar=each.name.upper(),
        type=_click_type(item, option),
        callback=_converter(each, option),
        shell_complete=complete(option.complete),
    )


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
    return click.Option(
        [each.name, *option.flags],
        required=each.default is MISSING,
        metavar=option.metavar,
        type=None if flag else _click_type(item, option),
        help=option.help,
        hidden=option.hidden,
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
            _check_folder(value)
        return option.parse(value) if option.parse else value

    def convert(ctx: click.Context, parameter: click.Parameter, value: Any) -> Any:
        try:
            if not container:
                return None if value is None else one(value)
            parts = [one(part) for text in value or () for part in _split(text, option)]
            return (container(parts) or None) if each.default is None else container(parts)
        except ValueError as error:
            raise click.BadParameter(f"{error}.", ctx, parameter) from error

    return convert


def _split(text: str, option: Option | Edit) -> list[str]:
    if not option.split or not option.flags:
        return [text]
    return [part for part in text.split(",") if part]


def _check_folder(path: str) -> None:
    """Refuse, before the work and not after it, a file in a folder that is not there."""
    if "://" not in path and not Path(path).absolute().parent.is_dir():
        raise ValueError(f"{path}: there is no folder {Path(path).parent}")


def _note_edits(command: ModelCommand, ctx: click.Context, args: Sequence[str]) -> None:
    """Parse once more than click does, to learn the order in which edits come."""
    kinds = {
        _edit_name(each, kind): (each, kind)
        for each in command.declared
        if isinstance(each.option, Edits)
        for kind in each.option.kinds
    }
    if not kinds:
        return
    try:
        values, _, order = command.make_parser(ctx).parse_args(args=list(args))
    except click.UsageError:
        return  # click says it better, in a moment
    given = {name: iter(values.get(name) or ()) for name in kinds}
    noted: dict[str, list[tuple[Edit, str]]] = ctx.meta.setdefault(EDITS, {})
    for parameter in order:
        if parameter.name in kinds and (text := next(given[parameter.name], None)) is not None:
            each, kind = kinds[parameter.name]
            noted.setdefault(each.name, []).append((kind, text))


def _edits_given(ctx: click.Context, each: Declared) -> tuple[Any, ...]:
    """Return edits from files, then those of the command line, each in their order."""
    assert isinstance(each.option, Edits)
    by_flag = {flag.lstrip("-"): kind for kind in each.option.kinds for flag in kind.flags}
    listed = [(by_flag[name], text) for name, text in (ctx.default_map or {}).get(each.name, ())]
    listed += ctx.meta.get(EDITS, {}).get(each.name, [])
    return tuple(_parsed(kind, part, ctx) for kind, text in listed for part in _split(text, kind))


def _parsed(kind: Edit, text: str, ctx: click.Context) -> Any:
    try:
        return kind.parse(text)
    except ValueError as error:
        raise click.UsageError(f"Invalid value for {kind.flags[0]}: {error}.", ctx) from error


def _no_such_option(command: click.Command, name: str) -> str:
    known = [flag for parameter in command.params for flag in (*parameter.opts, *parameter.secondary_opts)]
    close = difflib.get_close_matches(name, [*known, "--help"], n=1)
    hint = f"did you mean {close[0]}?" if close else "--help lists the options."
    return f"No such option {name}: {hint}"
