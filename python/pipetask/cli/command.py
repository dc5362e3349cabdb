"""Make click commands from models of options (see `pipetask.options.declaration`)."""

from __future__ import annotations

import importlib
import inspect
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import click
from click.core import ParameterSource

from ..errors import did_you_mean
from ..options.declaration import Declared, Edits, Option, assemble, declared
from ..options.logs import LogOptions
from ..options.owners import BUILT_IN, unusable_models, without_clashes
from .catalog import LEFT, Entry
from .command_line import CommandLine
from .edits import edits_given, note_edits
from .interrupted import note as note_left
from .option_files import FileOptions, load_defaults, print_options
from .parameters import SHOWN, is_argument, parameter_names, parameters

__all__ = ["BEFORE", "Invocation", "ModelCommand", "command_for", "has_option"]


@dataclass(frozen=True)
class Invocation:
    """A call of a command."""

    options: Any
    """An instance of the command's model."""

    logs: LogOptions
    typed: frozenset[str] = frozenset()
    """Names of the options that were given on the command line, and not in a file."""

    given: Mapping[str, str] = field(default_factory=dict)
    """Options that do not have their default, whether typed or from a file, as text by name."""

    unusable: Mapping[str, str] = field(default_factory=dict)
    """Execution models whose options cannot be offered, with the reason."""

    command_line: CommandLine | None = None
    """The command as it was typed; `None` for one that was called by another."""


_BY_DEFAULT = (ParameterSource.DEFAULT, None)
_FROM_FILES = "Options from files"
BEFORE = "pipetask.before"
"""Where a context's ``meta`` has the words in front of the command."""

BEHIND = "pipetask.behind"


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
        self.declared, self.unusable = without_clashes(
            [*declared(model), *declared(FileOptions, _FROM_FILES)]
        )
        if any(each.owners for each in self.declared):
            self.unusable |= unusable_models()
        self._run = run
        super().__init__(
            name,
            callback=self._call,
            params=[parameter for each in self.declared for parameter in parameters(each)],
            help=inspect.cleandoc(model.__doc__ or ""),
            context_settings={"help_option_names": ["-h", "--help"], "show_default": True},
        )

    def make_parser(self, ctx: click.Context) -> Any:
        """Make a parser that also reads option files and records the order of edits.

        Both must be known before click processes values, and the command line is parsed only once.
        """
        parser = super().make_parser(ctx)
        parse = parser.parse_args

        def parse_and_note(args: list[str]) -> tuple[dict[str, Any], list[str], list[click.Parameter]]:
            values, rest, order = parse(args)
            ctx.meta[SHOWN] = bool(values.get("show_options"))
            if ctx.resilient_parsing:  # for completion, in which nothing can be said
                with suppress(click.UsageError):
                    load_defaults(ctx, self.declared, values)
                return values, rest, order
            _check_once(ctx, self.declared, order)
            load_defaults(ctx, self.declared, values)
            note_edits(ctx, self.declared, values, order)
            return values, rest, order

        parser.parse_args = parse_and_note  # type: ignore[method-assign]
        return parser

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse; for an unknown option, suggest a known one."""
        ctx.meta[BEHIND] = tuple(args)
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            if ctx.parent is not None and has_option(ctx.parent.command, error.option_name):
                message = f"{error.option_name} goes before {self.name!r}: pipetask {error.option_name} … {self.name} …"
            else:
                message = _no_such_option(self, error.option_name)
            raise click.UsageError(message, ctx) from error

    def _call(self, **values: Any) -> int:
        ctx = click.get_current_context()
        for each in self.declared:
            if isinstance(each.option, Edits):
                values[each.name] = edits_given(ctx, each)
        if values["show_options"]:
            print_options(ctx, self.declared, values)
            return 0
        sources = {name: ctx.get_parameter_source(name) for name in values}
        typed = frozenset(name for name, source in sources.items() if source is ParameterSource.COMMANDLINE)
        given = {name: _as_text(values[name]) for name in values if sources[name] not in _BY_DEFAULT}
        options, logs = assemble(self.model, values), ctx.obj or LogOptions()
        line = CommandLine(ctx.meta.get(BEFORE, ()), self.name or "", ctx.meta[BEHIND], self.params)
        return self._run(Invocation(options, logs, typed, given, self.unusable, line))

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write options in the sections of the model."""
        arguments = [
            (each.name.upper(), each.option.help) for each in self.declared if is_argument(each.option)
        ]
        if arguments:
            with formatter.section("Arguments"):
                formatter.write_dl(arguments)
        for title, shown in self.sections(ctx):
            records = [record for each in shown if (record := each.get_help_record(ctx))]
            if records:
                with formatter.section(title or "Options"):
                    formatter.write_dl(records)
        if self.unusable:
            with formatter.section("Modes that cannot be used"):
                formatter.write_dl(list(self.unusable.items()))

    def sections(self, ctx: click.Context) -> list[tuple[str, list[click.Parameter]]]:
        """Return the titles of the help's sections, with the parameters of each."""
        found: dict[str, list[click.Parameter]] = {}
        homes = {name: each.section for each in self.declared for name in parameter_names(each)}
        for parameter in self.get_params(ctx):
            if isinstance(parameter, click.Argument):
                continue
            found.setdefault(homes.get(parameter.name or "", _FROM_FILES), []).append(parameter)
        return list(found.items())


def command_for(entry: Entry) -> ModelCommand:
    """Make the click command of an entry; the module that does the work is imported when it is called."""

    def run(invocation: Invocation) -> int:
        note_left(LEFT.get(entry.name, "nothing was changed"))
        module = importlib.import_module(f"pipetask.cli.{entry.name.replace('-', '_')}")
        return int(module.run(invocation))

    return ModelCommand(entry.name, entry.model(), run)


def _check_once(ctx: click.Context, options: Sequence[Declared], order: Sequence[click.Parameter]) -> None:
    """Refuse what is given twice and of which the first would be dropped."""
    names = Counter(parameter.name for parameter in order)
    for each in options:
        if isinstance(each.option, Option) and each.option.once and names[each.name] > 1:
            raise click.UsageError(
                f"{each.option.flags[-1]} is given {names[each.name]} times: give one.", ctx
            )


def has_option(command: click.Command, flag: str) -> bool:
    """Return whether a command has an option of that name."""
    return any(flag in (*each.opts, *each.secondary_opts) for each in command.params)


def _as_text(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple | list) else str(value)


def _no_such_option(command: click.Command, name: str) -> str:
    if isinstance(command, ModelCommand) and command.unusable:
        modes = "; ".join(
            f"--mode {mode} cannot be used: {reason}" for mode, reason in command.unusable.items()
        )
        return f"No such option {name} ({modes.rstrip('.')})."
    known = [flag for parameter in command.params for flag in (*parameter.opts, *parameter.secondary_opts)]
    if "--mode" in known and name.removeprefix("--") in BUILT_IN:
        return f"No such option {name}: did you mean '--mode {name.removeprefix('--')}'?"
    return f"No such option {name}{did_you_mean(name, [*known, '--help'], '--help lists the options.')}"
