"""The command line: parse, confirm, print.

Nothing slow is imported before a subcommand runs, and nothing at all before signals are handled.
"""

from __future__ import annotations

__all__ = ["cli", "main"]


def main(arguments: list[str] | None = None) -> int:
    """Run the command.

    Parameters
    ----------
    arguments
        The command's arguments; by default those of this process, whose signals and standard streams are then handled,
        too.

    Returns
    -------
    exit_code
        0, or what went wrong: 1 any failure, 2 usage, 20 and 21 as `pipetask.observe.summary.RunSummary.exit_code`
        says, 128 and the number of the signal after a signal.
    """
    if arguments is None:
        _let_ctrl_c_end_it()
    from .program import as_program, run

    return as_program() if arguments is None else run(arguments)


def _let_ctrl_c_end_it() -> None:
    """Let Ctrl-C end this process in one line, without a traceback, until another handler is installed."""
    import signal

    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # the next import can be interrupted, too
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        from .interrupted import end_at_once

        signal.signal(signal.SIGINT, end_at_once)


def __getattr__(name: str) -> object:
    if name != "cli":
        raise AttributeError(f"module 'pipetask.cli' has no attribute {name!r}")
    from .group import cli

    return cli
