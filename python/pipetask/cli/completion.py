"""`pipetask completion`."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from ..options.commands.setup import CompletionCommand
from .command import Invocation
from .shells import ASKED

__all__ = ["run"]


def run(invocation: Invocation) -> int:
    """Print the completion script."""
    from .group import cli

    options: CompletionCommand = invocation.options
    shell = get_completion_class(options.shell)
    assert shell is not None
    click.echo(shell(cli, {}, "pipetask", ASKED).source())
    return 0
