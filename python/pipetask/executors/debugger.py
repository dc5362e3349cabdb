"""Enter a debugger at the line where a quantum failed."""

from __future__ import annotations

import importlib
import signal
import sys

from ..errors import UsageError, reason_of
from ..runner.base import ExceptionHook

__all__ = ["debugger_hook"]


def debugger_hook(module: str) -> ExceptionHook:
    """Return what enters a debugger.

    However the debugger is left, the quantum has failed for its own reason.

    Parameters
    ----------
    module
        Name of a module with a function ``post_mortem``, which is given a traceback.

    Raises
    ------
    UsageError
        If there is no such module, or if it has no such function.
    """
    try:
        enter = importlib.import_module(module).post_mortem
    except Exception as error:  # a module may raise anything
        raise UsageError(f"--pdb {module}: no such debugger ({reason_of(error)}).") from error

    def debug(quantum: str, error: BaseException) -> None:
        print(f"\n{quantum} raised {type(error).__name__}: {error}", file=sys.stderr)
        handler = signal.getsignal(signal.SIGINT)
        try:
            enter(error.__traceback__)
        except BaseException as other:
            print(f"the debugger ended with {type(other).__name__}: {other}", file=sys.stderr)
        finally:
            sys.stdout.flush()  # the end of the line after Ctrl-D
            if handler is not None:  # pdb's "continue" puts its own there, which would be blamed on the task
                signal.signal(signal.SIGINT, handler)

    return debug
