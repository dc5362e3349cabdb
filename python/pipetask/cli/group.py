"""The group of all commands."""

from __future__ import annotations

import os
from typing import Any

import click

from ..errors import PipetaskError, did_you_mean, one_line
from ..options.declaration import assemble, declared
from ..options.logs import LogOptions
from .catalog import COMMANDS, GROUPS
from .command import BEFORE, command_for, has_option
from .parameters import parameters
from .shells import ASKED, prepare_to_answer

__all__ = ["call", "cli", "explain"]


class _PassedError(Exception):
    """Carries an error past click, which would treat it as the end of input at a prompt, or as a closed pipe."""

    def __init__(self, error: BaseException):
        super().__init__()
        self.error = error


class _LazyGroup(click.Group):
    """A group that imports subcommands on demand."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (EOFError, KeyboardInterrupt, OSError) as error:
            raise _PassedError(error) from error

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        typed = list(args)
        try:
            rest = super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            raise click.UsageError(_not_in_front(error.option_name, typed), ctx) from error
        ctx.meta[BEFORE] = tuple(typed[: len(typed) - len(ctx._protected_args) - len(ctx.args)])
        return rest

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        return command_for(COMMANDS[name]) if name in COMMANDS else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name, known = args[0], self.list_commands(ctx)
        if name not in known and not name.startswith("-"):
            ctx.fail(f"No such command {name!r}{did_you_mean(name, known)}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        width = max(map(len, COMMANDS))
        for title, entries in GROUPS.items():
            with formatter.section(title):
                formatter.write_dl([(entry.name.ljust(width), entry.summary) for entry in entries])


def _not_in_front(flag: str, typed: list[str]) -> str:
    """Return what to say of an option in front of the command that the group does not have."""
    named = [word for word in typed if word in COMMANDS]
    for name in dict.fromkeys([*named, "run", *COMMANDS]):
        if has_option(command_for(COMMANDS[name]), flag):
            return f"{flag} goes behind the command: pipetask {name} {flag} …"
    known = [opt for each in cli.params for opt in each.opts]
    return f"No such option {flag}{did_you_mean(flag, [*known, '--help'], '--help lists the options.')}"


def _note_logging(**values: Any) -> None:
    click.get_current_context().obj = assemble(LogOptions, values)


cli = _LazyGroup(
    "pipetask",
    callback=_note_logging,
    params=[parameter for each in declared(LogOptions) for parameter in parameters(each)],
    help="Execute quantum graphs: fast, and with nothing lost when things break.",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100, "show_default": True},
)
click.version_option(package_name="pipetask")(cli)


def call(arguments: list[str]) -> int:
    """Call a command, and return its exit code."""
    if ASKED in os.environ:
        prepare_to_answer()
    try:
        code = cli.main(arguments, prog_name="pipetask", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return error.exit_code
    except _PassedError as passed:
        raise passed.error from passed.error.__cause__
    return code if isinstance(code, int) else 0


def explain(error: BaseException) -> tuple[str, int]:
    """Return the message for an error, without the name of the command, and the exit code."""
    match error:
        case click.ClickException():
            ctx = error.ctx if isinstance(error, click.UsageError) else None
            path = ctx.command_path.removeprefix("pipetask") if ctx is not None else ""
            return f"{path}: {error.format_message()}", error.exit_code
        case click.Abort():  # not a signal: a prompt was not answered
            return ": there was no answer, so nothing was done", 1
        case PipetaskError():
            return f": {error}", error.exit_code
        case _:
            return f": {one_line(error)}", 1
