"""What an interrupted command has left, and the command that goes on.

Commands say this while they run, so that the last line of an interrupted one can tell it.  This module is imported
before signals are handled, so it imports nothing slow.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["begin", "end_at_once", "left_so_far", "note"]


class _State:
    left = "nothing was begun"
    command: str | None = None


_state = _State()


def begin(arguments: Sequence[str]) -> None:
    """Forget what an earlier command of this process has said.

    Parameters
    ----------
    arguments
        The arguments of the command that begins; until it says otherwise, the same command goes on.
    """
    from ..text import shell_command

    note(_State.left, shell_command(["pipetask", *arguments]))


def end_at_once(number: int, frame: object) -> None:
    """End this process: the first handler of SIGINT, used until there is something to clean up."""
    os.write(2, f"pipetask: interrupted by SIGINT: {_State.left}\n".encode())
    os._exit(128 + number)


def note(left: str, command: str | None = None) -> None:
    """Say what an interruption would leave from now on.

    Parameters
    ----------
    left
        The end of a sentence.
    command
        The command that goes on, if it is another than before.
    """
    _state.left = left
    _state.command = command or _state.command


def left_so_far() -> str:
    """Return what is left, and the command that goes on, as the end of a sentence."""
    return f"{_state.left}; go on: {_state.command}" if _state.command else _state.left
