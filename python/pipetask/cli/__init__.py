"""The command line: parse, confirm, print.

Nothing heavy is imported before a subcommand runs.
"""

from __future__ import annotations

import re
import sys
import traceback
from typing import Any

import click

from ..errors import PipetaskError, did_you_mean, reason_of
from ..options.declaration import assemble, declared
from ..options.logs import LogOptions
from .catalog import COMMANDS
from .parameters import parameters

__all__ = ["main"]


class _LazyGroup(click.Group):
    """A group that imports a subcommand when it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        return COMMANDS[name].command() if name in COMMANDS else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name, known = args[0], self.list_commands(ctx)
        if name not in known and not name.startswith("-"):
            ctx.fail(f"No such command {name!r}{did_you_mean(name, known)}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        rows = [(entry.name, entry.summary) for entry in COMMANDS.values()]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


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


def main(arguments: list[str] | None = None) -> int:
    """Run the command.

    Parameters
    ----------
    arguments
        The command's arguments; by default those of this process.

    Returns
    -------
    exit_code
        0, or what went wrong: 1 any failure, 2 usage, 20 and 21 as `pipetask.observe.summary.RunSummary.exit_code`
        says, 130 and 143 after SIGINT and SIGTERM.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        code = cli.main(arguments, prog_name="pipetask", standalone_mode=False)
        return code if isinstance(code, int) else 0
    except click.ClickException as error:
        path = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else "pipetask"
        return _complain(f"{path}: {error.format_message()}", error.exit_code, arguments)
    except click.Abort:
        return _complain("pipetask: aborted", 130, arguments)
    except PipetaskError as error:
        return _complain(f"pipetask: {error}", error.exit_code, arguments)
    except KeyboardInterrupt:
        return _complain("pipetask: interrupted before anything was begun", 130, arguments)
    except Exception as error:
        return _complain(f"pipetask: {_unforeseen(error)}", 1, arguments)


def _unforeseen(error: Exception) -> str:
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return f"{type(error).__name__}: {reason_of(error)} (--log-level DEBUG shows where)"


def _complain(line: str, code: int, arguments: list[str]) -> int:
    if re.search(r"--log-level[= ](\S*[=,])?(DEBUG|TRACE)\b", " ".join(arguments), re.IGNORECASE):
        traceback.print_exc()
    print(" ".join(line.split()), file=sys.stderr)
    return code
